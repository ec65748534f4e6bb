"""Labels, class names and priors from files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.checks import check_labels, fail
from postproc.files import formats
from postproc.files.paths import LABEL_SUFFIXES, resolve_path
from postproc.prior import PriorKind, check_multilabels, class_prior, multilabel_prior

PathLike = str | os.PathLike[str]

#: The file of class names that is looked for beside predictions.
CLASS_FILE = "classes.txt"


def load_class_names(path: PathLike) -> tuple[str, ...]:
    """Read class names, one a line.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or a line is empty.
    """
    found = resolve_path(path, (".txt", ".csv"))
    return tuple(str(name) for name in formats.read(found, labels=True).values)


def load_labels(
    path: PathLike,
    *,
    n_classes: int,
    n_rows: int | None = None,
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
) -> NDArray[np.int64]:
    """Read labels: integers 0..C-1, or class names where the classes are known.

    Where the class names are themselves integers, labels are read as names. Labels with ids are
    put in the order of `ids`.

    Parameters
    ----------
    path : path-like
        A file of one label a row in any of the formats of predictions, or a text file of one label
        a line; the suffix may be left away.
    n_classes : int
        Number of classes C.
    n_rows : int, optional
        The number of labels that is wanted.
    classes : sequence of C str, optional
        Class names.
    ids : array of str, shape (n,), optional
        The rows' names in the order that is wanted.

    Returns
    -------
    ndarray of shape (n,), int64
        Labels in 0..C-1.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If the file is missing or damaged, has another number of rows, or a label is unknown.
    """
    found = resolve_path(path, LABEL_SUFFIXES)
    contents = formats.read(found, labels=True)
    values = np.asarray(contents.values)
    name = str(found)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        fail(name, "labels, one a row", f"shape {values.shape}")
    if ids is not None and contents.ids is not None:
        values = values[_order(contents.ids, ids, name)]
    labels = _to_integers(values, classes, n_classes, name)
    return check_labels(labels, n_classes=n_classes, n_rows=n_rows, name=name)


def load_multilabels(path: PathLike, *, shape: tuple[int, int] | None = None) -> NDArray[np.int8]:
    """Read an (n, m) array of zeros and ones, one column a label.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or damaged, has another shape, or holds anything else.
    """
    found = resolve_path(path, LABEL_SUFFIXES)
    values = np.asarray(formats.read(found).values)
    return check_multilabels(values, shape=shape, name=str(found))


def load_prior(
    source: str,
    *,
    n_classes: int,
    classes: Sequence[str] | None = None,
    kind: PriorKind | None = None,
    multilabel: bool = False,
) -> NDArray[np.float64]:
    """Class prior from the word "uniform", numbers like "2,1,1", or a file of labels or counts.

    Parameters
    ----------
    source : str
        `uniform`; C numbers with commas, which are counts or shares; or a file (suffix optional)
        of labels, of C counts, or of a vector of C floats.
    n_classes : int
        Number of classes C.
    classes : sequence of C str, optional
        Class names, for labels that are names.
    kind : {"labels", "counts", "vector"}, optional
        What a file holds, where it could be taken for something else.
    multilabel : bool
        A file holds an (n, m) array of zeros and ones; the prior is of positives and negatives.

    Returns
    -------
    ndarray of shape (C,), or (2,) with `multilabel`
        The prior, summing to 1.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If the file is missing or damaged, or the numbers make no prior.
    """
    n_classes = 2 if multilabel else n_classes
    if source == "uniform":
        return class_prior(source, n_classes=n_classes)
    if "," in source and not Path(source).exists():
        try:
            numbers = [float(part) for part in source.split(",")]
        except ValueError:
            fail("prior", "numbers with commas between them", repr(source))
        return class_prior(numbers, n_classes=n_classes, kind="vector")
    found = resolve_path(source, LABEL_SUFFIXES)
    values = np.asarray(formats.read(found, labels=True).values)
    name = str(found)
    if multilabel and values.ndim == 2:
        values = values.astype(np.float64) if values.dtype.kind == "U" else values
        return multilabel_prior(values, name=name)
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    if values.dtype.kind in "UST":
        floats = _as_floats(values)
        if floats is not None and len(values) == n_classes and kind != "labels":
            values = floats
        else:
            values = _to_integers(values, classes, n_classes, name)
    return class_prior(values, n_classes=n_classes, kind=kind, name=name)


def _as_floats(values: NDArray[Any]) -> NDArray[Any] | None:
    """Numbers that text holds, as integers where all are, or None if it holds names."""
    for dtype in (np.int64, np.float64):
        try:
            return values.astype(dtype)
        except ValueError:
            continue
    return None


def _to_integers(
    values: NDArray[Any], classes: Sequence[str] | None, n_classes: int, name: str
) -> NDArray[Any]:
    is_text = values.dtype.kind in "UST"
    names = list(classes) if classes is not None else []
    numeric_names = bool(names) and all(n.lstrip("-").isdigit() for n in names)
    plain = names == [str(j) for j in range(len(names))]
    if not is_text and not (numeric_names and not plain):
        return values
    numbers = _as_floats(values) if is_text else values
    if numbers is not None and numbers.dtype.kind in "iuf" and not (numeric_names and not plain):
        return numbers
    if not names:
        row = 0 if numbers is not None else _first_name(values)
        fail(
            f"{name}, row {row}",
            f"an integer in 0..{n_classes - 1}",
            repr(str(values[row])),
            f"name the classes in {CLASS_FILE} or with --classes",
        )
    index = {class_name: j for j, class_name in enumerate(names)}
    labels = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values.astype(np.str_)):
        if value not in index:
            known = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            fail(f"{name}, row {row}", f"one of the classes {known}", repr(str(value)))
        labels[row] = index[value]
    return labels


def _first_name(values: NDArray[Any]) -> int:
    return next(row for row, value in enumerate(values) if not formats._is_integer(str(value)))


def _order(have: NDArray[np.str_], want: NDArray[np.str_], name: str) -> NDArray[np.int64]:
    """Positions in `have` of the ids in `want`; both must hold the same ids."""
    position = {row_id: row for row, row_id in enumerate(have.tolist())}
    missing = [row_id for row_id in want.tolist() if row_id not in position]
    extra = set(position).difference(want.tolist())
    if missing or extra or len(position) != len(have):
        what = f"it lacks {missing[:3]}" if missing else f"it also has {sorted(extra)[:3]}"
        fail(f"ids of {name}", "the ids of the predictions", what if missing or extra else "twice")
    return np.array([position[row_id] for row_id in want.tolist()], dtype=np.int64)
