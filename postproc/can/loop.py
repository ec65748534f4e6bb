r"""The loop of the paper: what CAN is, one ambiguous row after another.

Jia, Reiter, Lim, Artzi, Cardie (2021). When in Doubt: Improving Classification Performance with
Alternating Normalization. Findings of EMNLP 2021, section 3. arXiv:2109.13449.

Stack the reference rows A and one ambiguous row b, L₀ = [A; b], and repeat d times: raise every
entry to α, divide every column by its sum, multiply it by the prior q, divide every row by its
sum. The last row of L_d is the new b. Every ambiguous row starts again from the original A.

Here all of this happens in logarithms, which no power of α can empty. `postproc.can.reference`
gives the same result much faster, and falls back on this loop where floats do not suffice.
"""

from __future__ import annotations

import math
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.scores.arrays import Array, as_array, as_floating
from postproc.scores.binary import as_column, is_one_column, like_given, two_columns
from postproc.scores.checks import check_count, check_number, fail
from postproc.scores.frames.arguments import takes_frames

#: Larger exponents and more iterations are taken for a slip: by then one entry of each row has all
#: the mass, and the iterates have long converged.
MAX_ALPHA = 1000.0
MAX_ITERATIONS = 1000


@takes_frames("rows", "reference", priors=("prior",), returns="scores")
def alternating_normalization_loop(
    rows: Array,
    reference: Array,
    prior: Array,
    *,
    alpha: float = 1.0,
    iterations: int = 1,
    smoothing: float = 0.0,
    weights: Array | None = None,
    all_iterations: bool = False,
) -> Array:
    """Adjust every row with the loop of the paper: slow, exact, easy to check.

    Parameters, errors and result are those of `alternating_normalization`, but the result is
    always in float64.

    Examples
    --------
    >>> alternating_normalization_loop([[0.5, 0.5]], [[0.0, 1.0]], [0.5, 0.5])
    array([[0.75, 0.25]])
    """
    b, a, prior, weights = check_arrays(rows, reference, prior, weights)
    alpha, iterations, smoothing = check_parameters(alpha, iterations, smoothing)
    a, w, q, kept = prepare_reference(a, prior, smoothing, weights)
    xp = api.array_namespace(b)
    depths = xp.stack([xp.astype(b, xp.float64)] * iterations)
    for number in range(b.shape[0]):
        row = depths[0, number, :][kept]
        if xp.any(row > 0):
            depths[:, number, :] = 0.0
            depths[:, number, kept] = adjust_row(a, w, q, alpha, iterations, row)
    return like_given(depths if all_iterations else depths[-1, ...], rows)


@np.errstate(over="ignore")  # logarithms of what is zero beside the largest entry of its column
def adjust_row(a: Array, w: Array, q: Array, alpha: float, iterations: int, b: Array) -> Array:
    """All depths, (d, C), of one row b against reference rows a (n, C) with weights w (n,)."""
    xp = api.array_namespace(b)
    rows = xp.concat([xp.astype(a, xp.float64), b[None, :]])
    log_w = xp.log(xp.concat([w, xp.ones_like(b[:1])]))[:, None]
    logs = xp.log(xp.where(rows > 0, rows, xp.ones_like(rows)))
    logs = xp.where(rows > 0, logs, xp.full_like(rows, -math.inf))
    depths = []
    for _ in range(iterations):
        logs = alpha * logs
        logs = normalize(logs, log_sum(log_w + logs, axis=0), xp.log(q))
        depths.append(xp.exp(logs[-1, :]))
    return xp.stack(depths)


def normalize(logs: Array, log_columns: Array, log_q: Array) -> Array:
    """Divide columns by their sums, multiply them by the prior, divide rows by their sums."""
    logs = logs - log_columns + log_q
    return logs - log_sum(logs, axis=1)


def log_sum(logs: Array, axis: int) -> Array:
    """Logarithm of the sum of exponentials, 0 where every term is zero (the lines stay zero)."""
    xp = api.array_namespace(logs)
    top = xp.max(logs, axis=axis, keepdims=True)
    void = xp.isinf(top)
    top = xp.where(void, xp.zeros_like(top), top)
    total = xp.sum(xp.exp(logs - top), axis=axis, keepdims=True)
    return xp.where(void, top, top + xp.log(xp.where(void, xp.ones_like(total), total)))


def prepare_reference(
    reference: Array, prior: Array, smoothing: float, weights: Array | None
) -> tuple[Array, Array, Array, Array]:
    """A (n, C'), w (n,) and q (C',): rows and classes that count; which classes (C,) those are."""
    xp = api.array_namespace(reference)
    device = api.device(reference)
    n_classes = reference.shape[1]
    a = reference
    w = xp.ones(a.shape[0], dtype=xp.float64, device=device) if weights is None else weights
    one_hot = xp.eye(n_classes, dtype=a.dtype, device=device)
    if a.shape[0] == 0:
        a, w = one_hot, xp.ones(n_classes, dtype=xp.float64, device=device)
    if smoothing > 0:
        a = xp.concat([a, one_hot])
        w = xp.concat([w, xp.full((n_classes,), smoothing, dtype=xp.float64, device=device)])
    kept = prior > 0
    q = prior[kept] / xp.sum(prior)
    if not xp.all(kept):
        a = a[:, kept]
    counted = (a @ xp.ones(a.shape[1], dtype=a.dtype, device=device) > 0) & (w > 0)
    if not xp.all(counted):
        a, w = a[counted, :], w[counted]
    return a, w, q, kept


def check_parameters(alpha: Any, iterations: Any, smoothing: Any) -> tuple[float, int, float]:
    """The exponent, the number of iterations and the smoothing, if they are valid."""
    return (
        check_number(alpha, "alpha", low=0.0, high=MAX_ALPHA, open_low=True),
        check_count(iterations, "iterations", low=1, high=MAX_ITERATIONS),
        check_number(smoothing, "smoothing", low=0.0),
    )


def check_arrays(
    rows: Array, reference: Array, prior: Array, weights: Array | None
) -> tuple[Array, Array, Array, Array | None]:
    """Rows (k, C), reference (n, C), prior (C,) and weights (n,) as valid arrays."""
    b = _check_rows(rows, "rows")
    a = _check_rows(reference, "reference", n_columns=b.shape[1])
    prior = _check_vector(prior, "prior", b, b.shape[1])
    if weights is not None:
        weights = _check_vector(weights, "weights", a, a.shape[0])
    return b, a, prior, weights


def _check_rows(rows: Array, name: str, n_columns: int | None = None) -> Array:
    x = as_floating(as_array(rows, name))
    xp = api.array_namespace(x)
    if is_one_column(x):
        x = two_columns(as_column(x), "probs")
    if x.ndim != 2:
        fail(name, "two-dimensional, (rows, classes)", f"shape {tuple(x.shape)}")
    if n_columns is not None and x.shape[1] != n_columns:
        fail(name, f"an array of {n_columns} classes like `rows`", f"{x.shape[1]} columns")
    if not xp.all(xp.isfinite(x) & (x >= 0)):
        bad = ~(xp.isfinite(x) & (x >= 0))
        row, column = (int(index[0]) for index in xp.nonzero(bad))
        where = f"{name}, row {row}, column {column}"
        fail(where, "a finite number >= 0", f"{float(x[row, column]):g}", "pass probabilities")
    mass = xp.sum(x, axis=1)
    if not xp.all(mass > 0):
        fail(f"{name}, row {int(xp.argmin(mass))}", "a row with mass", "zeros only")
    return x


def _check_vector(vector: Array, name: str, like: Array, length: int) -> Array:
    """Return a non-negative vector with some mass, in float64 beside the array `like`."""
    xp = api.array_namespace(like)
    v = xp.asarray(as_array(vector, name), dtype=xp.float64, device=api.device(like))
    if tuple(v.shape) != (length,):
        fail(name, f"of shape ({length},)", f"shape {tuple(v.shape)}")
    if not xp.all(xp.isfinite(v) & (v >= 0)):
        at = int(xp.argmax(xp.astype(~(xp.isfinite(v) & (v >= 0)), xp.int8)))
        fail(f"{name}[{at}]", "a finite number >= 0", f"{float(v[at]):g}")
    if length and float(xp.sum(v)) <= 0:
        fail(name, "a vector with mass", "zeros only")
    return v
