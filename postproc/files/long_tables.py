"""Long tables: a line for each row and class, as databases and tidy data have them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import Contents, id_array, text_array
from postproc.scores.tables.choice import ColumnChoice
from postproc.scores.tables.column_names import is_suspect, listed
from postproc.scores.tables.columns import chosen_columns, find_ids, named_column
from postproc.scores.tables.tables import Table, as_floats, refuse


def contents_of_long(table: Table, reading: ColumnChoice) -> Contents:
    """The scores of a long table: rows and classes in the order in which they first appear."""
    ids, classes, scores = _find_columns(table, reading)
    row_names, rows = _numbered(table.text(ids))
    class_names, columns = _numbered(table.text(classes))
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


def _find_columns(table: Table, reading: ColumnChoice) -> tuple[int, int, int]:
    """The columns of ids, of class names and of scores."""
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
    if ids is None or len(names) != 1 or len(numbers) != 1:
        refuse(
            "a long table needs one column of ids (--id-column), one of class names "
            f"(--label-column) and one of scores (--columns), got {listed(table.names)}"
        )
    return ids, names[0], numbers[0]


def _numbered(cells: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts in order of appearance, and for each cell the number of its text."""
    numbers = {cell: number for number, cell in enumerate(dict.fromkeys(cells))}
    return list(numbers), np.array([numbers[cell] for cell in cells], dtype=np.int64)
