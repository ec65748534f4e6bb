"""The reference of CAN where its rows stay in their file: several iterations in bounded memory.

What all rows have in common are the sums of the columns at each depth, C numbers each. With these
a block of rows finds its own part of any iterate P_t by itself, so that the products

    X_t = z_t / (P_t (q ∘ Y_t)),    P_{t+1}ᵀ X_t^∘α

of `postproc.can` are summed up block by block in one walk through the file for each depth but the
last, with as many ambiguous rows at a time as BLAS needs to be at its best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import (
    Condensed,
    ReferenceSize,
    normalized_moment,
    wants_condensing,
)
from postproc.can.iterates import (
    FLOAT32_LEAST_SUM,
    FLOAT32_RANGE,
    FLOAT64_RANGE,
    LOST,
    iterate_factors,
    log_sum,
    widened,
)
from postproc.can.options import CANOptions
from postproc.can.reference import Reference, outgrows_float32
from postproc.can.streaming.confident import BLOCK_BYTES, ConfidentRows, MarkConfident, task_cuts
from postproc.scores.blocks import MapBlocks, row_blocks

if TYPE_CHECKING:
    from postproc.can.streaming.rows import ProbabilityRows

Floats = NDArray[np.float64]

#: Ambiguous rows that advance together: reading the reference anew then costs a tenth of the
#: products with it, and what they take is a few times this many bytes.
ROWS_AT_ONCE, WORK_BYTES = 1024, 2**23

#: Bytes that the matrices of a condensed reference may take.
MOMENT_BYTES = 2**28


@dataclass(frozen=True)
class StreamedIterates:
    """As `Iterates`, without anything that has n rows.

    Attributes
    ----------
    columns : array of shape (d, C)
        Column sums s_t.
    steps : list of pairs of arrays of shape (C,)
        With α = 1 that is `plain`, column factors of L_1..L_{d-1}. Else the d pairs of the columns'
        largest entries, in units of which they are raised to α, and their sums after that.
    least : list of d - 1 floats
        The least of the numerators z_t.
    """

    columns: Floats
    steps: list[Any]
    least: list[float]
    plain: bool
    stable: bool

    @property
    def suits_float32(self) -> bool:
        """Whether no sum is so small that float32 would lose parts of it."""
        sums = np.concatenate([self.columns[self.columns > 0], self.least])
        return self.stable and not bool((sums < FLOAT32_LEAST_SUM).any())


@dataclass(frozen=True)
class _SumWithFactors:
    """Sums of columns for α = 1 and the extreme row factors, as `iterate_factors` wants them."""

    rows: ConfidentRows
    column: Floats | None

    @np.errstate(all="ignore")
    def __call__(self, rows: slice) -> tuple[Floats, float, float]:
        sums, least, largest = np.zeros(self.rows.shape[1]), np.inf, 0.0
        for a, weight in self.rows.blocks(rows):
            for _, wide in widened(a):
                row = np.ones(len(wide)) if self.column is None else 1.0 / (wide @ self.column)
                sums += weight * (row @ wide)
                least, largest = np.minimum(least, row.min()), np.maximum(largest, row.max())
        return sums, least, largest


@dataclass(frozen=True)
class _Sums:
    """Largest entries of the columns, sums in units of these, and the least z of the step before.

    `least_share` is the least z in units of the row's weight.
    """

    unit: Floats
    sums: Floats
    least: float
    least_share: float

    def merge(self, other: _Sums, alpha: float) -> _Sums:
        unit = np.maximum(self.unit, other.unit)
        safe = np.where(unit > 0, unit, 1.0)
        sums = self.sums * (self.unit / safe) ** alpha + other.sums * (other.unit / safe) ** alpha
        least = min(self.least, other.least), min(self.least_share, other.least_share)
        return _Sums(unit, sums, *least)


@dataclass(frozen=True)
class _SumPowers:
    """Sums of the columns of the iterate that follows after some steps."""

    rows: ConfidentRows
    prior: Floats
    alpha: float
    steps: list[tuple[Floats, Floats]]

    def __call__(self, rows: slice) -> _Sums:
        zeros = np.zeros(self.rows.shape[1])
        total = _Sums(zeros, zeros, np.inf, np.inf)
        for a, weight in self.rows.blocks(rows):
            for _, wide in widened(a):
                total = total.merge(self._sum(wide, weight), self.alpha)
        return total

    def _sum(self, a: Floats, weight: float) -> _Sums:
        least = np.inf
        for matrix, numerator in _matrices(a, weight, self.prior, self.alpha, self.steps):
            least = float(numerator.min())
            a = _next(matrix, numerator, self.prior)
        unit = a.max(axis=0)
        powers = _powers(a, unit, self.alpha)
        return _Sums(unit, weight * powers.sum(axis=0), least, least / weight)


def _powers(a: Floats, unit: Floats, alpha: float) -> Floats:
    """Entries to the power of α in units of each column's own, so that α empties none."""
    scaled = a / np.where(unit > 0, unit, 1.0)
    if alpha != 1.0:
        scaled **= alpha
    return scaled


def _next(matrix: Floats, numerator: Floats, prior: Floats) -> Floats:
    return matrix * prior / np.where(numerator > 0, numerator, 1.0)[:, None]


def _matrices(
    a: NDArray[Any], weight: float, prior: Floats, alpha: float, steps: list[tuple[Floats, Floats]]
) -> Iterator[tuple[Floats, Floats]]:
    """P_t and z_t of a block of rows, one step after the other."""
    iterate = a.astype(np.float64)
    for unit, sums in steps:
        matrix = _powers(iterate, unit, alpha)
        matrix *= weight / np.where(sums > 0, sums, 1.0)
        numerator = matrix @ prior
        yield matrix, numerator
        iterate = _next(matrix, numerator, prior)


def _iterate(
    rows: ConfidentRows,
    prior: Floats,
    alpha: float,
    iterations: int,
    dtype: Any,
    map_blocks: MapBlocks,
) -> StreamedIterates:
    """The iterates as `can_iterates` has them, one walk through the file for each depth."""
    cuts = rows.cuts

    def sum_up(column: Floats | None) -> tuple[Floats, Any, Any]:
        parts = list(map_blocks(_SumWithFactors(rows, column), cuts, "finding confident rows"))
        sums = reduce(np.add, (part[0] for part in parts))
        return sums, np.min([part[1] for part in parts]), np.max([part[2] for part in parts])

    if alpha == 1.0:
        limit = FLOAT32_RANGE if dtype == np.float32 else FLOAT64_RANGE
        found = iterate_factors(sum_up, prior, rows.total_weight, iterations, limit)
        if found is not None:
            least = [rows.least_weight] * (iterations - 1)
            return StreamedIterates(*found, least, plain=True, stable=True)
    columns, steps, least_z, stable = list[Floats](), list[Any](), list[float](), True
    for t in range(iterations):
        parts = map_blocks(
            _SumPowers(rows, prior, alpha, list(steps)), cuts, "finding confident rows"
        )
        total = reduce(lambda a, b: a.merge(b, alpha), parts)
        columns.append(total.sums * total.unit**alpha)
        if t > 0:
            least_z.append(total.least)
            stable = total.least_share > LOST
        stable = stable and bool(((columns[-1] > LOST) | (total.sums == 0)).all())
        if not stable:
            break
        steps.append((total.unit, total.sums))
    return StreamedIterates(np.stack(columns), steps, least_z, plain=False, stable=stable)


@dataclass(frozen=True)
class StreamedReference(Reference):
    """A reference whose rows are read anew in each pass; the weights are those of `rows`."""

    rows: ConfidentRows
    iterates: StreamedIterates  # type: ignore[assignment]  # what the methods here go by

    @property
    def total_weight(self) -> float:
        """Number of reference rows, each as often as it counts."""
        return self.rows.total_weight

    @property
    def _rows_at_once(self) -> int:
        width = int(np.dtype(self.dtype).itemsize) * self.rows.shape[1]
        return max(1, min(ROWS_AT_ONCE, WORK_BYTES // width))

    @property
    def _height(self) -> int:
        return max(1, BLOCK_BYTES // (8 * max(self._rows_at_once, self.rows.shape[1])))

    def _least_numerator(self, t: int) -> Any:
        return np.float64(self.iterates.least[t])

    def _carry(self, t: int, factors: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
        total, largest = np.zeros(factors.shape), np.zeros(factors.shape[1], factors.dtype)
        product = np.empty_like(factors)
        for a, weight in self.rows.blocks():
            for block in row_blocks(len(a), 1, block_bytes=8 * len(x)):
                left, numerator, right = self.matrices(t, a[block], weight)
                part = x[: len(left)]
                np.matmul(left, factors, out=part)
                np.divide(numerator[:, None], part, out=part)
                np.maximum(largest, part.max(axis=0), out=largest)
                if self.alpha != 1.0:
                    part **= self.alpha
                total += np.matmul(right.T, part, out=product)
        factors[...] = total
        return largest

    def matrices(
        self, t: int, a: NDArray[Any], weight: float
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """P_t, z_t and P_{t+1} of a block of rows; A, w and A if all are A."""
        if self.iterates.plain:
            a = a.astype(self.dtype, copy=False)
            return a, np.full(len(a), weight, self.dtype), a
        steps = self.iterates.steps[: t + 2]
        *_, left, right = _matrices(a, weight, self.prior, self.alpha, steps)
        matrix, numerator, following = (x.astype(self.dtype) for x in (*left, right[0]))
        return matrix, numerator, following

    def _in_logs(self, b: NDArray[Any]) -> NDArray[Any]:
        """As `adjust_in_logs`, a walk through the file for each depth."""
        log_q, steps, depths = np.log(self.prior), list[Floats](), []
        with np.errstate(divide="ignore", over="ignore"):
            log_b = np.log(b)[None, :]

            def advance(logs: Floats, step: Floats) -> Floats:
                logs = self.alpha * logs - step + log_q
                return np.asarray(logs - log_sum(logs, axis=1))

            for _ in range(self.iterations):
                total = self.alpha * log_b
                for a, weight in self.rows.blocks():
                    for _, wide in widened(a):
                        logs = reduce(advance, steps, np.log(wide))
                        logs = self.alpha * logs + np.log(weight)
                        sums = log_sum(logs, axis=0)
                        void = np.isneginf(logs.max(axis=0))
                        total = np.logaddexp(total, np.where(void, -np.inf, sums))
                steps.append(np.where(np.isneginf(total), 0.0, total))
                log_b = advance(log_b, steps[-1])
                depths.append(np.exp(log_b[0]))
        return np.stack(depths)


@dataclass(frozen=True)
class SumMoment:
    """What some rows add to M_{t+1}, but for the factors of its rows and columns."""

    reference: StreamedReference
    t: int

    def __call__(self, rows: slice) -> NDArray[Any]:
        """Array of shape (C, C)."""
        reference, iterates = self.reference, self.reference.iterates
        total = np.zeros((reference.rows.shape[1],) * 2)
        for a, weight in reference.rows.blocks(rows):
            left, numerator, right = reference.matrices(self.t, a, weight)
            if iterates.plain:  # both sides are A: BLAS sees that and takes half the time
                row = weight**0.5 / (left @ iterates.steps[self.t].astype(left.dtype))
                half = left * row[:, None]
                total += half.T @ half
            else:
                total += right.T @ (left / numerator[:, None])
        return np.asarray(total)


def condense_streamed(
    reference: StreamedReference, size: ReferenceSize, map_blocks: MapBlocks
) -> StreamedReference | Condensed:
    """Condense the reference where `size` asks for it, in one walk for each matrix M.

    Matrices for so many depths that they take more memory than `MOMENT_BYTES` are not worth it.
    """
    n_matrices, n_classes = reference.iterations - 1, reference.rows.shape[1]
    fit = 8 * n_matrices * n_classes**2 <= MOMENT_BYTES

    def moment(t: int) -> NDArray[Any]:
        total = reduce(
            np.add,
            map_blocks(SumMoment(reference, t), reference.rows.cuts, "finding confident rows"),
        )
        column = reference.iterates.steps[t] if reference.iterates.plain else reference.prior
        return np.asarray(normalized_moment(total, column, reference.dtype))

    if not (fit and wants_condensing(reference, size)):
        return reference
    return Condensed(reference, [moment(t) for t in range(n_matrices)])


def stream_reference(
    rows: ProbabilityRows, prior: Floats, options: CANOptions, map_blocks: MapBlocks
) -> tuple[Reference | Condensed, int, Floats]:
    """The reference in the confident rows of predictions of any length.

    Parameters
    ----------
    rows : ProbabilityRows
        The predictions, as NumPy arrays.
    prior : ndarray of shape (C,)
        Class prior q.
    options : CANOptions
        Options of CAN, with k filled in.
    map_blocks : callable
        Takes a function of row slices and the slices, and gives its results in order, as `map`.

    Returns
    -------
    reference : Reference or Condensed
        The reference.
    n_confident : int
        Number of confident rows.
    mass : ndarray of shape (C,)
        Their sum.
    """
    kept = prior > 0
    cuts = task_cuts(rows)
    marks = list(map_blocks(MarkConfident(rows, options, kept), cuts, "finding confident rows"))
    n_confident = sum(mark.n_confident for mark in marks)
    mass = reduce(np.add, (mark.mass for mark in marks))
    n_counted = sum(mark.n_counted for mark in marks)
    dtype = rows(slice(0, 0)).dtype
    alpha, iterations = options.alpha, options.iterations
    if n_counted == 0:  # nothing to read: a row without mass stands for them all
        none = np.zeros((min(1, n_confident), len(prior)), dtype)
        return (
            Reference.build(
                none,
                prior,
                alpha=alpha,
                iterations=iterations,
                smoothing=options.smoothing,
                weights=None,
                dtype=dtype,
            ),
            n_confident,
            mass,
        )
    q = prior[kept] / prior.sum()
    bits = [mark.bits for mark in marks]
    confident = ConfidentRows(rows, cuts, bits, kept, n_counted, options.smoothing)
    if outgrows_float32(alpha, iterations):
        dtype = np.dtype(np.float64)
    iterates = _iterate(confident, q, alpha, iterations, dtype, map_blocks)
    if dtype == np.float32 and not iterates.suits_float32:
        dtype = np.dtype(np.float64)
        iterates = _iterate(confident, q, alpha, iterations, dtype, map_blocks)
    reference = StreamedReference(
        confident, np.empty(0), q, kept, alpha, iterations, iterates, dtype
    )
    return condense_streamed(reference, options.reference_size, map_blocks), n_confident, mass
