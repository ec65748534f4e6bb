"""CAN fitted to predictions that are read block by block: the parts that an engine runs.

With one iteration a reference counts only by the sums of its columns (section 3 of the paper: the
first normalization divides by them), so a block of confident rows leaves C numbers behind. Several
iterations need the rows themselves: in memory where they are few, else from their file in every
pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import condense
from postproc.can.iterates import FINDING, PowerSums, iterate
from postproc.can.model import CANModel, Confident, is_ambiguous, stratified_picks
from postproc.can.options import CANOptions
from postproc.can.reference import Reference
from postproc.can.streaming.reference import RowsInFile, mark_confident
from postproc.can.streaming.rows import ProbabilityRows
from postproc.jobs.cuda import to_device
from postproc.jobs.memory import available_bytes
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import MapBlocks
from postproc.scores.checks import fail

Sums = tuple[Confident, PowerSums]


def sum_confident(rows: ProbabilityRows, options: CANOptions, cut: slice) -> Sums:
    """Sums over the confident rows of a cut, and over their entries to the power of α."""
    return reduce(_merge, (_sum_part(rows, options, part) for part in rows.parts(cut)))


def _sum_part(rows: ProbabilityRows, options: CANOptions, part: slice) -> Sums:
    probs = rows(part)
    xp = api.array_namespace(probs)
    a = xp.astype(probs[~is_ambiguous(probs, options), :], xp.float64)
    found, alpha = Confident.of(a), options.alpha
    if alpha == 1.0 or found.n_rows == 0:
        unit = (found.mass > 0).astype(np.float64)
        return found, PowerSums(alpha, unit, found.mass)
    sums = PowerSums.of(a, alpha)
    return found, PowerSums(alpha, as_numpy(sums.unit), as_numpy(sums.sums))


def _merge(one: Sums, other: Sums) -> Sums:
    return one[0].merge(other[0]), one[1].merge(other[1])


def _find_confident(
    rows: ProbabilityRows, options: CANOptions, keep: bool, cut: slice
) -> tuple[NDArray[Any], NDArray[Any], Confident, Any]:
    """Positions, predicted classes and sum of the confident rows of a cut; with `keep` the rows."""
    probs = rows(cut)
    confident = ~is_ambiguous(probs, options)
    found = probs[confident, :]
    where = np.flatnonzero(as_numpy(confident)) + cut.start * rows.per_row
    predicted = as_numpy(found).argmax(axis=1).astype(np.int32)
    return where, predicted, Confident.of(found), found if keep else None


def fit_can(
    rows: ProbabilityRows,
    prior: NDArray[np.float64],
    options: CANOptions,
    map_blocks: MapBlocks,
    *,
    seed: int = 0,
) -> CANModel:
    """Fit `CANModel` to the confident rows of predictions of any length; prior (C,)."""
    options = options.check(len(prior))
    weights = None
    if options.reference_sample == "stratified":
        reference, found = _sampled(rows, options, map_blocks, len(prior), seed)
    elif options.iterations == 1:
        reference, weights, found = _summed(rows, options, map_blocks)
    else:
        blocks = _in_memory(rows, options, map_blocks)
        if blocks is None:
            marked, found = mark_confident(rows, prior, options, map_blocks)
            if marked.n_rows:
                return _in_file(marked, found, prior, options, map_blocks)
            reference = np.zeros((1, len(prior)))  # no row has mass: one stands for them all
        else:
            reference = api.array_namespace(*blocks).concat(list(blocks))
            found = Confident.of(reference)
    dtype = rows(slice(0, 0)).dtype
    return CANModel.of(
        reference, prior, options, found, weights=weights, dtype=dtype, sizes=rows.sizes
    )


def _summed(
    rows: ProbabilityRows, options: CANOptions, map_blocks: MapBlocks
) -> tuple[Array, Array, Confident]:
    """A row for each class, as large as its column's maximum, and how often it counts."""
    parts = map_blocks(partial(sum_confident, rows, options), rows.cuts(), FINDING)
    found, total = reduce(_merge, parts)
    none = slice(0, None if found.n_rows else 0)
    diagonal, weights = np.diag(total.unit)[none], total.sums[none]
    return to_device(diagonal, rows.device), to_device(weights, rows.device), found


def _sampled(
    rows: ProbabilityRows, options: CANOptions, map_blocks: MapBlocks, n_classes: int, seed: int
) -> tuple[Array, Confident]:
    """A stratified sample: the classes of all confident rows in one pass, then the rows picked."""
    parts = map_blocks(partial(_find_confident, rows, options, False), rows.cuts(), FINDING)
    where, predicted, found, _ = zip(*parts, strict=True)
    picks = stratified_picks(np.concatenate(predicted), n_classes, seed)
    picked = np.concatenate(where)[picks]
    blocks = [rows.pick(cut, picked) for cut in rows.cuts()]
    return api.array_namespace(*blocks).concat(blocks), reduce(Confident.merge, found)


def _in_memory(
    rows: ProbabilityRows, options: CANOptions, map_blocks: MapBlocks
) -> Sequence[Array] | None:
    """The confident rows, block by block; None if they are too many to iterate them in memory."""
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
        bytes_a_row += rows.sizes.workers * size * rows.sizes.rows_together[0]
        left = rows.sizes.reference_in_memory
    most = None if left is None else left // bytes_a_row
    found, n_rows = [empty], 0
    find = partial(_find_confident, rows, options, True)
    for *_, block in map_blocks(find, rows.cuts(), FINDING):
        n_rows += int(block.shape[0])
        if most is not None and n_rows > most:
            if rows.device == "cpu":
                return None
            fail(
                "reference",
                f"at most {most} confident rows, to be iterated {options.iterations} times in "
                "memory",
                f"{n_rows} or more",
                "use one iteration, --device cpu, --preset paper-code (a stratified sample) or a "
                "--reference of fewer rows",
            )
        found.append(block)
    return found


def _in_file(
    rows: RowsInFile,
    found: Confident,
    prior: NDArray[np.float64],
    options: CANOptions,
    map_blocks: MapBlocks,
) -> CANModel:
    """The model whose reference rows stay in their file."""
    q = prior[rows.kept] / prior.sum()
    dtype = rows.rows(slice(0, 0)).dtype
    iterates = iterate(rows, q, options.alpha, options.iterations, dtype, map_blocks)
    # Matrices of so many depths or classes that they take more memory are not worth it.
    small = 8 * (options.iterations - 1) * len(q) ** 2 <= rows.sizes.moments
    size = options.reference_size if small else "exact"
    reference = condense(Reference(rows, iterates, rows.kept), size, map_blocks)
    return CANModel(options, prior, reference, found.n_rows, found.mass)
