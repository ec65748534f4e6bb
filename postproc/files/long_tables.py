"""Long tables: a line for each row and class, as databases and tidy data have them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import Contents, id_array, text_array
from postproc.scores.rounding import decimals_of
from postproc.scores.tables.choice import ColumnChoice
from postproc.scores.tables.column_names import is_suspect, listed
from postproc.scores.tables.columns import chosen_columns
from postproc.scores.tables.id_columns import find_ids, named_column
from postproc.scores.tables.tables import Table, all_differ, as_floats, refuse

#: The columns of a long table.
NEEDED = (
    "a long table needs one column of ids (--id-column), one of class names (--label-column) and "
    "one of scores (--columns)"
)


def contents_of_long(table: Table, reading: ColumnChoice) -> Contents:
    """The scores of a long table: rows and classes in the order in which they first appear.

    Rows with one line may be of two classes, which are then sorted; they need no ids.
    """
    ids, classes, scores = _find_columns(table, reading)
    class_names, columns = _numbered(table.text(classes))
    if len(class_names) == 2 and (ids is None or all_differ(table.columns[ids])):
        return _own_class_only(table, ids, class_names, columns, scores)
    if ids is None:
        refuse(f"{NEEDED}, got {listed(table.names)}")
    row_names, rows = _numbered(table.text(ids))
    shape = len(row_names), len(class_names)
    places = rows * shape[1] + columns
    counts = np.bincount(places, minlength=shape[0] * shape[1])
    if (counts != 1).any():
        place = int(np.argmax(counts != 1))
        row, column = divmod(place, shape[1])
        refuse(
            f"each of its rows must have one line for each class, got {counts[place]} lines for "
            f"{row_names[row]!r} and {class_names[column]!r}"
        )
    values = np.empty(len(places))
    values[places] = table.numbers(scores)
    return Contents(
        values.reshape(shape),
        tuple(class_names),
        id_array(text_array(row_names)),
        is_table=True,
        notes=table.notes,
        id_heading=table.names[ids],
    )


def _own_class_only(
    table: Table,
    ids: int | None,
    class_names: list[str],
    columns: NDArray[np.int64],
    scores: int,
) -> Contents:
    """Both probabilities of rows that hold one of them, that of the class that is named."""
    p = table.numbers(scores)
    outside = (p < 0) | (p > 1)
    if outside.any():
        row = int(np.argmax(outside))
        refuse(
            f"{table.where(row)}, column {table.names[scores]!r} must be a probability, as each "
            f"row holds one of two classes, got {p[row]!s}"
        )
    rest = np.round(1 - p, min(decimals_of(p), 15))
    values = np.stack([rest, rest], axis=1)
    values[np.arange(len(p)), columns] = p
    order = np.argsort(class_names)
    return Contents(
        values[:, order],
        tuple(class_names[c] for c in order),
        None if ids is None else id_array(text_array(table.text(ids))),
        is_table=True,
        notes=(*table.notes, "each row holds the score of one of two classes"),
        id_heading="id" if ids is None else table.names[ids],
    )


def _find_columns(table: Table, reading: ColumnChoice) -> tuple[int | None, int, int]:
    """The columns of ids, if there is one, of class names and of scores."""
    classes = named_column(table, reading.label_column)
    chosen = chosen_columns(table, reading.columns, classes)
    named = [*chosen[0], *chosen[1]]
    ids, _ = find_ids(table, reading, taken={classes, *named} - {None})
    left = [c for c in range(len(table.names)) if c not in (ids, classes)]
    numbers = named or [
        c
        for c in left
        if as_floats(table.columns[c]) is not None and not is_suspect(table.names[c])
    ]
    names = [c for c in left if c not in numbers] if classes is None else [classes]
    if len(names) != 1 or len(numbers) != 1:
        refuse(f"{NEEDED}, got {listed(table.names)}")
    return ids, names[0], numbers[0]


def _numbered(cells: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts in order of appearance, and for each cell the number of its text."""
    numbers = {cell: number for number, cell in enumerate(dict.fromkeys(cells))}
    return list(numbers), np.array([numbers[cell] for cell in cells], dtype=np.int64)
