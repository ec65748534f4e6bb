"""Labels that do not exclude each other: columns of zeros and ones, or lists of names."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.labels import (
    PathLike,
    look_up,
    order_of,
    read_labels,
    tell_by_place,
    tell_unused,
)
from postproc.files.reading import Reading, ReadingWarning
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.label_numbers import to_numbers
from postproc.scores.multilabel import check_label_matrix
from postproc.scores.names import some
from postproc.scores.predictions import Predictions
from postproc.scores.prior import check_multilabels
from postproc.scores.tables.tables import is_number

#: What may stand between the names of a row, the likelier ones first; whitespace is the last.
SEPARATORS = ("|", ";", ",")


def load_multilabels(
    path: PathLike,
    *,
    shape: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
    reading: Reading | None = None,
    predicted: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Read an (n, m) array of zeros and ones, one column a label.

    Where the names of the labels are known, a row may also be a list of them: JSON, or names with
    `|`, `;`, `,` or spaces between them; which of these is said.

    Parameters
    ----------
    path : path-like
        A file in any of the formats of predictions; the suffix may be omitted.
    shape : (n, m), optional
        The shape that is wanted.
    classes : sequence of m str, optional
        Names of the labels; columns of a file with names of its own are put in this order.
    ids : array of str, shape (n,), optional
        The rows' names; rows of a file with ids of its own are looked up by them.
    reading : Reading, optional
        The column of lists, the column of ids, or the key to read.
    predicted : array of bool, shape (n_file,), optional
        The rows of the file to read, where `Predictions.predicted` leaves out others; rows with
        ids are looked up by them.

    Returns
    -------
    ndarray of shape (n, m), int8
        Zeros and ones.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If the file is missing or damaged, has another shape, or holds anything else.

    Warns
    -----
    ReadingWarning
        Where lists of names are read, or labels are of rows without predictions.
    """
    name, contents = read_labels(path, reading)
    values = np.asarray(contents.values)
    if ids is not None and contents.ids is not None:
        values = values[look_up(contents.ids, ids, f"ids of {name}")]
        tell_unused(contents.ids, ids, name, predicted)
    tell_by_place(name, ids, contents.ids)
    is_by_place = ids is None or contents.ids is None
    if is_by_place and predicted is not None and len(values) == len(predicted):
        values = values[predicted]
    if values.ndim == 1 or values.shape[1:] == (1,):
        cells = values.reshape(-1).astype(np.str_).tolist()
        if classes is not None and not all(map(is_number, cells)):
            values = _from_names(cells, classes, None if shape is None else shape[0], name)
        elif shape is not None and shape[1] == 1:
            values = values.reshape(-1, 1)
    values = to_numbers(values, name)
    if classes is not None and contents.classes is not None:
        values = values[:, order_of(contents.classes, classes, f"class names of {name}")]
    return check_multilabels(values, shape=shape, name=name)


def load_multilabels_of(
    path: PathLike, predictions: Predictions, *, reading: Reading | None = None
) -> NDArray[np.int8]:
    """Read the labels (n, m) of multi-label predictions, in the order of their rows and columns."""
    labels = load_multilabels(
        path,
        shape=(predictions.n_rows, predictions.n_classes),
        classes=predictions.classes,
        ids=predictions.ids,
        reading=reading,
        predicted=predictions.predicted,
    )
    return check_label_matrix(labels, predictions, name=str(path))


def _from_names(
    cells: list[str], classes: Sequence[str], n_rows: int | None, name: str
) -> NDArray[np.int8]:
    """Zeros and ones (n, m) of lists of names; a heading on top of them is left out."""
    known = {class_name: j for j, class_name in enumerate(classes)}
    is_json = all(cell.startswith("[") for cell in cells if cell)
    separator = next((mark for mark in SEPARATORS if any(mark in cell for cell in cells)), None)
    rows = [_names_of(cell, known, separator, is_json=is_json) for cell in cells]
    if n_rows is not None and len(rows) == n_rows + 1 and not known.keys() >= set(rows[0]):
        rows = rows[1:]
    labels = np.zeros((len(rows), len(classes)), np.int8)
    for row, names in enumerate(rows):
        for each in names:
            if each not in known:
                fail(f"{name}, row {row}", f"names of the labels {some(list(classes))}", repr(each))
            labels[row, known[each]] = 1
    marks = "in JSON" if is_json else f"separated by {repr(separator) if separator else 'spaces'}"
    said = f"{name}: each row is read as a list of names {marks}"
    warnings.warn(coded("read", said), ReadingWarning, stacklevel=3)
    return labels


def _names_of(
    cell: str, known: dict[str, Any], separator: str | None, *, is_json: bool
) -> list[str]:
    """The names in one cell; a cell that is a name is one."""
    if not cell.strip():
        return []
    if is_json:
        for read in (json.loads, ast.literal_eval):  # as Python prints lists, too
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                return [str(each) for each in read(cell)]
        return [cell]
    if cell.strip() in known:
        return [cell.strip()]
    return [part for each in cell.split(separator) if (part := each.strip())]
