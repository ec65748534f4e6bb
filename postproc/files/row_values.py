"""Values of rows, such as groups and weights, from files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.labels import (
    PathLike,
    below_heading,
    look_up,
    one_column,
    read_labels,
    tell_by_place,
)
from postproc.files.reading import Reading
from postproc.scores.checks import fail
from postproc.scores.label_numbers import to_numbers


def load_row_values(
    path: PathLike,
    *,
    n_rows: int,
    ids: NDArray[np.str_] | None = None,
    predicted: NDArray[np.bool_] | None = None,
    reading: Reading | None = None,
) -> tuple[NDArray[Any], str]:
    """Read one value a row, (n,), in any format of labels; and the file's name for messages.

    `FILE:COLUMN` names the column of a table. Values with ids are looked up by `ids`, of which the
    file may have more; without ids those of rows that `Predictions.predicted` leaves out are left
    out, too.
    """
    name, contents = read_labels(path, replace(reading or Reading(), label_column=None))
    values = one_column(contents, None, name, of="values", chosen="FILE:COLUMN")
    values = below_heading(values, contents, n_rows if predicted is None else len(predicted), name)
    tell_by_place(name, ids, contents.ids)
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
