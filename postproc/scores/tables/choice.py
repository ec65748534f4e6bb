"""What a user says of the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of scores, ids and labels: names, or patterns with `*` and `?`."""

    columns: tuple[str, ...] = ()
    id_column: str | None = None
    label_column: str | None = None
