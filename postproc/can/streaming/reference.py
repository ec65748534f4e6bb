"""The reference of CAN where its rows stay in their file: several iterations in bounded memory.

What all rows have in common are the sums of the columns at each depth, C numbers each. With these
a block of rows finds its own part of any iterate P_t by itself. So the products

    X_t = z_t / (P_t (q ∘ Y_t)),    P_{t+1}ᵀ X_t^∘α

of `postproc.can.reference` are summed block by block, in one pass through the file for each depth
but the last, for as many ambiguous rows at a time as BLAS needs to be at its best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.can.iterates import FINDING, LOST, Iterates, PowerSums, powers
from postproc.can.loop import log_sum, normalize
from postproc.can.model import Confident, is_ambiguous
from postproc.can.options import CANOptions
from postproc.can.streaming.rows import ProbabilityRows
from postproc.scores.blocks import MapBlocks, Sizes, row_blocks

Floats = NDArray[np.float64]


def _mark(
    rows: ProbabilityRows, options: CANOptions, kept: NDArray[np.bool_], cut: slice
) -> tuple[Confident, int, NDArray[np.uint8]]:
    """The confident rows of a cut; number and bits of those that have mass in kept classes."""
    marked, found = [], Confident(0, np.zeros(len(kept)))
    for part in rows.blocks(cut):
        probs = rows(part)
        confident = ~is_ambiguous(probs, options)
        found = found.merge(Confident.of(probs[confident]))
        marked.append(confident & (probs @ kept.astype(probs.dtype) > 0))
    mask = np.concatenate(marked)
    return found, int(mask.sum()), np.packbits(mask)


@dataclass(frozen=True)
class RowsInFile:
    """The marked rows of predictions, which stay in their file, as the rows of a reference."""

    rows: ProbabilityRows
    cuts: list[slice]  # of the file, each for a task
    bits: list[NDArray[np.uint8]]  # the marks of each of them
    kept: NDArray[np.bool_]  # (C_all,): classes of positive prior; the rows here have only these
    n_rows: int
    smoothing: float  # weight of the one-hot row of each class that comes after all others

    @property
    def sizes(self) -> Sizes:
        """Those of the rows that are read."""
        return self.rows.sizes

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, the one-hot ones included, and of classes."""
        n_classes = int(self.kept.sum())
        return self.n_rows + (n_classes if self.smoothing > 0 else 0), n_classes

    @property
    def weights(self) -> tuple[float, np.float64]:
        """The sum of the weights, and the least of them."""
        total = self.n_rows + self.smoothing * self.shape[1]
        return total, np.float64(min(1.0, self.smoothing or 1.0))

    def tile(self, dtype: Any) -> tuple[int, int]:
        """Few rows; so many ambiguous ones that reading costs a tenth of the products."""
        width = int(np.dtype(dtype).itemsize) * self.shape[1]
        at_once = max(1, min(self.sizes.rows_a_pass, self.sizes.block // width))
        return max(1, self.sizes.block // (8 * max(at_once, self.shape[1]))), at_once

    def blocks(self, cut: slice) -> Iterator[tuple[NDArray[Any], float]]:
        """The rows of a task, block by block, and how often each of a block counts."""
        mask = np.unpackbits(self.bits[cut.start // self.cuts[0].stop]).astype(np.bool_)
        taken = 0
        for part in self.rows.blocks(cut):
            probs = self.rows(part)
            marked = probs[mask[taken : taken + len(probs)]]
            taken += len(probs)
            if len(marked):
                yield marked if self.kept.all() else marked[:, self.kept], 1.0
        if self.smoothing > 0 and cut.stop == self.cuts[-1].stop:
            yield np.eye(self.shape[1], dtype=probs.dtype), self.smoothing

    def wide_blocks(self, cut: slice) -> Iterator[tuple[Floats, float]]:
        """The rows of a task in float64, a few at a time, and how often each counts."""
        for a, weight in self.blocks(cut):
            for few in row_blocks(*a.shape, block_bytes=self.sizes.summed):
                yield a[few].astype(np.float64, copy=False), weight

    def matrices(
        self, it: Iterates, t: int
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
        """P_t, z_t and P_{t+1}, block of rows by block; A, w and A if plain."""
        height, _ = self.tile(it.dtype)
        for cut in self.cuts:
            for a, weight in self.blocks(cut):
                for few in row_blocks(len(a), 1, block_bytes=8 * height):
                    yield self._matrices(it, t, a[few], weight)

    @staticmethod
    def _matrices(
        it: Iterates, t: int, a: NDArray[Any], weight: float
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """P_t, z_t and P_{t+1} of a block of rows; A, w and A if plain."""
        if it.plain:
            a = a.astype(it.dtype, copy=False)
            return a, np.full(len(a), weight, it.dtype), a
        wide = a.astype(np.float64)
        for depth in range(t + 1):
            left, z = _matrix(it, depth, wide, weight)
            wide = _iterate(it, left, z)
        right, _ = _matrix(it, t + 1, wide, weight)
        return left.astype(it.dtype), z.astype(it.dtype), right.astype(it.dtype)

    def moments(
        self, it: Iterates, t: int, cut: slice
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Blocks of P_{t+1} and of P_t / z_t; if plain, of A with the same factors twice."""
        for a, weight in self.blocks(cut):
            left, z, right = self._matrices(it, t, a, weight)
            if it.plain:
                factors = it.factors[t].astype(left.dtype)
                half = left * (weight**0.5 / (left @ factors))[:, None]
                yield half, half
            else:
                yield right, left / z[:, None]

    def adjust_row(self, it: Iterates, b: Floats) -> Floats:
        """All depths, (d, C), of one row b by the loop of the paper, a pass for each depth."""
        alpha, log_q = it.alpha, np.log(it.q)
        columns, depths = list[Floats](), list[Floats]()

        def advance(logs: Floats, column: Floats) -> Floats:
            return np.asarray(normalize(alpha * logs, column, log_q))

        with np.errstate(divide="ignore", over="ignore"):
            log_b = np.log(b)[None, :]
            for _ in range(it.iterations):
                total = alpha * log_b
                for a, weight in (block for cut in self.cuts for block in self.wide_blocks(cut)):
                    logs = alpha * reduce(advance, columns, np.log(a)) + np.log(weight)
                    void = np.isneginf(logs.max(axis=0))
                    total = np.logaddexp(total, np.where(void, -np.inf, log_sum(logs, axis=0)))
                columns.append(np.where(np.isneginf(total), 0.0, total))
                log_b = advance(log_b, columns[-1])
                depths.append(np.exp(log_b[0]))
        return np.stack(depths)

    def iterate_matrices(self, start: Iterates, map_blocks: MapBlocks) -> Iterates:
        """Iterate the rows alone, by a matrix P_t for each depth, in one pass for each."""
        it, columns, least = start, list[Floats](), list[Any]()
        for t in range(it.iterations):
            parts = map_blocks(partial(_sum_powers, self, it), self.cuts, FINDING)
            sums, z, share = zip(*parts, strict=True)
            total = reduce(PowerSums.merge, sums)
            columns.append(total.sums * total.unit**it.alpha)
            stable = bool(((columns[-1] > LOST) | (total.sums == 0)).all())
            if t > 0:
                least.append(np.float64(min(z)))
                stable = stable and min(share) > LOST
            if not stable:
                return replace(it, columns=np.stack(columns), stable=False)
            it = replace(it, steps=[*it.steps, (total.unit, total.sums)])
        return replace(it, columns=np.stack(columns), least=least)


def _matrix(it: Iterates, t: int, iterate: Floats, weight: float) -> tuple[Floats, Floats]:
    """P_t and z_t, t from 0, of a block of rows whose iterates of the step before are given."""
    unit, sums = it.steps[t]
    matrix = powers(iterate, unit, it.alpha)
    matrix *= weight / np.where(sums > 0, sums, 1.0)
    return matrix, matrix @ it.q


def _iterate(it: Iterates, matrix: Floats, z: Floats) -> Floats:
    """L_t of a block of rows."""
    return np.asarray(matrix * it.q / np.where(z > 0, z, 1.0)[:, None])


def _sum_powers(rows: RowsInFile, it: Iterates, cut: slice) -> tuple[PowerSums, float, float]:
    """Column sums of a task after `it.steps`; the least z of the last, by itself and by weight."""
    zeros = np.zeros(rows.shape[1])
    total, least, share = PowerSums(it.alpha, zeros, zeros), np.inf, np.inf
    for a, weight in rows.wide_blocks(cut):
        for t in range(len(it.steps)):
            matrix, z = _matrix(it, t, a, weight)
            a = _iterate(it, matrix, z)
        total = total.merge(PowerSums.of(a, it.alpha, weight))
        if it.steps:
            last = float(z.min())
            least, share = min(least, last), min(share, last / weight)
    return total, least, share


def mark_confident(
    rows: ProbabilityRows, prior: Floats, options: CANOptions, map_blocks: MapBlocks
) -> tuple[RowsInFile, Confident]:
    """The confident rows of predictions of any length that can be a reference, and all of them."""
    kept = prior > 0
    cuts = list(rows.cuts(rows.sizes.reference_task))
    parts = map_blocks(partial(_mark, rows, options, kept), cuts, FINDING)
    found, counts, bits = zip(*parts, strict=True)
    marked = RowsInFile(rows, cuts, list(bits), kept, sum(counts), options.smoothing)
    return marked, reduce(Confident.merge, found)
