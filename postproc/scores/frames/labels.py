"""Labels and priors by class name, of lists, arrays, Series and DataFrames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.frames.frame import read_table
from postproc.scores.frames.native import (
    check_default,
    column_of,
    is_native,
    is_series,
    open_native,
    row_names,
)
from postproc.scores.names import matching_order, positions, some
from postproc.scores.tables.choice import ColumnChoice
from postproc.scores.tables.id_columns import find_ids
from postproc.scores.tables.tables import as_floats, is_number

Ids = NDArray[np.str_] | None


class Labels(NamedTuple):
    """Labels as they are, (n,) or (n, m), their row names, and the narwhals object."""

    values: NDArray[Any]
    ids: Ids
    native: Any


def read_labels(value: Any, name: str, classes: Sequence[str] | None) -> Labels:
    """Labels of a native Series or DataFrame."""
    opened = open_native(value, name)
    if isinstance(opened, np.ndarray):
        return Labels(opened, None, None)
    if is_series(opened):
        return Labels(_values(opened, name), row_names(opened), opened)
    table = read_table(opened, name)
    several = len(table.names) > 1
    at, named = find_ids(table, ColumnChoice(), taken=()) if several else (None, set())
    ids = row_names(opened) if at is None else np.array(table.text(at), dtype=np.str_)
    rest = [c for c in range(len(table.names)) if c not in named | {at}]
    if len(rest) == 1:
        return Labels(_values(list(opened.iter_columns())[rest[0]], name), ids, opened)
    names = [table.names[c] for c in rest]
    if classes is not None:
        order = matching_order(names, classes, f"columns of {name}", like="the scores")
        rest = rest if order is None else [rest[c] for c in order]
    return Labels(np.stack([table.numbers(c) for c in rest], axis=1), ids, opened)


def match_rows(labels: Labels, wanted: Ids, name: str) -> NDArray[Any]:
    """Labels in the order of other row names, which may be fewer, where both have any."""
    if wanted is None:
        return labels.values
    if labels.ids is None:
        check_default(labels.native, wanted, name)
        return labels.values
    rows = positions(labels.ids, wanted)
    missing = wanted[rows < 0].tolist()
    if missing:
        mend = "use reset_index(drop=True) to match rows by position"
        fail(f"index of {name}", "that of the scores, or more", f"all but {some(missing)}", mend)
    return np.asarray(labels.values[rows])


def as_numbers(values: Any, classes: Sequence[str] | None, name: str) -> Any:
    """Labels as class numbers where they are names of classes; all others as they are.

    Numbers are names, too, where a class other than class j is called j. Lists of names, one a
    row, become zeros and ones, (n, m).
    """
    if holds_lists_of_names(values):
        return _one_column_a_name(values, classes, name)
    if not is_text(values):
        if classes is None or not (_has_numbers(classes) or "True" in classes):
            return values
        values = np.asarray(values)
        is_name = values.dtype.kind == "b" or (values.dtype.kind in "iuf" and "True" not in classes)
        if not is_name or values.ndim != 1:
            return values
    array = np.asarray(values)
    if classes is None or array.ndim != 1:
        return values
    if array.dtype.kind == "f" and (array % 1 == 0).all():
        array = array.astype(np.int64)
    text = [str(value) for value in array.tolist()]
    numbers = positions(classes, text)
    if (numbers < 0).any():
        row = int(np.argmax(numbers < 0))
        fail(f"{name}[{row}]", f"one of the class names {some(classes)}", repr(text[row]))
    return numbers


def holds_lists_of_names(values: Any) -> bool:
    """Whether labels are a list of lists or sets of text: the names that each row has."""
    if not isinstance(values, list | tuple) or not values:
        return False
    if not all(isinstance(names, list | tuple | set | frozenset) for names in values):
        return False
    first = next((label for names in values for label in names), None)
    return isinstance(first, str)


def _one_column_a_name(
    rows: Sequence[Collection[str]], classes: Sequence[str] | None, name: str
) -> NDArray[np.int8]:
    """Zeros and ones, (n, m), of the names of each row."""
    if classes is None:
        mend = "class names come from named columns or `classes`"
        fail(name, "zeros and ones where classes have no names", "lists of names", mend)
    index = {label: column for column, label in enumerate(classes)}
    matrix = np.zeros((len(rows), len(classes)), dtype=np.int8)
    for row, names in enumerate(rows):
        for label in names:
            if label not in index:
                fail(f"{name}[{row}]", f"names among {some(classes)}", repr(label))
            matrix[row, index[label]] = 1
    return matrix


def is_text(values: Any) -> bool:
    """Whether labels are text: an array of strings, or a list that begins with one."""
    if isinstance(values, list | tuple):
        return bool(values) and isinstance(values[0], str)
    return isinstance(values, np.ndarray) and (
        values.dtype.kind in "UT"
        or (values.dtype.kind == "O" and any(isinstance(v, str) for v in values.ravel().tolist()))
    )


def read_prior(value: Any, classes: Sequence[str] | None, n_classes: int, name: str) -> Any:
    """A prior by class name, of a Series or a mapping, as an array (C,); all else as it is."""
    wanted = list(classes or map(str, range(n_classes)))
    if isinstance(value, Mapping):
        names, shares = [str(key) for key in value], np.array(list(value.values()))
    elif is_native(value):
        opened = open_native(value, name)
        if isinstance(opened, np.ndarray):
            return opened
        shares, index = _values(opened, name), row_names(opened)
        names = [] if index is None or shares.dtype.kind not in "iuf" else index.tolist()
        if not names or (len(names) != n_classes and not set(names) <= set(wanted)):
            return as_numbers(shares, classes, name)
    else:
        return as_numbers(value, classes, name)
    if classes is None and not set(names) <= set(wanted):
        mend = "scores whose columns have names tell their order"
        fail(name, "an array where classes have no names", f"shares of {some(names)}", mend)
    order = matching_order(names, wanted, f"classes of {name}", like="the scores")
    shares = shares.astype(np.float64)
    return shares if order is None else shares[order]


def _values(opened: Any, name: str) -> NDArray[Any]:
    """One column: numbers, also those kept as objects, or text."""
    values = column_of(opened)
    if values is None:
        fail(name, "one value a row", f"a column of {opened.dtype}")
    if isinstance(values, np.ndarray):
        return values
    if "" in values:
        fail(f"{name}[{values.index('')}]", "a label", "none")
    numbers = as_floats(values) if str(opened.dtype) == "Object" else None
    return np.array(values) if numbers is None else numbers


def _has_numbers(classes: Sequence[str]) -> bool:
    """Whether a class is called by a number other than its own."""
    return any(is_number(name) and name != str(j) for j, name in enumerate(classes))
