"""What a user says of the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of scores, ids and labels: names or patterns; a declared kind chooses a list."""

    columns: tuple[str, ...] = ()
    id_column: str | None = None
    label_column: str | None = None
    kind: Literal["logits", "probs", "votes"] | None = None
