"""Values of rows, such as groups and weights, and tables of costs, from files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.labels import PathLike, look_up, one_column, to_numbers
from postproc.files.paths import LABEL_SUFFIXES, resolve_path
from postproc.files.reading import Reading
from postproc.scores.checks import fail
from postproc.scores.names import matching_order


def load_row_values(
    path: PathLike,
    *,
    n_rows: int,
    ids: NDArray[np.str_] | None = None,
    predicted: NDArray[np.bool_] | None = None,
    reading: Reading | None = None,
) -> tuple[NDArray[Any], str]:
    """Read one value a row, (n,), in any format of labels; and the file's name for messages.

    Values with ids are looked up by `ids`, of which the file may have more; without ids those of
    rows that `Predictions.predicted` leaves out are left out, too.
    """
    found = resolve_path(path, LABEL_SUFFIXES)
    contents = formats.read(found, reading, labels=True)
    name = str(found)
    values = one_column(contents, None, name)
    if contents.header_or_label and len(values) == n_rows + 1:
        values = values[1:]
    if ids is not None and contents.ids is not None:
        values = values[look_up(contents.ids, ids, f"ids of {name}")]
    elif predicted is not None and len(values) == len(predicted):
        values = values[predicted]
    if len(values) != n_rows:
        fail(name, f"as long as the predictions ({n_rows} rows)", f"{len(values)} rows")
    return values, name


def load_row_weights(path: PathLike, **rows: Any) -> tuple[NDArray[Any], str]:
    """Read the weight of each row, numbers (n,), as `load_row_values` does."""
    values, name = load_row_values(path, **rows)
    return to_numbers(values, name), name


def load_costs(
    path: PathLike, *, n_classes: int, classes: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Read a table of costs (C, C): rows are true classes, columns decided ones.

    Columns and rows of a table with class names are put in the order of `classes`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or damaged, is no table of numbers, or has other classes.
    """
    found = resolve_path(path, LABEL_SUFFIXES)
    name = str(found)
    contents = formats.read(found, labels=True)
    values = np.asarray(contents.values)
    if values.shape != (n_classes, n_classes):
        rule = f"a table of costs with a row and a column for each of {n_classes} classes"
        fail(name, rule, f"shape {values.shape}")
    if classes is not None:
        for axis, names in ((0, contents.ids), (1, contents.classes)):
            if names is not None:
                what = f"{'rows' if axis == 0 else 'columns'} of {name}"
                order = matching_order(names, classes, what, like="the predictions")
                values = values if order is None else np.take(values, order, axis=axis)
    return np.asarray(to_numbers(values, name), dtype=np.float64)
