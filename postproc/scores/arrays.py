"""Softmax and related functions for NumPy arrays and torch tensors, by the array API standard."""

from __future__ import annotations

from typing import Any

import array_api_compat as api
import numpy as np

from postproc.scores.checks import fail, fail_type
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.frames.native import is_native

#: A NumPy array or a torch tensor; outputs are of the type of the input.
Array = Any


def as_array(values: Any, name: str) -> Array:
    """Return a real NumPy array or torch tensor; array-likes become NumPy arrays."""
    if api.is_torch_array(values):
        if values.is_complex():
            fail_type(name, "an array of real numbers", f"dtype {values.dtype}")
        return values
    if is_native(values):  # its columns have names, which must not be lost
        fail_type(name, "an array", f"a {type(values).__name__}", "call to_numpy() first")
    try:
        array = np.asarray(values)
    except ValueError:
        fail(name, "an array with rows of equal length", "rows of different lengths")
    if array.dtype.kind not in "fiub":
        if hasattr(values, "toarray"):  # a sparse matrix of SciPy
            fail_type(name, "a dense array", f"a {type(values).__name__}", "call toarray() first")
        fail_type(name, "an array of real numbers", f"dtype {array.dtype}")
    return array


def as_floating(x: Array) -> Array:
    """Return `x` in float32 or float64: narrower floats are widened, integers become float64."""
    xp = api.array_namespace(x)
    if x.dtype in (xp.float32, xp.float64):
        return x
    narrow = xp.isdtype(x.dtype, "real floating") and xp.finfo(x.dtype).bits < 32
    return xp.astype(x, xp.float32 if narrow else xp.float64)


def beside(values: Any, x: Array) -> Array:
    """Return an array with the library, dtype and device of `x`."""
    xp = api.array_namespace(x)
    return xp.asarray(values, dtype=x.dtype, device=api.device(x))


def as_native(values: Any, like: Array) -> Array:
    """Return an array with its own dtype and the library and device of `like`."""
    return api.array_namespace(like).asarray(values, device=api.device(like))


def as_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Return a NumPy view or copy of an array or tensor on any device."""
    if api.is_torch_array(x):
        x = x.detach().cpu()
        return np.asarray(x.float() if str(x.dtype) == "torch.bfloat16" else x)
    return np.asarray(x)


def row_sums(x: Array) -> Array:
    """Row sums of an (n, C) array; NumPy's einsum is several times faster than its sum."""
    if api.is_torch_array(x):
        return x.sum(dim=1)
    return np.einsum("ij->i", x)


@takes_frames("logits", returns="scores")
def softmax(logits: Array, *, axis: int = -1) -> Array:
    """Softmax: the exponentials of the scores, divided by their sum.

    Parameters
    ----------
    logits : array or tensor of shape (..., C)
        Finite scores, in natural-log units. Float16 and bfloat16 are computed in float32,
        integers in float64.
    axis : int
        Axis of the classes.

    Returns
    -------
    array or tensor of the shape of `logits`
        Probabilities, which sum to 1 along `axis`.

    Raises
    ------
    TypeError
        If `logits` does not hold real numbers.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    x = as_floating(as_array(logits, "logits"))
    xp = api.array_namespace(x)
    with np.errstate(over="ignore"):  # exp of an overflowed difference is 0
        exponentials = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return exponentials / xp.sum(exponentials, axis=axis, keepdims=True)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    xp = api.array_namespace(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + small), small / (1 + small))


@takes_frames("logits", returns="scores")
def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """Logarithm of the softmax, more precise than computing both in turn.

    Parameters
    ----------
    logits : array or tensor of shape (..., C)
        Finite scores, in natural-log units.
    axis : int
        Axis of the classes.

    Returns
    -------
    array or tensor of the shape of `logits`
        Log-probabilities.

    Raises
    ------
    TypeError
        If `logits` does not hold real numbers.

    Examples
    --------
    >>> log_softmax([[1000.0, 0.0]])
    array([[    0., -1000.]])
    """
    x = as_floating(as_array(logits, "logits"))
    xp = api.array_namespace(x)
    lowest = xp.finfo(x.dtype).min
    with np.errstate(over="ignore"):
        shifted = x - xp.max(x, axis=axis, keepdims=True)
    if api.is_numpy_array(x):  # in place, because fresh memory costs more than the arithmetic
        np.maximum(shifted, lowest, out=shifted)
        shifted -= np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
        return shifted
    shifted = xp.clip(shifted, lowest, None)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@takes_frames("probs", returns="scores")
def undo_softmax(probs: Array) -> Array:
    r"""Undo one softmax too many: from softmax(p) back to probabilities p.

    .. math:: p = \log s + (1 - \sum_j \log s_j) / C

    Exact, because the entries of p sum to 1.

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        The softmax s of probabilities, rows summing to 1.

    Returns
    -------
    array or tensor of shape (n, C)
        The probabilities p.

    Raises
    ------
    TypeError
        If `probs` does not hold real numbers.
    ValueError
        If a row is not the softmax of probabilities: p would leave [0, 1].

    Examples
    --------
    >>> undo_softmax(softmax([[0.9, 0.1]]))
    array([[0.9, 0.1]])
    """
    s = as_floating(as_array(probs, "probs"))
    xp = api.array_namespace(s)
    logs = xp.log(xp.clip(s, xp.finfo(s.dtype).smallest_normal, None))
    p = logs + (1 - xp.sum(logs, axis=-1, keepdims=True)) / s.shape[-1]
    slack = 32 * xp.finfo(s.dtype).eps * s.shape[-1]
    outside = xp.any((p < -slack) | (p > 1 + slack), axis=-1)
    if xp.any(outside):
        row = int(np.flatnonzero(as_numpy(outside))[0])
        got = f"{float(xp.min(p[row, :])):.4g} to {float(xp.max(p[row, :])):.4g}"
        fail("probs", "the softmax of probabilities", f"row {row}, which came from {got}")
    return xp.clip(p, 0.0, 1.0)  # whole bounds fail in array-api-compat 1.11
