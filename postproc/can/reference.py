r"""The rows that CAN normalizes against, and what they do to ambiguous rows that join them.

`postproc.can.loop` joins one ambiguous row b at a time to the reference rows A. Here all of them
advance together. Let L_t be the iterates of A *alone*, and let

    P_t[i, j] = w_i L_{t-1}[i, j]^α / s_t[j],     s_t[j] = Σ_i w_i L_{t-1}[i, j]^α,
    z_t[i]    = Σ_j P_t[i, j] q_j               (w_i: how often reference row i counts).

Joining row b changes the iterate of A by a factor X for each row and Y for each column. With one
column of X and Y for each ambiguous row these follow from matrix products (∘ is element-wise):

    H_t = y_{t-1}^∘α / s_t                  what b itself adds to the column sums; y_0 = b
    F_t = P_tᵀ X_{t-1}^∘α                   what the reference adds to them; X_0 = 1
    Y_t = 1 / (F_t + H_t)
    new b ∝ q ∘ H_t ∘ Y_t
    y_t = q ∘ H_t                           in units of the row sum of the new b
    X_t = z_t / (P_t (q ∘ Y_t))             not needed at t = d

`step` computes these lines. They are the same arithmetic as the loop, at 4(d - 1)·n·C flops for an
ambiguous row, all of it in GEMM. X and Y stay near 1, whatever α^t does to the entries of A.

With α = 1 every P_t is A with factors for its rows and columns. They can be left out: A instead of
P_t, w instead of z_t, A's column sums as F_1, and b by its row factors alone instead of H_t leave
the products X Y, and so the result, as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import array_api_compat as api
import numpy as np

from postproc.can.iterates import Iterates, ReferenceRows, RowsInMemory, iterate
from postproc.can.loop import prepare_reference
from postproc.scores.arrays import Array
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_blocks


class Joined(NamedTuple):
    """k ambiguous rows that have joined the reference, one column each."""

    h: Array  # (C, k): y_t, the rows
    f: Array  # (C, k): F_{t+1}, what the reference adds to the sums of their columns
    loss: Any  # (k,): what F may lack because products were lost to underflow
    safe: Array  # (k,): whether nothing that matters was lost so far


def step(
    rows: ReferenceRows, it: Iterates, t: int, joined: Joined, memory: Array
) -> tuple[Array, Joined]:
    """Iteration t, from 0: the adjusted rows b (C, k), and what the next iteration starts from."""
    h, f, loss, safe = joined
    xp = api.array_namespace(h)
    lost = least_sum(rows, it)
    q = xp.astype(it.q * it.scale, h.dtype)[:, None]
    s = xp.astype(it.columns[t, :], h.dtype)[:, None]
    empty = s == 0
    if some_empty := bool(xp.any(empty)):  # no mass in A: in units of its own, b's mass is 1
        s = xp.where(empty, xp.ones_like(s), s)
        h = xp.where(empty, xp.astype(h > 0, h.dtype), h)
    if not it.plain:
        h = (h if it.alpha == 1.0 else h**it.alpha) / s  # H_t
    sums = f + h
    if some_empty:  # where b has no mass either, the factor multiplies zeros only
        sums = xp.where(sums == 0, xp.ones_like(sums), sums)
    y = q / sums  # q ∘ Y_t
    b = h * y
    totals = xp.sum(b, axis=0)
    b /= totals
    least = xp.min(sums, axis=0)
    safe = safe & (loss <= least) & (totals > lost)
    if t + 1 < it.iterations:
        h = (h if it.plain else q * h) / totals  # y_t
        f, x = join_reference(rows, it, t, y, memory)  # F_{t+1}
        # The products with Y are at least min z / max X; no factor is beyond max q / least.
        room = xp.clip(least / xp.max(q), None, 1.0) * xp.astype(it.least[t], h.dtype)
        safe = safe & (x * lost <= room)
        loss = xp.clip(x, 1.0, None) ** it.alpha * lost
    return b, Joined(h, f, loss, safe)


def join_reference(
    rows: ReferenceRows, it: Iterates, t: int, y: Array, memory: Array
) -> tuple[Array, Array]:
    """F_{t+1} = P_{t+1}ᵀ X_t^∘α with X_t = z_t / (P_t y), and the largest X_t of each column."""
    xp = api.array_namespace(y)
    f, largest = None, None
    for left, z, right in rows.matrices(it, t):
        x = memory[: left.shape[0], : y.shape[1]]  # fresh pages would cost much of the time
        xp.matmul(left, y, out=x)
        xp.divide(z[:, None], x, out=x)
        most = xp.max(x, axis=0)
        if it.alpha != 1.0:
            x **= it.alpha
        part = right.T @ x
        f = part if f is None else xp.astype(f, xp.float64) + part
        largest = most if largest is None else xp.maximum(largest, most)
    return xp.astype(f, y.dtype, copy=False), largest


def least_sum(rows: ReferenceRows, it: Iterates) -> float:
    """The least sum to which products below the least float do not matter, however many."""
    limits = api.array_namespace(it.q).finfo(it.dtype)
    return float(limits.smallest_normal / limits.eps * max(rows.shape))


@dataclass(frozen=True)
class Reference:
    """A reference that was iterated alone, ready to adjust any number of ambiguous rows.

    Attributes
    ----------
    rows : ReferenceRows
        Reference rows of positive mass in the classes of the prior, in memory or in their file.
    iterates : Iterates
        The iterates of these rows alone.
    kept : array of bool, shape (C,)
        Classes of positive prior; `rows` and `iterates` have only these.
    """

    rows: ReferenceRows
    iterates: Iterates
    kept: Array

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
        sizes: Sizes = DEFAULT_SIZES,
    ) -> Reference:
        """Iterate a reference in memory; arguments as of `alternating_normalization`, and valid.

        Parameters
        ----------
        dtype : dtype
            Float32 or float64, the dtype of the computation; float64 is used where float32 would
            lose too much.
        sizes : Sizes
            How much is computed at once.
        """
        a, w, q, kept = prepare_reference(reference, prior, smoothing, weights)
        rows = RowsInMemory(a, w, sizes)
        return cls(rows, iterate(rows, q, alpha, iterations, dtype), kept)

    @property
    def exact(self) -> Reference:
        """The reference itself, as `Condensed.exact`."""
        return self

    def adjust(self, rows: Array, *, all_depths: bool = False) -> Array:
        """Adjust rows of shape (k, C); (d, k, C), the results of all depths, with `all_depths`.

        A row without mass in the classes of the prior stays as it is.
        """
        xp, it = api.array_namespace(rows), self.iterates
        result = xp.stack([rows] * (it.iterations if all_depths else 1))
        keep_all = bool(xp.all(self.kept))
        height, at_once = self.rows.tile(it.dtype)
        at_once = max(1, min(rows.shape[0], at_once))
        shape = height if it.iterations > 1 else 0, at_once
        memory = xp.empty(shape, dtype=it.dtype, device=api.device(rows))
        for block in row_blocks(rows.shape[0], 1, block_bytes=8 * at_once):
            part = rows[block, :] if keep_all else rows[block, :][:, self.kept]
            alive = xp.sum(part, axis=1) > 0
            if keep_all and xp.all(alive):
                result[:, block, :] = self._adjust(part, memory, all_depths)
            elif xp.any(alive):
                full = xp.zeros_like(result[:, block, :][:, alive, :])
                full[:, :, self.kept] = self._adjust(part[alive, :], memory, all_depths)
                result[:, block, :][:, alive, :] = full
        return result if all_depths else result[0, ...]

    def _adjust(self, b: Array, memory: Array, all_depths: bool) -> Array:
        """Adjust rows b (k, C) with mass, in steps where that is safe, else by the paper's loop."""
        xp = api.array_namespace(b)
        if self.iterates.stable:
            with np.errstate(all="ignore"):  # what overflows is not safe
                depths, safe = self._steps(b, memory, all_depths)
            depths = xp.astype(depths, b.dtype)
        else:
            depths = xp.stack([b] * (self.iterates.iterations if all_depths else 1))
            safe = xp.zeros(b.shape[0], dtype=xp.bool)
        if not xp.all(safe):
            for row in (row for row, is_safe in enumerate(safe) if not is_safe):
                exact = self.rows.adjust_row(self.iterates, xp.astype(b[row, :], xp.float64))
                depths[:, row, :] = xp.astype(exact if all_depths else exact[-1:, :], b.dtype)
        return depths

    def _steps(self, b: Array, memory: Array, all_depths: bool) -> tuple[Array, Array]:
        """All depths of rows b (k, C), or the last, and which rows lost nothing to underflow."""
        xp, it = api.array_namespace(b), self.iterates
        f = xp.astype(it.columns[0, :], it.dtype)[:, None]  # F_1
        if not it.plain:
            f = xp.where(f == 0, f, xp.ones_like(f))
        # One column for each row of b: BLAS then walks all operands along their memory, and sums
        # over classes add whole lines.
        h = xp.empty((b.shape[1], b.shape[0]), dtype=it.dtype, device=api.device(b))
        h[...] = b.T
        safe = xp.ones(b.shape[0], dtype=xp.bool, device=api.device(b))
        joined = Joined(h, f, least_sum(self.rows, it), safe)
        depths = []
        for t in range(it.iterations):
            adjusted, joined = step(self.rows, it, t, joined, memory)
            if all_depths or t + 1 == it.iterations:
                depths.append(adjusted.T)
        return xp.stack(depths), joined.safe
