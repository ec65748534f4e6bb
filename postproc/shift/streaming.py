"""Adaptation of a target that is read block by block: the functions that an engine maps.

Calibrated probabilities are written once and then read in every pass of an estimator, because
calibrating them in every pass costs more than reading. What an engine maps is small and can be
pickled: it holds where the rows are, not the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import Floats, Ints
from postproc.calibration.multilabel import calibrated_labels
from postproc.calibration.score_maps import map_rows
from postproc.can.model import CANModel
from postproc.jobs.cuda import to_device
from postproc.jobs.engine import LocalEngine
from postproc.jobs.locks import locked
from postproc.jobs.outputs import Output
from postproc.jobs.write import write
from postproc.scores.arrays import Array, as_numpy, beside
from postproc.scores.blocks import MapBlocks
from postproc.scores.predictions import Predictions
from postproc.scores.sources import NpySource
from postproc.shift.evidence import PredictionMoments, sums_by_group
from postproc.shift.prior import Likelihood
from postproc.shift.reweight import scale_columns

#: Computes the rows of a slice: a block of shape (rows, C), and what is to be known of it.
RowsPart = Callable[[slice], tuple[NDArray[Any], dict[str, Any]]]


#: Writes an output block by block, and yields what is known of each block.
Write = Callable[[RowsPart, Sequence[slice], Output], Iterable[Any]]


@dataclass(frozen=True)
class CalibratedRows:
    """Calibrated probabilities of the target's rows; without a model, its own."""

    target: Predictions
    model: Any
    device: str = "cpu"

    def probabilities(self, rows: slice) -> Array:
        """The rows start..stop, shape (rows, C), on the device."""
        scores = to_device(np.asarray(self.target.scores[rows]), self.device)
        if self.target.multilabel:
            return calibrated_labels(self.model, scores, self.target.kind)
        logs = map_rows(self.model or _same, scores, self.target.kind)
        return api.array_namespace(logs).exp(logs)

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The same rows in main memory."""
        return as_numpy(self.probabilities(rows)), {}


def _same(rows: Any) -> Any:
    return rows


@dataclass(frozen=True)
class ReadRows:
    """Reads calibrated probabilities that were kept, in float64, to a device."""

    calibrated: Predictions
    cuts: Sequence[slice]  # the blocks of every pass
    device: str = "cpu"

    def __call__(self, rows: slice) -> Array:
        """The rows start..stop, shape (rows, C)."""
        probs = np.asarray(self.calibrated.probabilities(rows), dtype=np.float64)
        return to_device(probs, self.device)


@dataclass(frozen=True)
class AdaptedRows:
    """Calibrated rows whose columns are scaled, or that CAN adjusts."""

    rows: CalibratedRows  # calibrated again, so that results do not depend on how they were kept
    factors: Floats  # of the columns, (C,)
    can: CANModel | None = None  # used instead of the factors

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The rows start..stop, and how many predicted classes changed."""
        probs = self.rows.probabilities(rows)
        if self.can is None:
            adapted = as_numpy(scale_columns(probs, self.factors))
        else:
            adapted = as_numpy(self.can.adjust(probs)[0])
        before = self.rows.target.probabilities(rows).argmax(axis=1)
        return adapted, {"changed": int(np.count_nonzero(adapted.argmax(axis=1) != before))}


@contextmanager
def in_memory(part: RowsPart, cuts: Sequence[slice], device: str = "cpu") -> Iterator[ReadRows]:
    """Calibrated rows that are kept in memory for any number of passes."""
    blocks = [part(rows)[0] for rows in cuts]
    yield ReadRows(Predictions(np.concatenate(blocks), "probs"), cuts, device)


@contextmanager
def beside_output(
    part: RowsPart,
    cuts: Sequence[slice],
    *,
    shape: tuple[int, int],
    dtype: Any,
    output: Path,
    write: Write,
    device: str = "cpu",
) -> Iterator[ReadRows]:
    """Calibrated rows in a file beside the output; a single block is kept in memory."""
    if len(cuts) == 1:
        with in_memory(part, cuts, device) as read:
            yield read
        return
    path = output.with_name(f".{output.name}.calibrated.npy")
    with locked(output, ".adapt"):  # the file is this job's until all passes are done
        try:
            for _ in write(part, cuts, Output(path, shape, np.dtype(dtype))):
                pass
            calibrated = NpySource.open(path)  # a memory map could not be removed on Windows
            yield ReadRows(Predictions(calibrated, "probs"), cuts, device)
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def in_temporary_file(
    part: RowsPart, cuts: Sequence[slice], *, shape: tuple[int, int], dtype: Any
) -> Iterator[ReadRows]:
    """Calibrated rows in a temporary file; a single block is kept in memory."""
    here = partial(write, LocalEngine(), signature={}, resume=None)
    with (
        TemporaryDirectory(prefix="postproc-") as folder,
        beside_output(
            part, cuts, shape=shape, dtype=dtype, output=Path(folder) / "target.npy", write=here
        ) as read,
    ):
        yield read


def target_moments(
    read: ReadRows,
    map_blocks: MapBlocks,
    what: str,
    function: Callable[[Floats], Floats] = _same,
    groups: Ints | None = None,
) -> PredictionMoments:
    """Moments of the predictions of the whole target, or of a function of its rows."""
    if groups is not None:
        return PredictionMoments.of_sums(_by_group(read, function, groups, map_blocks, what))
    moments = map_blocks(partial(_moments, read, function), read.cuts, what)
    found: PredictionMoments = reduce(PredictionMoments.merge, moments)
    return found


def _moments(
    read: ReadRows, function: Callable[[Floats], Floats], rows: slice
) -> PredictionMoments:
    return PredictionMoments.of(function(as_numpy(read(rows))))


def _by_group(
    read: ReadRows,
    function: Callable[[Floats], Floats],
    groups: Ints,
    map_blocks: MapBlocks,
    what: str,
) -> Floats:
    """Sums over the rows of each group of a function of the rows, and of ones, (G, k + 1)."""
    total = np.zeros((0, 0))
    part = partial(_sums_of_block, read, function, groups)
    for numbers, sums in map_blocks(part, read.cuts, what):
        if not len(total):
            total = np.zeros((int(groups.max()) + 1, sums.shape[1]))
        total[numbers] += sums
    return total


def _sums_of_block(
    read: ReadRows, function: Callable[[Floats], Floats], groups: Ints, rows: slice
) -> tuple[Ints, Floats]:
    return sums_by_group(function(as_numpy(read(rows))), groups[rows])


def target_likelihood(
    read: ReadRows,
    factors: Floats,
    map_blocks: MapBlocks,
    what: str,
    groups: Ints | None = None,
) -> Likelihood:
    """Sums over the whole target, whose columns are scaled by `factors`."""

    def by_group(function: Callable[[Array], Any]) -> Floats:
        assert groups is not None
        return _by_group(read, partial(_of_scaled, factors, function), groups, map_blocks, what)

    return Likelihood(
        read.calibrated.n_rows,
        lambda function: map_blocks(partial(_scaled, read, factors, function), read.cuts, what),
        None if groups is None else by_group,
    )


def _scaled(read: ReadRows, factors: Floats, function: Callable[[Array], Any], rows: slice) -> Any:
    """A function of rows whose columns are scaled by factors, shape (C,)."""
    return _of_scaled(factors, function, read(rows))


def _of_scaled(factors: Floats, function: Callable[[Array], Any], probs: Array) -> Any:
    return function(probs * beside(factors, probs))
