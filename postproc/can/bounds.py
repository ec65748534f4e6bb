r"""CAN at a cost that does not grow with the reference, with bounds on what that changes.

With the symbols of `postproc.can.reference`, the rows of L_t and the columns of P_{t+1} sum to 1,
and X_t[i] = 1 / Σ_l L_t[i, l] Y_t[l]. The reference enters a later column sum only through

    F_{t+1}[j] = Σ_i P_{t+1}[i, j] (Σ_l L_t[i, l] Y_t[l])^(-α),
    Y_{t+1} = 1 / (F_{t+1} + H_{t+1}),

a mean over i of a power of a mean over l. That power is convex, so by Jensen's inequality, once
for the outer mean and once for the inner one,

    (Σ_l M_t[j, l] Y_t[l])^(-α)  <=  F_{t+1}[j]  <=  Σ_l M_t[j, l] Y_t[l]^(-α),
    M_t = P_{t+1}ᵀ L_t           (C × C, its rows sum to 1).

M_t is summed once over all n reference rows. An ambiguous row then takes two products with it for
each depth after the first: 4(d - 1)·C² flops instead of 4(d - 1)·n·C. F falls where Y rises, so
bounds on Y give bounds on F and on the next Y. H_{t+1} is known up to one factor a row, the inverse
of its sum, which lies between the sums that the two bounds give. Depth 1 is exact.

The bounds hold for every reference, row, prior, α, d and set of weights. They are narrow, of
relative width (b_j / s_j)², where b adds little to the columns. They are wide where b has much of a
class of which the reference has little, and with α far above 1; nothing is assumed about that. If
the bounds leave open which class of a row is largest, or any probability by more than `TOLERANCE`,
the row is computed exactly. So the predicted class is that of the exact method, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.can.iterates import FINDING, Iterates, ReferenceRows
from postproc.can.options import ReferenceSize
from postproc.can.reference import Reference
from postproc.scores.arrays import Array
from postproc.scores.blocks import MapBlocks, in_order, row_blocks

#: Width of the bounds on a probability beyond which its row is computed exactly.
TOLERANCE = 1e-3

#: "auto" condenses references of more rows than this for each class. The matrices M then take a
#: fraction of the reference's memory, and few bounds are wide.
AUTO_ROWS_PER_CLASS = 20

#: Rounding errors of a product, in units of the dtype's precision, that the bounds allow for.
ROUNDING = 32


def condense(
    reference: Reference, size: ReferenceSize, map_blocks: MapBlocks = in_order
) -> Reference | Condensed:
    """Condense the reference if `size` asks for it and there is something to gain."""
    n_rows, n_classes = reference.rows.shape
    most = AUTO_ROWS_PER_CLASS * n_classes if size == "auto" else size
    gains = reference.iterates.iterations > 1 and reference.iterates.stable
    if isinstance(most, str) or n_rows <= most or not gains:
        return reference
    return Condensed.build(reference, map_blocks)


def _sum_moment(rows: ReferenceRows, iterates: Iterates, t: int, cut: slice) -> Array:
    """What the rows of a cut add to M_t, (C, C), but for factors of its rows and columns."""
    xp, total = api.array_namespace(iterates.columns), 0.0
    for left, right in rows.moments(iterates, t, cut):
        # Where both are one array, BLAS takes half the time.
        total = total + xp.astype(left.T @ right, xp.float64)
    return total


@dataclass(frozen=True)
class Condensed:
    """A reference and its matrices M_1..M_{d-1}, which suffice for rows of clear outcome."""

    exact: Reference
    moments: list[Array]  # (C, C) each

    @classmethod
    def build(cls, reference: Reference, map_blocks: MapBlocks = in_order) -> Condensed:
        """Sum up the matrices M_t: (d - 1)·n·C² flops, twice as many if α is not 1."""
        rows, iterates = reference.rows, reference.iterates

        def moment(t: int) -> Array:
            part = partial(_sum_moment, rows, iterates, t)
            total = reduce(add, map_blocks(part, rows.cuts, FINDING))
            total = total * (iterates.factors[t] if iterates.plain else iterates.q)
            xp = api.array_namespace(total)
            sums = xp.sum(total, axis=1)  # 0 for a class without mass
            total = total / xp.where(sums > 0, sums, xp.ones_like(sums))[:, None]
            return xp.astype(total, iterates.dtype)

        return cls(reference, [moment(t) for t in range(iterates.iterations - 1)])

    def adjust(self, rows: Array) -> Array:
        """Adjust rows of shape (k, C_all), those of unclear outcome exactly."""
        result, clear = self._approximate(rows)
        if not api.array_namespace(rows).all(clear):  # at once: few rows cost as much as many
            result[~clear, :] = self.exact.adjust(rows[~clear, :])
        return result

    def approximate(self, rows: Array) -> Array:
        """The middle of the bounds of rows of shape (k, C_all)."""
        return self._approximate(rows)[0]

    def undecided(self, rows: Array) -> Array:
        """Which rows of shape (k, C_all) `adjust` computes exactly."""
        return ~self._approximate(rows)[1]

    def _approximate(self, rows: Array) -> tuple[Array, Array]:
        """The middle of the bounds of each row, and whether that is good enough."""
        xp = api.array_namespace(rows)
        kept = self.exact.kept
        keep_all = bool(xp.all(kept))
        clear = xp.zeros(rows.shape[0], dtype=xp.bool, device=api.device(rows))
        result = xp.zeros_like(rows)
        for block in row_blocks(*rows.shape, block_bytes=self.exact.rows.sizes.bounded):
            b = rows[block, :] if keep_all else rows[block, :][:, kept]
            with np.errstate(all="ignore"):  # a bound out of range leaves its row unclear
                adjusted, widths, decided = self.bounded(b)
            clear[block] = decided & (widths <= TOLERANCE)
            if keep_all:
                result[block, :] = adjusted
            else:
                result[block, :][:, kept] = adjusted
        return result, clear

    def bounded(self, b: Array) -> tuple[Array, Array, Array]:
        """Middles of the bounds of rows b (k, C), widths (k,), and which classes are certain."""
        xp, it = api.array_namespace(b), self.exact.iterates
        rounding = ROUNDING * float(xp.finfo(it.dtype).eps)
        lowest, highest = self._bounds(b, rounding)
        lowest_total, highest_total = xp.sum(lowest, axis=0), xp.sum(highest, axis=0)
        adjusted = xp.sqrt(lowest * highest)
        adjusted /= xp.sum(adjusted, axis=0)
        upper = highest / (highest + (lowest_total - lowest))
        lower = lowest / (lowest + (highest_total - highest))
        widths = xp.max(upper - lower, axis=0) + rounding
        top = xp.argmax(adjusted, axis=0), xp.arange(b.shape[0], device=api.device(b))
        own = lowest[top]
        highest[top] = 0.0
        others = xp.max(highest, axis=0)
        decided = own * (1.0 - rounding) > others * (1.0 + rounding)
        # Where a bound has left the range of numbers, nothing is known of the row.
        known = xp.all(xp.isfinite(adjusted), axis=0) & xp.isfinite(widths)
        widths = xp.where(known, widths, xp.full_like(widths, xp.inf))
        return xp.astype(adjusted.T, b.dtype), widths, decided & known

    def _bounds(self, b: Array, rounding: float) -> tuple[Array, Array]:
        """Least and largest q ∘ H_d ∘ Y_d of rows b (k, C), one column each: (C, k)."""
        xp, it = api.array_namespace(b), self.exact.iterates
        q = xp.astype(it.q, it.dtype)[:, None]
        h = xp.empty((b.shape[1], b.shape[0]), dtype=it.dtype, device=api.device(b))
        h[...] = b.T

        def power(x: Array) -> Array:
            return x if it.alpha == 1.0 else x**it.alpha

        low = high = lowest = highest = h
        least: Any = 1.0
        most: Any = 1.0
        for t in range(it.iterations):
            s = xp.astype(it.columns[t, :], it.dtype)[:, None]
            empty = s == 0
            some_empty = bool(xp.any(empty))
            if some_empty:  # a class without mass in A: in units of its own, b's mass is 1
                s = xp.where(empty, xp.ones_like(s), s)
                h = xp.where(empty, xp.astype(h > 0, it.dtype), h)
            h = power(h) / s
            if t == 0:
                low = high = h + xp.astype(~empty, it.dtype)
            else:
                high = self.moments[t - 1] @ power(high)
                low = power(1.0 / (self.moments[t - 1] @ (1.0 / low)))
                if some_empty:
                    low = xp.where(empty, xp.zeros_like(low), low)
                low = low * (1.0 - rounding) + h * least
                high = high * (1.0 + rounding) + h * most
            if some_empty:  # where b has no mass either, the factor multiplies zeros only
                low, high = (xp.where(x == 0, xp.ones_like(x), x) for x in (low, high))
            h *= q
            lowest, highest = h / high, h / low
            lowest_total, highest_total = xp.sum(lowest, axis=0), xp.sum(highest, axis=0)
            middle = xp.sqrt(lowest_total * highest_total)
            h /= middle  # y_t, but for a factor between the two that follow
            least = (1.0 - rounding) * power(middle / highest_total)
            most = (1.0 + rounding) * power(middle / lowest_total)
        return lowest, highest
