"""Class prior: the class distribution that data are believed to have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import as_numpy
from postproc.scores.checks import check_choice, check_count, check_labels, fail, fail_type
from postproc.scores.frames.arguments import takes_frames

PriorKind = Literal["labels", "counts", "vector"]


@takes_frames(priors=("source",))
def class_prior(
    source: Any,
    *,
    n_classes: int,
    kind: PriorKind | None = None,
    name: str = "prior",
    classes: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Class distribution q from labels, counts, a vector or the word "uniform".

    An array of C floats is a vector; integers are labels, unless there are C of them and one is C
    or more, which makes them counts. C integers below C could be either: declare the kind.

    Parameters
    ----------
    source : array_like of shape (n,) or (C,), or "uniform"
        Labels in 0..C-1, counts per class, or a distribution; counts and distributions are scaled
        to sum 1.
    n_classes : int
        Number of classes C.
    kind : {"labels", "counts", "vector"}, optional
        What `source` is.
    name : str
        What messages call the source.
    classes : sequence of C str, optional
        Class names, which labels may be given by, and a Series or mapping of shares by class.

    Returns
    -------
    ndarray of shape (C,)
        The prior, float64, summing to 1. Classes of prior zero are legal.

    Raises
    ------
    TypeError
        If the source does not hold real numbers.
    ValueError
        If it has the wrong length, negative entries or zeros only, a label outside 0..C-1, or
        could be labels as well as counts.

    Examples
    --------
    >>> class_prior([0, 0, 0, 1], n_classes=2)
    array([0.75, 0.25])
    >>> class_prior("uniform", n_classes=4)
    array([0.25, 0.25, 0.25, 0.25])
    """
    n_classes = check_count(n_classes, "n_classes", low=2)
    if kind is not None:
        check_choice(kind, "kind", ("labels", "counts", "vector"))
    if isinstance(source, str):
        if source != "uniform":
            fail(name, '"uniform", labels, counts or a vector', repr(source))
        return np.full(n_classes, 1.0 / n_classes)
    array = as_numpy(source)
    if array.dtype.kind not in "iubf":
        fail_type(name, "labels, counts or a vector of real numbers", f"dtype {array.dtype}")
    if array.ndim != 1:
        fail(name, "one-dimensional", f"shape {array.shape}")
    if (kind or _detect(array, n_classes, name)) == "labels":
        labels = check_labels(array, n_classes=n_classes, name=name)
        if len(labels) == 0:
            fail(name, "one label or more", "none")
        return np.bincount(labels, minlength=n_classes) / len(labels)
    return _normalize(array, n_classes, name, detected=kind is None)


@takes_frames(labels={"labels": "labels"})
def multilabel_prior(labels: Any, *, name: str = "prior") -> NDArray[np.float64]:
    """Shares of positive and negative labels in an (n, m) array of zeros and ones.

    Parameters
    ----------
    labels : array_like of shape (n, m)
        One column a label, 1 where the row has it.
    name : str
        What messages call the labels.

    Returns
    -------
    ndarray of shape (2,)
        Share of ones, share of zeros.

    Raises
    ------
    ValueError
        If `labels` is not two-dimensional or holds anything but zeros and ones.

    Examples
    --------
    >>> multilabel_prior([[1, 0], [0, 0]])
    array([0.25, 0.75])
    """
    array = check_multilabels(labels, name=name)
    if array.size == 0:
        fail(name, "one label or more", "none")
    positive = float(array.mean())
    return np.array([positive, 1.0 - positive])


def check_multilabels(
    labels: Any, *, shape: tuple[int, int] | None = None, name: str = "labels"
) -> NDArray[np.int8]:
    """Return an (n, m) array of zeros and ones; ValueError names the first other entry."""
    array = as_numpy(labels)
    if array.ndim != 2 or (shape is not None and array.shape != shape):
        wanted = "two-dimensional, (rows, labels)" if shape is None else f"of shape {shape}"
        fail(name, wanted, f"shape {array.shape}")
    bad = (array != 0) & (array != 1)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        fail(f"{name}, row {row}, column {column}", "0 or 1", array[row, column].item())
    return array.astype(np.int8)


def _detect(array: NDArray[Any], n_classes: int, name: str) -> PriorKind:
    if array.dtype.kind == "f":
        return "vector"
    if len(array) != n_classes:
        return "labels"
    if ((array >= n_classes) | (array < 0)).any():
        return "counts"
    got = f"{n_classes} integers that could be either"
    mend = 'declare kind="labels" (--prior-kind labels) or kind="counts" (--prior-kind counts)'
    return fail(name, "clearly labels or clearly counts", got, mend)


#: Priors of larger numbers are scaled before they are summed.
LARGEST = 1e100


def _normalize(
    array: NDArray[Any], n_classes: int, name: str, *, detected: bool
) -> NDArray[np.float64]:
    if len(array) != n_classes:
        with np.errstate(invalid="ignore"):
            whole = detected and len(array) > 0 and bool((array % 1 == 0).all())
        mend = 'if it holds labels, declare kind="labels" (--prior-kind labels)' if whole else ""
        fail(name, f"of length {n_classes}, one number a class", f"length {len(array)}", mend)
    weights = array.astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        fail(f"{name}[{at}]", "a finite number >= 0", f"{weights[at]:g}")
    if not weights.any():
        fail(name, "a vector with mass", "zeros only")
    if weights.max() > LARGEST:  # their sum might be infinite
        weights /= weights.max()
    total: np.float64 = weights.sum()
    return weights / total
