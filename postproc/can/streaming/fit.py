"""CAN on predictions that are read block by block: the parts that an engine runs.

At one iteration a reference counts only by the sums of its columns (section 3 of the paper: the
first normalization divides by them), so that a block of confident rows leaves C numbers behind.
More iterations need the rows themselves: in memory where they are few, else from their file in
every pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import Condensed, condense
from postproc.can.model import CANModel, is_ambiguous, stratified_picks
from postproc.can.options import CANOptions
from postproc.can.reference import ROWS_AT_ONCE, Reference
from postproc.can.streaming.reference import stream_reference
from postproc.can.streaming.rows import ProbabilityRows
from postproc.jobs.cuda import to_device
from postproc.jobs.memory import available_bytes
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import MapBlocks
from postproc.scores.checks import fail

#: Bytes that the confident rows may take, with what several iterations on them need, to be kept in
#: memory. The same everywhere, as the last digits depend on it.
IN_MEMORY_BYTES = 3 * 2**27


@dataclass(frozen=True)
class ColumnSums:
    """What confident rows leave behind, in units of the largest entries of the columns.

    With units α does not empty a column of small entries.

    Attributes
    ----------
    n_confident : int
        Number of rows.
    mass : array of shape (C,)
        Their sum.
    unit : array of shape (C,)
        The columns' largest entries.
    sums : array of shape (C,)
        Sums of (entry / unit)^α.
    """

    n_confident: int
    mass: NDArray[np.float64]
    unit: NDArray[np.float64]
    sums: NDArray[np.float64]
    alpha: float

    def merge(self, other: ColumnSums) -> ColumnSums:
        """The sums over the rows of both."""
        unit = np.maximum(self.unit, other.unit)
        safe = np.where(unit > 0, unit, 1.0)
        sums = self.sums * (self.unit / safe) ** self.alpha
        sums += other.sums * (other.unit / safe) ** self.alpha
        n_confident = self.n_confident + other.n_confident
        return ColumnSums(n_confident, self.mass + other.mass, unit, sums, self.alpha)


@dataclass(frozen=True)
class SumConfident:
    """Column sums of the confident rows of a block."""

    rows: ProbabilityRows
    options: CANOptions

    def __call__(self, rows: slice) -> ColumnSums:
        """Sums over the rows start..stop."""
        return reduce(ColumnSums.merge, (self._sum(part) for part in self.rows.parts(rows)))

    def _sum(self, rows: slice) -> ColumnSums:
        probs = self.rows(rows)
        xp = api.array_namespace(probs)
        a = xp.astype(probs[~is_ambiguous(probs, self.options), :], xp.float64)
        mass, alpha = as_numpy(xp.sum(a, axis=0)), self.options.alpha
        if a.shape[0] == 0:
            return ColumnSums(0, mass, np.zeros_like(mass), mass, alpha)
        if alpha == 1.0:
            return ColumnSums(int(a.shape[0]), mass, (mass > 0).astype(np.float64), mass, alpha)
        unit = xp.max(a, axis=0)
        sums = xp.sum((a / xp.where(unit > 0, unit, xp.ones_like(unit))) ** alpha, axis=0)
        return ColumnSums(int(a.shape[0]), mass, as_numpy(unit), as_numpy(sums), alpha)


@dataclass(frozen=True)
class FindConfident:
    """Where the confident rows of a block are, and what they predict; with `keep`, themselves."""

    rows: ProbabilityRows
    options: CANOptions
    keep: bool

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], Any]:
        """Positions, predicted classes, sum of the rows, and the rows where they are kept."""
        probs = self.rows(rows)
        xp = api.array_namespace(probs)
        confident = ~is_ambiguous(probs, self.options)
        found = probs[confident, :]
        where = np.flatnonzero(as_numpy(confident)) + rows.start * self.rows.per_row
        mass = as_numpy(xp.sum(found, axis=0, dtype=xp.float64))
        predicted = as_numpy(found).argmax(axis=1).astype(np.int32)
        return where, predicted, mass, found if self.keep else None


def fit_can(
    rows: ProbabilityRows,
    prior: NDArray[np.float64],
    options: CANOptions,
    map_blocks: MapBlocks,
    *,
    seed: int = 0,
) -> CANModel:
    """Fit `CANModel` to predictions of any length.

    Parameters
    ----------
    rows : ProbabilityRows
        The predictions whose confident rows are the reference.
    prior : ndarray of shape (C,)
        Class prior q.
    options : CANOptions
        Options of CAN.
    map_blocks : callable
        Takes a function of row slices and the slices, and gives its results in order, as `map`.
    seed : int
        Seed of the stratified sample.

    Returns
    -------
    CANModel
        As `CANModel.fit` makes it.

    Raises
    ------
    ValueError
        If an option is out of range, or several iterations on a device other than the CPU need
        more rows than fit in memory.
    """
    options = options.check(len(prior))
    cuts = rows.cuts()
    if options.reference_sample == "stratified":
        return _fit_sample(rows, prior, options, map_blocks, seed)
    if options.iterations > 1:
        everyone = _in_memory(rows, options, map_blocks)
        if everyone is None:
            return CANModel(options, prior, *stream_reference(rows, prior, options, map_blocks))
        return _with_rows(rows, everyone, prior, options)
    total = reduce(
        ColumnSums.merge, map_blocks(SumConfident(rows, options), cuts, "finding confident rows")
    )
    # A row for each class, as large as its column's largest entry, that counts as often as needed.
    diagonal = np.diag(total.unit) if total.n_confident else np.empty((0, len(prior)))
    reference = to_device(diagonal, rows.device)
    weights = to_device(total.sums if total.n_confident else np.empty(0), rows.device)
    return CANModel(
        options,
        prior,
        _build(rows, reference, prior, options, weights),
        total.n_confident,
        total.mass,
    )


def _fit_sample(
    rows: ProbabilityRows,
    prior: NDArray[np.float64],
    options: CANOptions,
    map_blocks: MapBlocks,
    seed: int,
) -> CANModel:
    """A stratified sample: the classes of all confident rows in one pass, then the rows picked."""
    found = list(
        map_blocks(FindConfident(rows, options, False), rows.cuts(), "finding confident rows")
    )
    where = np.concatenate([part[0] for part in found])
    predicted = np.concatenate([part[1] for part in found])
    mass = np.sum([part[2] for part in found], axis=0)
    picked = where[stratified_picks(predicted, len(prior), seed)]
    per_row, blocks = rows.per_row, []
    for cut in rows.cuts():
        first, last = np.searchsorted(picked, (cut.start * per_row, cut.stop * per_row))
        if last > first:
            blocks.append(rows(cut)[picked[first:last] - cut.start * per_row, :])
    return _with_rows(rows, blocks or [rows(slice(0, 0))], prior, options, len(where), mass)


def _with_rows(
    rows: ProbabilityRows,
    blocks: Sequence[Array],
    prior: NDArray[np.float64],
    options: CANOptions,
    n_confident: int | None = None,
    mass: NDArray[np.float64] | None = None,
) -> CANModel:
    xp = api.array_namespace(*blocks)
    reference = xp.concat(list(blocks))
    if mass is None:
        mass = as_numpy(xp.sum(reference, axis=0, dtype=xp.float64))
    found = int(reference.shape[0]) if n_confident is None else n_confident
    return CANModel(options, prior, _build(rows, reference, prior, options, None), found, mass)


def _build(
    rows: ProbabilityRows,
    reference: Array,
    prior: NDArray[np.float64],
    options: CANOptions,
    weights: Array | None,
) -> Reference | Condensed:
    xp = api.array_namespace(reference)
    exact = Reference.build(
        reference,
        xp.asarray(prior, dtype=xp.float64, device=api.device(reference)),
        alpha=options.alpha,
        iterations=options.iterations,
        smoothing=options.smoothing,
        weights=weights,
        dtype=rows(slice(0, 0)).dtype,
    )
    return condense(exact, options.reference_size)


def _in_memory(
    rows: ProbabilityRows, options: CANOptions, map_blocks: MapBlocks
) -> list[Array] | None:
    """The confident rows; None if they are too many to iterate them in memory."""
    empty = rows(slice(0, 0))
    # In float64: the rows, two copies at work, and a scaled matrix for each iteration.
    bytes_a_row = 8 * empty.shape[1] * (options.iterations + 3)
    left = available_bytes()
    if rows.device == "cpu":
        # Unless there are such matrices, the rows and the blocks they were read in; in several
        # threads the factors X of the rows.
        size = rows.predictions.output_dtype.itemsize
        if options.alpha == 1.0:
            bytes_a_row = 2 * size * empty.shape[1]
        bytes_a_row += rows.sizes.workers * size * ROWS_AT_ONCE[0]
        left = IN_MEMORY_BYTES
    most = None if left is None else left // bytes_a_row
    found, n_rows = [], 0
    for *_, block in map_blocks(
        FindConfident(rows, options, True), rows.cuts(), "finding confident rows"
    ):
        n_rows += int(block.shape[0])
        if most is not None and n_rows > most:
            if rows.device == "cpu":
                return None
            fail(
                "reference",
                f"at most {most} confident rows, to be iterated {options.iterations} times in "
                "memory",
                f"{n_rows} or more",
                "take one iteration, --device cpu, --preset paper-code (a stratified sample) or a "
                "--reference of fewer rows",
            )
        if block.shape[0]:
            found.append(block)
    return found or [empty]
