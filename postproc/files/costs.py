"""Cost tables: what each decision costs for each true class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.dialects import sniff
from postproc.files.paths import resolve_path, suffix_of
from postproc.files.saving import PathLike
from postproc.scores.checks import fail
from postproc.scores.names import ABSTAIN, matching_order
from postproc.scores.tables.tables import is_number

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".npy")


def load_costs(
    path: PathLike, *, n_classes: int, classes: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Read costs of decisions (columns) for true classes (rows).

    The header of a table names the decisions. A column in front may name the true classes;
    otherwise rows are in the order of the header. An `.npy` array has the order of the classes.

    Parameters
    ----------
    path : path-like
        A `.csv`, `.tsv` or `.npy` file; the suffix may be omitted.
    n_classes : int
        Number of classes C.
    classes : sequence of C str, optional
        Class names; their numbers by default.

    Returns
    -------
    ndarray of shape (C, C), or (C, C + 1)
        Costs in the order of the classes; those of abstaining, in the column `abstain`, last.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or damaged, or is a table of other classes.
    """
    found = resolve_path(path, SUFFIXES)
    if suffix_of(found) == ".npy":
        return np.array(formats.read(found).values, dtype=np.float64)
    with formats.reading_of(found):
        table = sniff(found, ",").rows()
        rows = [(line, [cell.strip() for cell in cells]) for line, cells in table]
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
