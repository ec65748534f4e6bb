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

from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.arrays import Array, as_array, as_floating
from postproc.blocks import row_blocks
from postproc.can_iterates import Iterates, adjust_in_logs, iterate
from postproc.checks import check_count, check_number, fail

#: Exponents and iterations beyond which a value is a slip: one entry of a row has all the mass by
#: then, and the iterates have long settled.
MAX_ALPHA = 1000.0
MAX_ITERATIONS = 1000

#: Rows advance together in blocks: as many as BLAS needs to be at its best, fewer where their row
#: factors X would take more memory than this.
WORK_BYTES = 2**26
ROWS_AT_ONCE = (256, 2048)

#: Growth of rounding errors, α^(d-1), up to which float32 input is computed in float32.
FLOAT32_GROWTH = 2.0


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


@dataclass(frozen=True)
class Reference:
    """The reference and its iterates, ready to adjust any number of ambiguous rows.

    Attributes
    ----------
    rows, weights : arrays of shape (n, C) and (n,)
        Reference rows with positive mass, and how often each counts.
    prior : array of shape (C,)
        The prior q, summing to 1; the arrays here hold only its classes of positive mass.
    kept : array of bool, shape (C_all,)
        Which of all classes those are.
    iterates : Iterates
        The iterates of the rows alone, in the dtype of the computation.
    dtype : dtype
        Of the computation.
    """

    rows: Array
    weights: Array
    prior: Array
    kept: Array
    alpha: float
    iterations: int
    iterates: Iterates
    dtype: Any

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
        dtype: Any,
    ) -> Reference:
        """Iterate the reference alone; all arguments have been validated."""
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
        if outgrows_float32(alpha, iterations):
            dtype = xp.float64
        iterates, dtype = iterate(a, w, q, alpha, iterations, dtype)
        return cls(a, w, q, kept, alpha, iterations, iterates, dtype)

    def adjust(self, rows: Array, *, all_depths: bool = False) -> Array:
        """Adjust rows of shape (k, C_all); (d, k, C_all) with `all_depths`, else (k, C_all)."""
        xp = api.array_namespace(rows)
        depths = self.iterations if all_depths else 1
        result = xp.stack([rows] * depths)
        keep_all = bool(xp.all(self.kept))
        n_at_once = min(rows.shape[0], self._rows_at_once)
        work = self._buffers(n_at_once)
        for block in row_blocks(rows.shape[0], 1, block_bytes=8 * max(1, n_at_once)):
            part = rows[block, :] if keep_all else rows[block, :][:, self.kept]
            alive = xp.sum(part, axis=1) > 0
            if keep_all and xp.all(alive):
                result[:, block, :] = self._adjust_block(part, work, all_depths)
            elif xp.any(alive):
                full = xp.zeros_like(result[:, block, :][:, alive, :])
                full[:, :, self.kept] = self._adjust_block(part[alive, :], work, all_depths)
                result[:, block, :][:, alive, :] = full
        return result if all_depths else result[0, ...]

    @property
    def total_weight(self) -> Array:
        """Number of reference rows, each as often as it counts."""
        return api.array_namespace(self.weights).sum(self.weights)

    @property
    def _rows_at_once(self) -> int:
        """Rows that advance together."""
        fewest, most = ROWS_AT_ONCE
        widest = int(max(self.rows.shape))
        return min(most, max(fewest, WORK_BYTES // (8 * widest)))

    @property
    def _height(self) -> int:
        """Row factors X that are held at once."""
        return int(self.rows.shape[0])

    def _buffers(self, n_rows: int) -> list[Array]:
        """Memory that all blocks share: fresh pages would cost more than the arithmetic in them."""
        xp = api.array_namespace(self.prior)
        n_classes = self.prior.shape[0]
        heights = (self._height if self.iterations > 1 else 0, n_classes, n_classes, n_classes)
        device = api.device(self.prior)
        return [xp.empty((height, n_rows), dtype=self.dtype, device=device) for height in heights]

    def _adjust_block(self, b: Array, work: list[Array], all_depths: bool) -> Array:
        """Adjust rows with mass by products where that is safe, by logarithms where it is not."""
        xp = api.array_namespace(b)
        if self.iterates.stable:
            with np.errstate(all="ignore"):  # what overflows is not safe, and done anew in logs
                adjusted, safe = self._multiply(xp.astype(b, self.dtype), work, all_depths)
            adjusted = xp.astype(adjusted, b.dtype)
        else:
            depths = self.iterations if all_depths else 1
            adjusted = xp.stack([b] * depths)
            safe = xp.zeros(b.shape[0], dtype=xp.bool)
        if not xp.all(safe):
            for row in (row for row, is_safe in enumerate(safe) if not is_safe):
                exact = self._in_logs(xp.astype(b[row, :], xp.float64))
                adjusted[:, row, :] = xp.astype(exact if all_depths else exact[-1:, :], b.dtype)
        return adjusted

    def _in_logs(self, b: Array) -> Array:
        """All depths for one row."""
        return adjust_in_logs(self.rows, self.weights, self.prior, self.alpha, self.iterations, b)

    def _least_numerator(self, t: int) -> Array:
        z = self.iterates.numerators[t]
        return api.array_namespace(z).min(z)

    def _carry(self, t: int, factors: Array, x: Array) -> Array:
        """Put P_{t+1}ᵀ X_t^∘α in the place of the factors q ∘ Y_t; the largest X of each column.

        `x` is memory for X.
        """
        xp = api.array_namespace(x)
        z = xp.astype(self.iterates.numerators[t], x.dtype)[:, None]
        xp.matmul(self.iterates.matrices[t], factors, out=x)
        xp.divide(z, x, out=x)
        largest = xp.max(x, axis=0)
        if self.alpha != 1.0:
            x **= self.alpha
        xp.matmul(self.iterates.matrices[t + 1].T, x, out=factors)
        return largest

    def _multiply(self, b: Array, work: list[Array], all_depths: bool) -> tuple[Array, Array]:
        """Depths for rows b by matrix products, and which rows lost nothing to underflow.

        One column of every array belongs to one row of b: BLAS then walks all operands along
        their memory, and sums over classes add whole lines.

        A product below the least float is lost. It would matter only if it were not far below
        the sum it belongs to; that is checked for every sum, row by row.
        """
        xp = api.array_namespace(b)
        plain = self.iterates.plain
        lost = xp.finfo(b.dtype).smallest_normal / xp.finfo(b.dtype).eps * max(self.rows.shape)
        # The scale of q is free, as rows are normalized; this one keeps unscaled factors near 1.
        scale = self.total_weight if plain else 1.0
        q = xp.astype(self.prior * scale, b.dtype)[:, None]
        safe = xp.ones(b.shape[0], dtype=xp.bool, device=api.device(b))
        x, h, sums, mass = (buffer[:, : b.shape[0]] for buffer in work)
        h[...] = b.T  # y_0
        depths = []
        largest: Any = 1.0
        for t in range(self.iterations):
            s = xp.astype(self.iterates.columns[t, :], b.dtype)[:, None]
            empty = s == 0
            some_empty = bool(xp.any(empty))
            if some_empty:  # a class without mass in A: in units of its own, b's mass is 1
                s = xp.where(empty, xp.ones_like(s), s)
                h[...] = xp.where(empty, xp.astype(h > 0, b.dtype), h)
            if not plain:
                if self.alpha != 1.0:
                    h **= self.alpha
                h /= s
            if t == 0:  # X = 1, and the columns of P sum to 1
                xp.add(h, xp.where(empty, 0 * s, s if plain else xp.ones_like(s)), out=sums)
            else:
                sums += h
            if some_empty:  # where b has no mass either, the factor multiplies zeros only
                sums[...] = xp.where(sums == 0, xp.ones_like(sums), sums)
            least = xp.min(sums, axis=0)
            safe = safe & (largest * lost <= least)
            factors = xp.divide(q, sums, out=sums)
            xp.multiply(h, factors, out=mass)
            totals = xp.sum(mass, axis=0)
            safe = safe & (totals > lost)
            if all_depths or t + 1 == self.iterations:
                depths.append((mass / totals).T)
            if t + 1 < self.iterations:
                if not plain:
                    h *= q
                h /= totals  # y_t
                largest = self._carry(t, factors, x)
                # The products with Y are at least min z / max X; no factor is beyond max q / least.
                least_z = xp.astype(self._least_numerator(t), b.dtype)
                room = xp.clip(least / xp.max(q), None, 1.0) * least_z
                safe = safe & (largest * lost <= room)
                largest = xp.clip(largest, 1.0, None) ** self.alpha
        return xp.stack(depths), safe


def outgrows_float32(alpha: float, iterations: int) -> bool:
    """Whether rounding errors grow too far for float32 input to be computed in float32."""
    with np.errstate(over="ignore"):
        return bool(np.float64(alpha) ** (iterations - 1) > FLOAT32_GROWTH)


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
