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

from postproc.calibration.affine import Floats
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
from postproc.shift.evidence import PredictionMoments
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
    read: ReadRows, map_blocks: MapBlocks, what: str, function: Callable[[Floats], Floats] = _same
) -> PredictionMoments:
    """Moments of the predictions of the whole target, or of a function of its rows."""
    moments = map_blocks(partial(_moments, read, function), read.cuts, what)
    found: PredictionMoments = reduce(PredictionMoments.merge, moments)
    return found


def _moments(
    read: ReadRows, function: Callable[[Floats], Floats], rows: slice
) -> PredictionMoments:
    return PredictionMoments.of(function(as_numpy(read(rows))))


def target_likelihood(
    read: ReadRows, factors: Floats, map_blocks: MapBlocks, what: str
) -> Likelihood:
    """Sums over the whole target, whose columns are scaled by `factors`."""
    return Likelihood(
        read.calibrated.n_rows,
        lambda function: map_blocks(partial(_scaled, read, factors, function), read.cuts, what),
    )


def _scaled(read: ReadRows, factors: Floats, function: Callable[[Array], Any], rows: slice) -> Any:
    """A function of rows whose columns are scaled by factors, shape (C,)."""
    probs = read(rows)
    return function(probs * beside(factors, probs))
