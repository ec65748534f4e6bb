"""What a user says of the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Given as the column of ids, this says that there is none.
NO_COLUMN = "-"


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of scores, ids and labels: names or patterns; a declared kind chooses a list.

    The `id_column` "-" says that no column holds ids. Where nothing else says which columns hold
    scores, those do that are called as `classes`, but for what all of them have around that.
    """

    columns: tuple[str, ...] = ()
    id_column: str | None = None
    label_column: str | None = None
    kind: Literal["logits", "probs", "votes"] | None = None
    classes: tuple[str, ...] = field(default=(), kw_only=True)
