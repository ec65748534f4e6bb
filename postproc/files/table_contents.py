"""Contents of a table: its scores or its labels, with the names that belong to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import Contents, id_array, text_array
from postproc.files.long_tables import contents_of_long
from postproc.files.reading import Reading
from postproc.scores.tables.choice import NO_COLUMN
from postproc.scores.tables.column_names import is_suspect, is_truth, listed
from postproc.scores.tables.columns import (
    SCORE_KEYS,
    Roles,
    chosen_columns,
    find_roles,
    is_reversed,
)
from postproc.scores.tables.id_columns import find_ids, named_column
from postproc.scores.tables.named_lists import in_class_order
from postproc.scores.tables.tables import MISSING, Table, as_floats, is_list, is_text, refuse


def scores_of(table: Table, reading: Reading) -> Contents:
    """The scores of a table, with the names of columns and rows."""
    if reading.long:
        return contents_of_long(table, reading)
    if reading.predicted_labels:
        labels = _predicted_labels(table, reading)
        if labels is not None:
            return labels
    roles = find_roles(table, reading)
    ids = None if roles.ids is None else _ids(table, roles.ids)
    notes = (*table.notes, *roles.notes)
    first = table.columns[roles.scores[0]]
    if is_list(first):
        if roles.reverse:
            refuse(f"{reading.columns[0]!r} must name one column of numbers, got lists")
        values, classes, said = in_class_order(table, roles.scores[0], (roles.ids, roles.labels))
        classes, notes = classes or _equal_columns(table, roles), (*notes, *said)
        kind = SCORE_KEYS.get(table.names[roles.scores[0]].lower())
        heading = _heading(table, roles.ids)
        return Contents(values, classes, ids, kind, is_table=True, notes=notes, id_heading=heading)
    columns = [table.numbers(column) for column in roles.scores]
    values = np.stack(columns, axis=1)
    _check_missing(table, roles, values)
    names = tuple(table.names[c] for c in roles.scores) if table.has_header else None
    heading = _heading(table, roles.ids)
    if roles.reverse:
        names = reading.columns
    return Contents(
        *(values, names, ids),
        is_table=True,
        notes=notes,
        id_heading=heading,
        reverse=roles.reverse,
    )


def _predicted_labels(table: Table, reading: Reading) -> Contents | None:
    """The only column besides ids and true labels, if it holds names or whole numbers."""
    if is_reversed(table, reading.columns):
        return None
    truth = named_column(table, reading.label_column)
    exact, globbed = chosen_columns(table, reading.columns, truth)
    named = [*exact, *globbed]
    ids, named_ids = find_ids(table, reading, taken={truth, *named} - {None})
    aside = {truth, ids, *named_ids}
    columns = named or [c for c in range(len(table.names)) if c not in aside]
    if len(columns) != 1 or is_list(table.columns[columns[0]]):
        return None
    name, values = table.names[columns[0]], table.columns[columns[0]]
    numbers = as_floats(values)
    if numbers is not None:
        on_any_scale = reading.any_scale and named and not np.isin(numbers, (0, 1)).all()
        whole = np.isfinite(numbers).all() and (numbers % 1 == 0).all()
        if reading.kind is not None or on_any_scale or not whole:
            return None
    if table.has_header and not named and is_truth(name):
        refuse(
            f"the column {name!r} looks like true labels; if it holds predicted ones, name it with "
            "columns= (--columns)"
        )
    text = table.text(columns[0])
    if "" in text:
        refuse(f"{table.where(text.index(''))}, column {name!r} must be a label, got nothing")
    if len(table.names) == 1 and table.has_header and is_text(values) and name in text:
        text = [name, *text]  # a label like the others, and no header
    row_ids = None if ids is None else _ids(table, ids)
    found, heading = text_array(text), _heading(table, ids)
    return Contents(found, None, row_ids, is_labels=True, notes=table.notes, id_heading=heading)


def _heading(table: Table, ids: int | None) -> str:
    """What the column of ids is called, `id` where it has no name."""
    return (table.has_header and ids is not None and table.names[ids].strip()) or "id"


def _equal_columns(table: Table, roles: Roles) -> tuple[str, ...] | None:
    """Names of the columns that repeat the entries of a list column."""
    values = np.asarray(table.columns[roles.scores[0]])
    aside = (*roles.scores, roles.ids, roles.labels)
    numbers = {
        name: found
        for c, name in enumerate(table.names)
        if c not in aside and (found := as_floats(table.columns[c])) is not None
    }
    named = [name for name in numbers if not is_suspect(name)]
    if len(named) == values.shape[1]:
        block = np.stack([numbers[name] for name in named], axis=1)
        if np.allclose(block, values, rtol=1e-6, atol=1e-9, equal_nan=True):
            return tuple(named)
    return None


def _check_missing(table: Table, roles: Roles, values: NDArray[np.number]) -> None:
    """Refuse a row that lacks some of its scores."""
    if values.dtype.kind != "f":
        return
    missing = np.isnan(values)
    partial = missing.any(axis=1) & ~missing.all(axis=1)
    if partial.any():
        row = int(np.argmax(partial))
        name = table.names[roles.scores[int(np.argmax(missing[row]))]]
        refuse(f"{table.where(row)}, column {name!r} must be a number, got none")


def _ids(table: Table, column: int) -> NDArray[np.str_] | None:
    text = table.text(column)
    if any(cell == "" for cell in text):
        if all(cell.lower() in MISSING for cell in text):  # a column without a name or a value
            return None
        row = text.index("")
        refuse(f"{table.where(row)}, column {table.names[column]!r} must name the row, got nothing")
    values = table.columns[column]
    if isinstance(values, np.ndarray) and np.isnan(values.astype(np.float64)).all():
        return None
    return id_array(text_array(text))


def labels_of(table: Table, reading: Reading) -> Contents:
    """The labels of a table: the column asked for, or all columns but ids; as text."""
    label = named_column(table, reading.label_column)
    if label is None and reading.label_column is not None and len(table.names) > 2:
        refuse(f"it has no column {reading.label_column!r} of labels, got {listed(table.names)}")
    ids = None
    if table.has_header and len(table.names) > 1:
        has_ids = (
            named_column(table, reading.id_column) is not None or reading.id_column == NO_COLUMN
        )
        ids, _ = find_ids(table, reading if has_ids else Reading(), taken={label} - {None})
    elif table.has_header and table.names[0].lower() == "id":
        refuse("it has no column of labels")
    columns = [c for c in range(len(table.names)) if c != ids] if label is None else [label]
    row_ids, heading = None if ids is None else _ids(table, ids), _heading(table, ids)
    if len(columns) == 1 and is_list(table.columns[columns[0]]):
        values, classes, _ = in_class_order(table, columns[0], (ids,))
        return Contents(values, classes, row_ids, id_heading=heading)
    found = [_label_values(table, column) for column in columns]
    if len(found) == 1:
        is_first = not table.has_header
        alone = Contents(found[0], None, row_ids, header_or_label=is_first, is_table=True)
        return replace(alone, id_heading=heading)
    names = tuple(table.names[c] for c in columns) if table.has_header else None
    is_alike = len({column.dtype.kind in "US" for column in found}) == 1
    stacked = np.stack(found if is_alike else [c.astype(np.str_) for c in found], axis=1)
    return Contents(stacked, names, row_ids, is_table=True, id_heading=heading)


def _label_values(table: Table, column: int) -> NDArray[np.generic]:
    values = table.columns[column]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values
    return text_array(table.text(column))
