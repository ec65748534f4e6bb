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
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import array_api_compat as api
import numpy as np

from postproc.arrays import Array, as_array, as_floating
from postproc.blocks import row_blocks
from postproc.checks import check_count, check_number, fail

#: Iterations beyond which a value is a slip: the iterates have long settled.
MAX_ITERATIONS = 1000

#: Rows advance together in blocks whose row factors X fit the cache, but never fewer than these.
WORK_BYTES = 2**20
LEAST_ROWS_AT_ONCE = 256

#: Growth of rounding errors, α^(d-1), up to which float32 input is computed in float32.
FLOAT32_GROWTH = 2.0

#: Least sum of a column or row of the reference with which float32 is trusted.
FLOAT32_LEAST_SUM = 1e-20


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
        Exponent α > 0 of every iteration.
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
    alpha = check_number(alpha, "alpha", low=0.0, open_low=True)
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


@dataclass(frozen=True)
class Reference:
    """The iterates of the reference alone, ready to adjust any number of ambiguous rows.

    Attributes
    ----------
    rows, weights : arrays of shape (n, C) and (n,)
        Reference rows with positive mass, in float64, and how often each counts.
    prior : array of shape (C,)
        The prior q, summing to 1; the arrays here hold only its classes of positive mass.
    kept : array of bool, shape (C_all,)
        Which of all classes those are.
    columns : array of shape (d, C)
        Column sums s_t, in float64.
    scaled : list of d arrays of shape (n, C), or empty where d = 1
        The column-stochastic P_t, in the dtype of the computation.
    factors : list of d - 1 arrays of shape (n,)
        The row factors z_t.
    stable : bool
        False where an iterate left the range of float64; rows then go through logarithms.
    dtype : dtype
        Of the computation.
    """

    rows: Array
    weights: Array
    prior: Array
    kept: Array
    alpha: float
    iterations: int
    columns: Array
    scaled: list[Array]
    factors: list[Array]
    stable: bool
    dtype: object

    @classmethod
    def build(
        cls,
        reference: Array,
        prior: Array,
        *,
        alpha: float,
        iterations: int,
        smoothing: float,
        weights: Array | None,
        dtype: object,
    ) -> Reference:
        """Iterate the reference alone; all arguments have been validated."""
        xp = api.array_namespace(reference)
        device = api.device(reference)
        n_classes = reference.shape[1]
        a = xp.astype(reference, xp.float64)
        w = xp.ones(a.shape[0], dtype=xp.float64, device=device) if weights is None else weights
        one_hot = xp.eye(n_classes, dtype=xp.float64, device=device)
        if a.shape[0] == 0:
            a, w = one_hot, xp.ones(n_classes, dtype=xp.float64, device=device)
        if smoothing > 0:
            a = xp.concat([a, one_hot])
            w = xp.concat([w, xp.full((n_classes,), smoothing, dtype=xp.float64, device=device)])
        kept = prior > 0
        q = prior[kept] / xp.sum(prior)
        a = a[:, kept]
        counted = (xp.sum(a, axis=1) > 0) & (w > 0)
        a, w = a[counted, :], w[counted]
        if alpha ** (iterations - 1) > FLOAT32_GROWTH:
            dtype = xp.float64
        columns, scaled, factors, stable = _iterate_alone(a, w, q, alpha, iterations)
        sums = xp.concat([columns[columns > 0], *factors])
        if stable and dtype == xp.float32 and not xp.any(sums < FLOAT32_LEAST_SUM):
            scaled = [xp.astype(p, dtype) for p in scaled]
        else:
            dtype = xp.float64
        return cls(a, w, q, kept, alpha, iterations, columns, scaled, factors, stable, dtype)

    def adjust(self, rows: Array, *, all_depths: bool = False) -> Array:
        """Adjust rows of shape (k, C_all); (d, k, C_all) with `all_depths`, else (k, C_all)."""
        xp = api.array_namespace(rows)
        depths = self.iterations if all_depths else 1
        result = xp.stack([rows] * depths)
        keep_all = bool(xp.all(self.kept))
        width = max(self.rows.shape[0], rows.shape[1])
        block_bytes = max(WORK_BYTES, 8 * width * LEAST_ROWS_AT_ONCE)
        n_at_once = min(rows.shape[0], block_bytes // (8 * width))
        work = xp.empty((self.rows.shape[0], n_at_once), dtype=self.dtype, device=api.device(rows))
        for block in row_blocks(rows.shape[0], width, block_bytes=block_bytes):
            part = rows[block, :] if keep_all else rows[block, :][:, self.kept]
            alive = xp.sum(part, axis=1) > 0
            if keep_all and xp.all(alive):
                result[:, block, :] = self._adjust_block(part, work, all_depths)
            elif xp.any(alive):
                full = xp.zeros_like(result[:, block, :][:, alive, :])
                full[:, :, self.kept] = self._adjust_block(part[alive, :], work, all_depths)
                result[:, block, :][:, alive, :] = full
        return result if all_depths else result[0, ...]

    def _adjust_block(self, b: Array, work: Array, all_depths: bool) -> Array:
        """Adjust rows with mass by products where that is safe, by logarithms where it is not."""
        xp = api.array_namespace(b)
        if self.stable:
            with np.errstate(all="ignore"):  # what overflows is not safe, and done anew in logs
                adjusted, safe = self._multiply(xp.astype(b, self.dtype), work, all_depths)
            adjusted = xp.astype(adjusted, b.dtype)
        else:
            depths = self.iterations if all_depths else 1
            adjusted = xp.stack([b] * depths)
            safe = xp.zeros(b.shape[0], dtype=xp.bool)
        if not xp.all(safe):
            for row in (row for row, is_safe in enumerate(safe) if not is_safe):
                exact = self._adjust_in_logs(xp.astype(b[row, :], xp.float64))
                adjusted[:, row, :] = xp.astype(exact if all_depths else exact[-1:, :], b.dtype)
        return adjusted

    def _multiply(self, b: Array, work: Array, all_depths: bool) -> tuple[Array, Array]:
        """Depths for rows b by matrix products, and which rows lost nothing to underflow.

        The factors X of all blocks live in `work`, of shape (n, rows at once): fresh memory for
        every product would cost more than the arithmetic around it.

        A product below the least float is lost. It would matter only if it were not far below
        the sum it belongs to; that is checked for every sum, row by row.
        """
        xp = api.array_namespace(b)
        lost = xp.finfo(b.dtype).smallest_normal / xp.finfo(b.dtype).eps * max(self.rows.shape)
        q = xp.astype(self.prior, b.dtype)
        safe = xp.ones(b.shape[0], dtype=xp.bool, device=api.device(b))
        depths = []
        y, largest = b, 1.0
        x = work[:, : b.shape[0]]
        for t in range(self.iterations):
            s = xp.astype(self.columns[t, :], b.dtype)
            empty = s == 0
            if xp.any(empty):  # a class without mass in A: in units of its own, b's mass is 1
                s = xp.where(empty, xp.ones_like(s), s)
                y = xp.where(empty, xp.astype(y > 0, b.dtype), y)
            h = _power(y, self.alpha) / s
            if t == 0:  # X = 1, and the columns of P sum to 1
                sums = h + xp.astype(~empty, b.dtype)
            else:
                sums = _power(x, self.alpha).T @ self.scaled[t]
                sums += h
            if xp.any(empty):  # where b has no mass either, the factor multiplies zeros only
                sums = xp.where(sums == 0, xp.ones_like(sums), sums)
            least = xp.min(sums, axis=1)
            factors = q / sums
            totals = xp.vecdot(h, factors)
            safe = safe & (largest * lost <= least) & (totals > lost)
            if all_depths or t + 1 == self.iterations:
                depths.append(h * factors / totals[:, None])
            if t + 1 < self.iterations:
                y = h * q
                y *= (1.0 / totals)[:, None]
                z = xp.astype(self.factors[t], b.dtype)
                xp.matmul(self.scaled[t], factors.T, out=x)
                xp.divide(z[:, None], x, out=x)
                # P (q ∘ Y) is at least min z / max X, and no factor of its terms beyond 1 / least.
                largest = xp.max(x, axis=0)
                safe = safe & (largest * lost <= least * xp.min(z))
                largest = _power(largest, self.alpha)
        return xp.stack(depths), safe

    def _adjust_in_logs(self, b: Array) -> Array:
        """All depths for one row, by the loop of the paper in logarithms: slow and unbreakable."""
        xp = api.array_namespace(b)
        rows = xp.concat([self.rows, b[None, :]])
        log_w = xp.log(xp.concat([self.weights, xp.ones_like(b[:1])]))[:, None]
        logs = xp.log(xp.where(rows > 0, rows, xp.ones_like(rows)))
        logs = xp.where(rows > 0, logs, xp.full_like(rows, -math.inf))
        depths = []
        for _ in range(self.iterations):
            logs = self.alpha * logs
            logs = logs - _log_sum(log_w + logs, axis=0) + xp.log(self.prior)
            logs = logs - _log_sum(logs, axis=1)
            depths.append(xp.exp(logs[-1, :]))
        return xp.stack(depths)


def _iterate_alone(
    a: Array, w: Array, q: Array, alpha: float, iterations: int
) -> tuple[Array, list[Array], list[Array], bool]:
    """Column sums s_t, scaled matrices P_t, row factors z_t of the reference alone."""
    xp = api.array_namespace(a)
    lost = xp.finfo(xp.float64).smallest_normal / xp.finfo(xp.float64).eps
    columns, scaled, factors = [], [], []
    stable, iterate, counted = True, a, bool(xp.any(w != 1))
    for t in range(iterations):
        powers, unit = iterate, 1.0
        if alpha != 1.0:
            # In units of the column's maximum, α does not empty a column of small entries.
            top = xp.max(iterate, axis=0)
            top = xp.where(top > 0, top, xp.ones_like(top))
            powers, unit = (iterate / top) ** alpha, top**alpha
        if counted:
            powers = powers * w[:, None]
        sums = xp.sum(powers, axis=0)
        columns.append(sums * unit)
        stable = stable and bool(xp.all((columns[-1] > lost) | (sums == 0)))
        if not stable or iterations == 1:
            break
        p = powers / xp.where(sums > 0, sums, xp.ones_like(sums))
        scaled.append(p)
        if t + 1 < iterations:
            factors.append(p @ q)
            stable = bool(xp.all(factors[-1] > lost * w))
            iterate = p * q
            iterate /= xp.where(factors[-1] > 0, factors[-1], xp.ones_like(w))[:, None]
    return xp.stack(columns), scaled, factors, stable


def _power(x: Array, alpha: float) -> Array:
    return x if alpha == 1.0 else x**alpha


def _log_sum(logs: Array, axis: int) -> Array:
    """Logarithm of the sum of exponentials, 0 where every term is zero (the lines stay zero)."""
    xp = api.array_namespace(logs)
    top = xp.max(logs, axis=axis, keepdims=True)
    void = xp.isinf(top)
    top = xp.where(void, xp.zeros_like(top), top)
    total = xp.sum(xp.exp(logs - top), axis=axis, keepdims=True)
    return xp.where(void, top, top + xp.log(xp.where(void, xp.ones_like(total), total)))


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
