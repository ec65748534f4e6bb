"""How `auto` combines members: the best member alone, a learned log pool or a blend."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from ensemble.auto.rehearsal import PairedGain, paired_gain
from ensemble.base import Ensemble
from ensemble.learned.blend import Blend
from ensemble.learned.log_pool import LearnedLogPool
from ensemble.members import Members, check_members
from postproc.calibration.affine import mean_log_loss
from postproc.evaluation.folds import random_folds
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, sub_blocks
from postproc.scores.kinds import LEAST_PROBABILITY

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """One way to combine members, and how well it does out of fold."""

    log_loss: float  # in nats
    accuracy: float
    gain: PairedGain  # over the member that is best on the other folds


@dataclass(frozen=True)
class Choice:
    """The combination that was chosen."""

    name: str  # "best", "weights" or "blend"
    model: Ensemble | None  # fitted to all rows; None for the best member alone
    best: int  # the member with the highest accuracy
    out_of_fold: Matrix  # log-probabilities of the fit split, (n, C), each row without its fold
    baseline: Labels  # classes predicted by the member that is best on the other folds, (n,)
    candidates: dict[str, Candidate]  # all that were tried


@dataclass(frozen=True)
class CombinedLogs:
    """Reads log-probabilities of combined members in float64, shape (k, C)."""

    members: Members
    model: Ensemble | None  # None for the best member alone
    best: int
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> Array:
        """Combine the rows start..stop, few at a time."""
        if self.model is None:
            logs = self.members[self.best].log_probabilities(rows)
            xp = api.array_namespace(logs)
            return xp.astype(logs, xp.float64)
        parts = sub_blocks(rows, self.members.n_classes, self.sizes.cached)
        return np.concatenate([_log_combined(self.model, self.members, part) for part in parts])


def choose_combination(
    members: Members, y: Labels, solo: Matrix, *, min_z: float, n_folds: int, seed: int
) -> Choice:
    """Choose by cross-validation how to combine members; `solo` is the accuracy of each, (M,).

    The best member alone stays unless a combination raises out-of-fold accuracy by more than
    `min_z` standard errors. Of those that do, the one with the lowest log-loss is taken.
    """
    logs = members.log_tensor(slice(0, len(y)))
    best = int(np.argmax(solo))
    before = logs[best].argmax(axis=1)
    outputs: dict[str, Matrix] = {"best": logs[best]}
    models: dict[str, Ensemble | None] = {"best": None}
    if len(members) > 1 and len(y) >= 2:
        folds = random_folds(logs.mean(axis=0), y, min(n_folds, len(y)), seed)
        before = _best_out_of_fold(logs.argmax(axis=2), y, folds)
        with warnings.catch_warnings():
            # Folds lack more classes than the whole split, of which calibration warns later.
            warnings.simplefilter("ignore", UserWarning)
            for name, make in _makers(seed).items():
                models[name], outputs[name] = _cross_fit(make, members, logs, y, folds)
    candidates = {}
    for name, output in outputs.items():
        predicted = output.argmax(axis=1)
        gain = paired_gain(predicted, before, y)
        candidates[name] = Candidate(mean_log_loss(output, y), float(np.mean(predicted == y)), gain)
    credible = [n for n, c in candidates.items() if n != "best" and c.gain.is_credible(min_z)]
    name = min(credible, key=lambda n: candidates[n].log_loss, default="best")
    return Choice(name, models[name], best, outputs[name], before, candidates)


#: Makes an unfitted ensemble; given a fitted one, with the penalties chosen there.
Maker = Callable[[Ensemble | None], Ensemble]


def _makers(seed: int) -> dict[str, Maker]:
    def weights(like: Ensemble | None) -> Ensemble:
        strength = like.bias_ridge_ if isinstance(like, LearnedLogPool) else None
        return LearnedLogPool(bias=True, bias_ridge=strength, seed=seed)

    def blend(like: Ensemble | None) -> Ensemble:
        if not isinstance(like, Blend):
            return Blend(seed=seed)
        return Blend(ridge=like.ridge_, bias_ridge=like.bias_ridge_, seed=seed)

    return {"weights": weights, "blend": blend}


def _cross_fit(
    make: Maker, members: Members, logs: Matrix, y: Labels, folds: Labels
) -> tuple[Ensemble, Matrix]:
    """Fit to all rows, and predict each fold by a fit to the others.

    All folds use the one or two penalties chosen on all rows: choosing them in every fold would
    double the cost, and two numbers leak next to nothing.
    """
    model = make(None).fit(members, y)
    output = np.empty(logs.shape[1:])
    for fold in np.unique(folds):
        held = folds == fold
        inside = check_members(list(logs[:, ~held]), kinds="logits")
        outside = check_members(list(logs[:, held]), kinds="logits")
        fitted = make(model).fit(inside, y[~held])
        output[held] = _log_combined(fitted, outside, slice(0, held.sum()))
    return model, output


def _best_out_of_fold(winners: Labels, y: Labels, folds: Labels) -> Labels:
    """Classes predicted by the member that is best on the other folds; `winners` is (M, n).

    A member chosen among many looks too good on the rows that chose it.
    """
    before = np.empty_like(y)
    for fold in np.unique(folds):
        held = folds == fold
        best = int(np.argmax(np.mean(winners[:, ~held] == y[~held], axis=1)))
        before[held] = winners[best, held]
    return before


def _log_combined(model: Ensemble, members: Members, rows: slice) -> Matrix:
    """Log-probabilities of a combination; zeros count as 1.2e-38."""
    probs = np.asarray(as_numpy(model.combine(members, rows)), dtype=np.float64)
    return np.asarray(np.log(np.maximum(probs, LEAST_PROBABILITY)))
