"""Adaptation of a target that is read block by block: the parts that an engine runs.

Calibrated probabilities are written once and then read once for every pass of an estimator, since
calibrating anew in every pass would cost more than reading. A part is small and can be pickled:
it holds where the rows lie, not the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import Floats
from postproc.calibration.score_maps import map_rows
from postproc.can.model import CANModel
from postproc.jobs.cuda import to_device
from postproc.scores.arrays import Array, as_numpy, beside
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes
from postproc.scores.predictions import Predictions
from postproc.shift.bbse import one_hot_winners
from postproc.shift.evidence import PredictionMoments
from postproc.shift.prior import Likelihood
from postproc.shift.reweight import scale_columns


@dataclass(frozen=True)
class CalibratedRows:
    """Calibrated probabilities of some rows; `model` None leaves them as they are."""

    target: Predictions
    model: Any
    device: str = "cpu"

    def probabilities(self, rows: slice) -> Array:
        """The rows, shape (rows, C), where they are computed."""
        scores = to_device(np.asarray(self.target.scores[rows]), self.device)
        logs = map_rows(self.model or _same, scores, self.target.kind)
        return api.array_namespace(logs).exp(logs)

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The rows as they are written."""
        return as_numpy(self.probabilities(rows)), {}


def _same(logs: Array) -> Array:
    return logs


@dataclass(frozen=True)
class ReadRows:
    """Calibrated probabilities as they were written, in float64 and where they are needed."""

    calibrated: Predictions
    device: str = "cpu"
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> Array:
        """The rows start..stop, shape (rows, C)."""
        probs = np.asarray(self.calibrated.probabilities(rows), dtype=np.float64)
        return to_device(probs, self.device)


@dataclass(frozen=True)
class MomentsOfRows:
    """Moments of the predictions of some rows, or of the classes they predict."""

    read: ReadRows
    winners: bool = False

    def __call__(self, rows: slice) -> PredictionMoments:
        """The moments."""
        probs = as_numpy(self.read(rows))
        return PredictionMoments.of(one_hot_winners(probs) if self.winners else probs)


@dataclass(frozen=True)
class SumOfRows:
    """A function of some rows whose columns are scaled by factors, shape (C,)."""

    read: ReadRows
    factors: Floats
    function: Callable[[Array], Any]

    def __call__(self, rows: slice) -> Any:
        """What the function gives."""
        probs = self.read(rows)
        return self.function(probs * beside(self.factors, probs))


@dataclass(frozen=True)
class AdaptedRows:
    """Rows that are calibrated, and then scaled in their columns or adjusted by CAN.

    They are calibrated anew, so that what comes out depends on the input alone.

    Attributes
    ----------
    rows : CalibratedRows
        The target.
    factors : array of shape (C,)
        Column factors.
    can : CANModel, optional
        Takes the place of the factors.
    """

    rows: CalibratedRows
    factors: Floats
    can: CANModel | None = None

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The adapted rows, and the number of those whose class has changed."""
        probs = self.rows.probabilities(rows)
        if self.can is None:
            adapted = as_numpy(scale_columns(probs, self.factors))
        else:
            adapted = as_numpy(self.can.adjust(probs)[0])
        before = self.rows.target.probabilities(rows).argmax(axis=1)
        return adapted, {"changed": int(np.count_nonzero(adapted.argmax(axis=1) != before))}


def target_moments(
    read: ReadRows, map_blocks: MapBlocks, what: str, *, winners: bool = False
) -> PredictionMoments:
    """Moments of the whole target."""
    found: PredictionMoments = reduce(
        PredictionMoments.merge,
        map_blocks(MomentsOfRows(read, winners), read.calibrated.cuts(read.sizes), what),
    )
    return found


def target_likelihood(
    read: ReadRows, factors: Floats, map_blocks: MapBlocks, what: str
) -> Likelihood:
    """Sums over the whole target, whose columns are scaled by `factors`."""
    cuts = read.calibrated.cuts(read.sizes)
    return Likelihood(
        read.calibrated.n_rows,
        lambda function: map_blocks(SumOfRows(read, factors, function), cuts, what),
    )
