"""Which column of a table holds ids, by its name and its values."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.tables.choice import NO_COLUMN, ColumnChoice
from postproc.scores.tables.column_names import ID_ENDING, ID_NAME, INDEX_NAME, is_suspect, listed
from postproc.scores.tables.tables import (
    MISSING,
    Table,
    all_differ,
    as_floats,
    is_list,
    is_mixed,
    is_text,
    refuse,
)


def named_column(table: Table, pattern: str | None) -> int | None:
    """The column that a name or pattern stands for; None where the table has none such."""
    if pattern is None:
        return None
    if pattern in table.names:
        return table.names.index(pattern)
    found = [c for c, name in enumerate(table.names) if fnmatchcase(name, pattern)]
    if len(found) > 1:
        several = listed([table.names[column] for column in found])
        refuse(f"{pattern!r} must name one column, got {several}")
    return found[0] if found else None


def find_ids(
    table: Table, reading: ColumnChoice, taken: Collection[int | None]
) -> tuple[int | None, set[int]]:
    """The column of ids, and all columns that have such names; none if the user says so."""
    if reading.id_column == NO_COLUMN:
        return None, set()
    chosen = named_column(table, reading.id_column)
    if chosen is None and reading.id_column is not None:
        refuse(f"it has no column {reading.id_column!r} of ids, got {listed(table.names)}")
    free = [c for c in range(len(table.names)) if c not in taken and not is_list(table.columns[c])]
    by_name = [c for c in free if _has_ids(table, c)]
    by_name = [c for c in by_name if not ends_like_ids(table.names[c])] or by_name
    unnamed = [c for c in free if _is_index(table, c)]
    if chosen is None:
        by_text = [
            c
            for c in free
            if is_text(values := table.columns[c])
            and table.columns[c]
            and c not in by_name
            and not is_suspect(table.names[c])
            and all_differ(values)
            and not is_mixed(values)
        ]
        exact = [c for c in by_name if table.names[c].lower() == "id"]
        different = [c for c in by_name if all_differ(table.columns[c])]
        chosen = next(iter([*exact, *different, *by_name, *by_text, *unnamed]), None)
    return chosen, {*by_name, *unnamed}


def ends_like_ids(name: str) -> bool:
    """Whether a name merely ends like one of ids, as `imageid` does, but `orchid`, too."""
    return ID_NAME.fullmatch(name) is None and ID_ENDING.fullmatch(name) is not None


def is_whole(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are there, and whole."""
    return bool(np.isfinite(numbers).all() and (numbers % 1 == 0).all())


def are_whole(table: Table, columns: Iterable[int]) -> bool:
    """Whether all columns that hold numbers hold whole ones, like votes."""
    found = (as_floats(table.columns[column]) for column in columns)
    return all(is_whole(numbers) for numbers in found if numbers is not None)


def _has_ids(table: Table, column: int) -> bool:
    """Whether a column has the name of ids, and values that may be some."""
    name, values = table.names[column], table.columns[column]
    if column == 0 and name.lower() == "id":
        return True
    is_id = ID_NAME.fullmatch(name) is not None
    if not is_id and ID_ENDING.fullmatch(name) is None:
        return False
    numbers = as_floats(values)
    if numbers is None:
        return is_text(values) and (is_id or all_differ(values)) and not is_mixed(values)
    return is_whole(numbers) and (is_id or (bool((numbers > 1).any()) and all_differ(values)))


def _is_index(table: Table, column: int) -> bool:
    """Whether a column is an index without a name of its own, or without a name or a value."""
    name, values = table.names[column], table.columns[column]
    if INDEX_NAME.fullmatch(name) is None:
        return False
    if isinstance(values, list):
        empty = all(cell.lower() in MISSING for cell in values)
        return empty or (bool(name or column == 0) and all_differ(values))
    if not isinstance(values, np.ndarray):
        return False
    is_ids = is_whole(values) and all_differ(values) and bool(name or column == 0)
    return is_ids or bool(np.isnan(values).all())
