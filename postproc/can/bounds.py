r"""CAN at a cost that does not grow with the reference, with bounds on what that changes.

With the symbols of `postproc.can`, the rows of L_t and the columns of P_{t+1} sum to 1, and
X_t[i] = 1 / Σ_l L_t[i, l] Y_t[l]. The reference enters a later column sum only through

    F_{t+1}[j] = Σ_i P_{t+1}[i, j] (Σ_l L_t[i, l] Y_t[l])^(-α),
    Y_{t+1} = 1 / (F_{t+1} + H_{t+1}),

a mean over i of a power of a mean over l. That power is convex, so by Jensen's inequality, once
for the outer mean and once for the inner one,

    (Σ_l M_t[j, l] Y_t[l])^(-α)  <=  F_{t+1}[j]  <=  Σ_l M_t[j, l] Y_t[l]^(-α),
    M_t = P_{t+1}ᵀ L_t           (C × C, its rows sum to 1).

M_t is summed up once over all n reference rows. A row then takes two products with it for each
depth after the first: 4(d - 1)·C² flops in place of 4(d - 1)·n·C. F falls where Y rises, so bounds
on Y give bounds on F and those on the next Y; H_{t+1} is known but for one factor a row, the
inverse of its sum, which lies between the sums that the two bounds give. Depth 1 is exact.

The bounds hold for every reference, row, prior, α, d and set of weights. They are narrow, of
relative width (b_j / s_j)², where b adds little to the columns. They are wide where b has much of a
class of which the reference has little, and with α far above 1; nothing is assumed about that. A
row whose bounds leave open which class is largest, or any probability by more than `TOLERANCE`, is
computed exactly. So the predicted class is that of the exact method, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import array_api_compat as api
import numpy as np

from postproc.can.reference import Reference
from postproc.scores.arrays import Array
from postproc.scores.blocks import row_blocks
from postproc.scores.checks import check_count, fail

#: "exact", "auto", or the number of reference rows beyond which the reference is condensed.
ReferenceSize = Literal["exact", "auto"] | int

#: Width of the bounds on a probability beyond which its row is computed exactly.
TOLERANCE = 1e-3

#: "auto" condenses references of more rows than this for each class. The matrices M then take a
#: fraction of the reference's memory, and few bounds are wide.
AUTO_ROWS_PER_CLASS = 20

#: Rounding errors of a product, in units of the dtype's precision, that the bounds allow for.
ROUNDING = 32

#: Bytes of float64 of the reference rows that enter M at once, and of the rows adjusted at once.
MOMENT_BYTES, WORK_BYTES = 2**27, 2**22


def check_reference_size(size: Any) -> ReferenceSize:
    """Return a valid size.

    Raises
    ------
    TypeError, ValueError
        If it is neither "exact", "auto" nor a positive integer.
    """
    if isinstance(size, str):
        if size not in ("exact", "auto"):
            fail("reference_size", '"exact", "auto" or a number of rows', repr(size))
        return size  # type: ignore[return-value]  # one of the two words
    return check_count(size, "reference_size", low=1)


def condense(reference: Reference, size: ReferenceSize) -> Reference | Condensed:
    """Condense the reference where `size` asks for it and there is something to gain."""
    return Condensed.build(reference) if wants_condensing(reference, size) else reference


def wants_condensing(reference: Reference, size: ReferenceSize) -> bool:
    """Whether `size` asks for it and there is something to gain."""
    n_rows, n_classes = reference.rows.shape
    most = AUTO_ROWS_PER_CLASS * n_classes if size == "auto" else size
    gains = reference.iterations > 1 and reference.iterates.stable
    return not isinstance(most, str) and n_rows > most and gains


@dataclass(frozen=True)
class Condensed:
    """A reference with the matrices M, for rows of clear outcome, and itself, for the others.

    Attributes
    ----------
    reference : Reference
        The exact reference.
    moments : list of d - 1 arrays of shape (C, C)
        The matrices M_t.
    """

    reference: Reference
    moments: list[Array]

    @classmethod
    def build(cls, reference: Reference) -> Condensed:
        """Sum up the matrices M_t: (d - 1)·n·C² flops, twice as many if α is not 1."""
        return cls(reference, [_moment(reference, t) for t in range(reference.iterations - 1)])

    @property
    def rows(self) -> Array:
        """The reference rows, shape (n, C)."""
        return self.reference.rows

    def adjust(self, rows: Array) -> Array:
        """Adjust rows of shape (k, C_all), those of unclear outcome exactly."""
        result, clear = self._approximate(rows)
        xp = api.array_namespace(rows)
        if not xp.all(clear):  # all at once: a product with few rows costs as much as with many
            result[~clear, :] = self.reference.adjust(rows[~clear, :])
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
        kept = self.reference.kept
        keep_all = bool(xp.all(kept))
        clear = xp.zeros(rows.shape[0], dtype=xp.bool, device=api.device(rows))
        result = xp.zeros_like(rows)
        for block in row_blocks(*rows.shape, block_bytes=WORK_BYTES):
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
        """Approximate adjusted rows, and what is known of the exact ones.

        Parameters
        ----------
        b : array of shape (k, C)
            Rows, without the classes of prior zero.

        Returns
        -------
        adjusted : array of shape (k, C)
            The middle of the bounds.
        widths : array of shape (k,)
            No probability of the exact row is further than this from the adjusted one; infinite
            where the bounds say nothing.
        decided : array of bool, shape (k,)
            Whether the exact row has the same largest class for certain.
        """
        xp = api.array_namespace(b)
        reference, dtype, alpha = self.reference, self.reference.dtype, self.reference.alpha
        rounding = ROUNDING * float(xp.finfo(dtype).eps)
        q = xp.astype(reference.prior, dtype)[:, None]
        h = xp.empty((b.shape[1], b.shape[0]), dtype=dtype, device=api.device(b))
        h[...] = b.T  # as in the exact products, one column for each row of b
        low = high = lowest = highest = h
        least: Any = 1.0
        most: Any = 1.0
        for t in range(reference.iterations):
            s = xp.astype(reference.iterates.columns[t, :], dtype)[:, None]
            empty = s == 0
            some_empty = bool(xp.any(empty))
            if some_empty:  # a class without mass in A: in units of its own, b's mass is 1
                s = xp.where(empty, xp.ones_like(s), s)
                h = xp.where(empty, xp.astype(h > 0, dtype), h)
            h = _power(h, alpha) / s
            if t == 0:
                low = high = h + xp.astype(~empty, dtype)
            else:
                high = self.moments[t - 1] @ _power(high, alpha)
                low = _power(1.0 / (self.moments[t - 1] @ (1.0 / low)), alpha)
                if some_empty:
                    low = xp.where(empty, xp.zeros_like(low), low)
                low *= 1.0 - rounding
                high *= 1.0 + rounding
                low += h * least
                high += h * most
            if some_empty:  # where b has no mass either, the factor multiplies zeros only
                low, high = (xp.where(x == 0, xp.ones_like(x), x) for x in (low, high))
            h *= q
            lowest, highest = h / high, h / low
            lowest_total, highest_total = xp.sum(lowest, axis=0), xp.sum(highest, axis=0)
            middle = xp.sqrt(lowest_total * highest_total)
            h /= middle  # y_t, but for a factor between the two that follow
            least = (1.0 - rounding) * _power(middle / highest_total, alpha)
            most = (1.0 + rounding) * _power(middle / lowest_total, alpha)
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
        decided = decided & known
        return xp.astype(adjusted.T, b.dtype), widths, decided


def _moment(reference: Reference, t: int) -> Array:
    """M_{t+1} from blocks of rows; a class without mass has a row of zeros."""
    iterates = reference.iterates
    left, right = iterates.matrices[t + 1], iterates.matrices[t]
    xp = api.array_namespace(left)
    row, column = iterates.moments[t]
    total = xp.zeros((left.shape[1],) * 2, dtype=xp.float64, device=api.device(left))
    for block in row_blocks(*left.shape, block_bytes=MOMENT_BYTES):
        if iterates.plain:  # both sides are A: BLAS sees that and takes half the time
            half = left[block, :] * xp.astype(row[block] ** 0.5, left.dtype)[:, None]
            total += half.T @ half
        else:
            factor = xp.astype(row[block], left.dtype)[:, None]
            total += left[block, :].T @ (right[block, :] * factor)
    return normalized_moment(total, column, left.dtype)


def normalized_moment(total: Array, column: Array, dtype: Any) -> Array:
    """M from sums over all reference rows, with factors of its columns, and rows that sum to 1."""
    xp = api.array_namespace(total)
    total *= column
    sums = xp.sum(total, axis=1)
    return xp.astype(total / xp.where(sums > 0, sums, xp.ones_like(sums))[:, None], dtype)


def _power(x: Array, alpha: float) -> Array:
    return x if alpha == 1.0 else x**alpha
