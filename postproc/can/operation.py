r"""CAN, classification with alternating normalization.

Jia, Reiter, Lim, Artzi, Cardie (2021). When in Doubt: Improving Classification Performance with
Alternating Normalization. Findings of EMNLP 2021, section 3. arXiv:2109.13449.

The paper stacks the reference rows A and one ambiguous row b, L₀ = [A; b], and repeats d times:
raise every entry to α, divide every column by its sum, multiply it by the prior q, divide every
row by its sum. The last row of L_d is the new b. Every ambiguous row starts from the original A.

Here all ambiguous rows advance together. Let L_t be the iterates of A *alone*, and let

    P_t[i, j] = w_i L_{t-1}[i, j]^α / s_t[j],     s_t[j] = Σ_i w_i L_{t-1}[i, j]^α,
    z_t[i]    = Σ_j P_t[i, j] q_j               (w_i: how often reference row i counts).

Joining row b changes the iterate of A by a factor X for each row and Y for each column, and with
one column of X and Y per ambiguous row these follow from matrix products (∘ is element-wise):

    H_t = y_{t-1}^∘α / s_t                  what b itself adds to the column sums
    Y_t = 1 / (P_tᵀ X_{t-1}^∘α + H_t)       X_0 = 1
    new b ∝ q ∘ H_t ∘ Y_t                   y_t = q ∘ H_t, in units of the same row sum; y_0 = b
    X_t = z_t / (P_t (q ∘ Y_t))             not needed at t = d

This is the same arithmetic as the loop, at 4(d - 1)·n·C flops for an ambiguous row, all of it in
GEMM. X and Y stay near 1, whatever α^t does to the entries of A.

With α = 1 every P_t is A with factors for its rows and columns. They can be left out: A in place
of P_t, w of z_t, A's column sums in place of the ones that X_0 gives, and b by its row factors
alone in place of H_t leave the products X Y, and so the result, as they are.
"""

from __future__ import annotations

import array_api_compat as api

from postproc.can.reference import MAX_ALPHA, MAX_ITERATIONS, Reference
from postproc.scores.arrays import Array, as_array, as_floating
from postproc.scores.checks import check_count, check_number, fail


def alternating_normalization(
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
    r"""Adjust every row against a reference by alternating normalization (the pure operation).

    Parameters
    ----------
    rows : array or tensor of shape (k, C)
        The rows b to adjust, probabilities. k = 0 is legal.
    reference : array or tensor of shape (n, C)
        The confident rows A. Without rows (n = 0) the C × C identity takes their place.
    prior : array_like of shape (C,)
        Class distribution q of the target; it is scaled to sum 1. A class of prior zero gets no
        mass, and a row that would have no mass left stays as it was.
    alpha : float
        Exponent α of every iteration, in (0, 1000].
    iterations : int
        Number of iterations d in 1..1000.
    smoothing : float
        One-hot pseudo-rows added to the reference for each class; fractions count as such.
    weights : array_like of shape (n,), optional
        How often each reference row counts, w >= 0; once by default.
    all_iterations : bool
        Return the result of every depth 1..d; they all come out of the one pass.

    Returns
    -------
    array or tensor of shape (k, C), or (d, k, C) with `all_iterations`
        The adjusted rows; each sums to 1. Float64, or float32 if rows and reference are narrower.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, entries are negative or not finite, a row has no mass, or an option
        is out of range.

    References
    ----------
    Jia et al. (2021), section 3, equations 2 to 4. arXiv:2109.13449.

    Examples
    --------
    >>> alternating_normalization([[0.5, 0.5]], [[0.0, 1.0]], [0.5, 0.5])
    array([[0.75, 0.25]])
    """
    b = _check_rows(rows, "rows")
    a = _check_rows(reference, "reference", n_columns=b.shape[1])
    xp = api.array_namespace(b, a)
    alpha = check_number(alpha, "alpha", low=0.0, high=MAX_ALPHA, open_low=True)
    iterations = check_count(iterations, "iterations", low=1, high=MAX_ITERATIONS)
    wide = b.dtype == xp.float64 or a.dtype == xp.float64
    model = Reference.build(
        a,
        _check_vector(prior, "prior", b, b.shape[1]),
        alpha=alpha,
        iterations=iterations,
        smoothing=check_number(smoothing, "smoothing", low=0.0),
        weights=None if weights is None else _check_vector(weights, "weights", a, a.shape[0]),
        dtype=xp.float64 if wide else xp.float32,
    )
    b = xp.astype(b, xp.float64 if wide else xp.float32)
    return model.adjust(b, all_depths=all_iterations)


def _check_rows(rows: Array, name: str, n_columns: int | None = None) -> Array:
    x = as_floating(as_array(rows, name))
    xp = api.array_namespace(x)
    if x.ndim != 2:
        fail(name, "two-dimensional, (rows, classes)", f"shape {tuple(x.shape)}")
    if x.shape[1] < 2:
        fail(name, "an array of 2 or more classes", f"{x.shape[1]} column(s)")
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
