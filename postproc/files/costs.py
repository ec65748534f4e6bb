"""Cost tables: what each decision costs for each true class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.dialects import sniff
from postproc.files.labels import PathLike
from postproc.files.paths import LABEL_SUFFIXES, resolve_path, suffix_of
from postproc.scores.checks import fail
from postproc.scores.label_numbers import to_numbers
from postproc.scores.names import ABSTAIN, matching_order
from postproc.scores.tables.tables import is_number

#: Formats in which a header names the decisions.
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def load_costs(
    path: PathLike, *, n_classes: int, classes: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Costs of decisions (columns) for true classes (rows), (C, C); those of abstaining last.

    The header of a table names the decisions. A column in front may name the true classes;
    otherwise rows are in the order of the header. Numbers alone have the order of the classes.
    """
    found = resolve_path(path, LABEL_SUFFIXES)
    if suffix_of(found) not in TABLES:
        return _load_array(found, classes)
    with formats.reading_of(found):
        table = sniff(found, ",").rows()
        rows = [(line, [cell.strip() for cell in cells]) for line, cells in table]
    if len(rows) == n_classes and all(is_number(cell) for _, cells in rows for cell in cells):
        return _load_array(found, classes)
    names = list(classes) if classes is not None else [str(j) for j in range(n_classes)]
    header = rows[0][1] if rows else []
    decisions = [name for name in header if name != ABSTAIN or ABSTAIN in names]
    is_named = len(decisions) == n_classes + 1  # a column in front names the rows
    decisions = decisions[is_named:]
    mend = "name the classes of the predictions (--classes)" if classes is None else ""
    columns = matching_order(
        decisions, names, f"decisions of {found}", like="the predictions", others=mend
    )
    if len(rows) != n_classes + 1:
        fail(str(found), f"a table of {n_classes} rows under its header", f"{len(rows) - 1}")
    values = np.empty((n_classes, len(header) - is_named))
    for row, (line, cells) in enumerate(rows[1:]):
        if len(cells) != len(header):
            fail(f"{found}, line {line}", f"{len(header)} cells like the header", f"{len(cells)}")
        for column, cell in enumerate(cells[is_named:]):
            if not is_number(cell):
                where = f"{found}, line {line}, column {header[column + is_named]!r}"
                fail(where, "a number", repr(cell))
            values[row, column] = float(cell)
    true = [cells[0] for _, cells in rows[1:]] if is_named else decisions
    order = matching_order(true, names, f"rows of {found}", like="the predictions")
    order = np.arange(n_classes) if order is None else order
    at = [header.index(name, int(is_named)) - is_named for name in decisions]
    left = [column for column in range(values.shape[1]) if column not in at]
    columns = np.arange(n_classes) if columns is None else columns
    return values[order][:, [*np.array(at)[columns], *left]]


def decisions_in(path: PathLike) -> set[str]:
    """Names in the header of a table of costs, less those of abstaining and of a column in front.

    Empty where it holds numbers alone, or cannot be read.
    """
    try:
        found = resolve_path(path, LABEL_SUFFIXES)
        if suffix_of(found) not in TABLES:
            return set()
        with formats.reading_of(found):
            rows = [[cell.strip() for cell in cells] for _, cells in sniff(found, ",").rows()]
    except (OSError, ValueError):
        return set()
    in_front = len(rows) > 1 and not is_number(rows[1][0])
    names = rows[0][in_front:] if rows else []
    return set() if any(map(is_number, names)) else set(names) - {ABSTAIN}


def _load_array(path: Path, classes: Sequence[str] | None) -> NDArray[np.float64]:
    """Numbers without a header, or with names as their format keeps them."""
    contents = formats.read(path, labels=True)
    values = to_numbers(np.asarray(contents.values), str(path))
    for axis, names in ((0, contents.ids), (1, contents.classes)):
        if names is not None and classes is not None:
            what = f"{'rows' if axis == 0 else 'columns'} of {path}"
            order = matching_order(names, classes, what, like="the predictions")
            values = values if order is None else np.take(values, order, axis=axis)
    return np.asarray(values, dtype=np.float64)
