"""The rows that CAN normalizes against, and what they do to ambiguous rows that join them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.can.iterates import Iterates, adjust_in_logs, iterate
from postproc.scores.arrays import Array
from postproc.scores.blocks import row_blocks

#: Growth of rounding errors, α^(d-1), up to which float32 input is computed in float32.
FLOAT32_GROWTH = 2.0

#: Exponents and iterations beyond which a value is a slip: one entry of a row has all the mass by
#: then, and the iterates have long settled.
MAX_ALPHA = 1000.0
MAX_ITERATIONS = 1000

#: Rows advance together in blocks: as many as BLAS needs to be at its best, fewer where their row
#: factors X would take more memory than this.
WORK_BYTES = 2**26
ROWS_AT_ONCE = (256, 2048)


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
