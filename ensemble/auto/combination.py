"""How `auto` combines members: the best member alone, a learned log pool or a discriminant pool."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from ensemble.auto.judge import Judge, Outputs
from ensemble.auto.policy import CHOICE_FACTOR
from ensemble.auto.rehearsal import PairedGain
from ensemble.base import Ensemble
from ensemble.learned.discriminant_pool import DiscriminantPool
from ensemble.learned.log_pool import LearnedLogPool
from ensemble.members import Members
from postproc.calibration.affine import mean_log_loss
from postproc.calibration.by_name import default_method, make_calibrator
from postproc.calibration.log_pool import PoolFit, PoolTask, left_out_scores
from postproc.calibration.temperature import TemperatureScaling
from postproc.evaluation.folds import random_folds
from postproc.scores.arrays import Array, as_numpy, log_softmax
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, sub_blocks
from postproc.scores.kinds import LEAST_PROBABILITY

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

#: Strength of the prior on the class bias of the learned log pool, in rows.
BIAS_RIDGE = 10.0


@dataclass(frozen=True)
class Candidate:
    """One way to combine members, and how well it does out of fold."""

    log_loss: float  # in nats
    accuracy: float
    gain: PairedGain  # over the member that is best on the other folds


@dataclass(frozen=True)
class OverCalibrated:
    """Gain of a combination over the best member after `calibrate`, out of fold."""

    best: int  # the member whose log-loss is lowest after a temperature
    gain: PairedGain  # its interval allows for the choice of the combination


@dataclass(frozen=True)
class Choice:
    """The combination that was chosen."""

    name: str  # "best", "weights" or "blend"
    model: Ensemble | None  # fitted to all rows; None for the best member alone
    best: int  # the member with the best metric
    out_of_fold: Matrix  # log-probabilities of the fit split, (n, C), each row without its fold
    baseline: Outputs  # of the member that is best on the other folds, (n,) or (n, C)
    candidates: dict[str, Candidate]  # all that were tried
    #: Of a combination, where calibration changes the metric.
    over_calibrated: OverCalibrated | None = None


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
    members: Members, y: Labels, judge: Judge, *, min_z: float, n_folds: int, seed: int
) -> Choice:
    """Choose by cross-validation how to combine members.

    The best member alone stays unless a combination improves the metric out of fold by more than
    `min_z` standard errors. Of those that do, the one with the lowest log-loss is taken.
    """
    everyone = slice(0, len(y))
    seen = [judge.log_outputs(as_numpy(each.log_probabilities(everyone))) for each in members]
    best = int(np.argmax([judge.score(each, y) for each in seen]))
    alone = as_numpy(members[best].log_probabilities(everyone)).astype(np.float64)
    before = seen[best]
    outputs: dict[str, Matrix] = {"best": alone}
    models: dict[str, Ensemble | None] = {"best": None}
    if len(members) > 1 and len(y) >= 2:
        logs = members.log_tensor(everyone)
        folds = random_folds(logs.mean(axis=0), y, min(n_folds, len(y)), seed)
        # A member chosen among many looks too good on the rows that chose it.
        before = _best_out_of_fold(seen, y, folds, judge)
        weights = LearnedLogPool(bias=True, bias_ridge=BIAS_RIDGE).fit(members, y)
        logs = np.maximum(logs, np.array(weights.log_zeros_)[:, None, None])
        fit = PoolFit(weights.member_weights_, weights.bias_)
        models["weights"] = weights
        left_out = left_out_scores(
            PoolTask(logs, y), fit, folds, ridge=weights.ridge, bias_ridge=BIAS_RIDGE
        )
        outputs["weights"] = np.asarray(log_softmax(left_out))
        del logs
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*(have no row|exactly 0)")  # warned of elsewhere
            blend = DiscriminantPool(n_folds=n_folds, seed=seed).fit(members, y)
        models["blend"], outputs["blend"] = blend, blend.out_of_fold_
    candidates = {}
    for name, output in outputs.items():
        gain = judge.gain(judge.log_outputs(output), before, y)
        accuracy = float(np.mean(output.argmax(axis=1) == y))
        candidates[name] = Candidate(mean_log_loss(output, y), accuracy, gain)
    credible = [n for n, c in candidates.items() if n != "best" and c.gain.is_credible(min_z)]
    name = min(credible, key=lambda n: candidates[n].log_loss, default="best")
    over = None
    if name != "best" and judge.reads_probabilities:
        over = _over_calibrated(members, y, outputs[name], judge, n_folds=n_folds, seed=seed)
    return Choice(name, models[name], best, outputs[name], before, candidates, over)


def _over_calibrated(
    members: Members, y: Labels, output: Matrix, judge: Judge, *, n_folds: int, seed: int
) -> OverCalibrated:
    """Gain of log-probabilities (n, C) over the best member, calibrated as `calibrate` does."""
    shared: dict[str, Any] = {"kind": "logits", "n_folds": n_folds, "random_state": seed}
    logs = members.log_tensor(slice(0, len(y)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(no row|exactly 0|bound of its range)")
        tempered = [TemperatureScaling(**shared).fit(each, y) for each in logs]
        best = int(np.argmin([each.held_out_log_loss_ for each in tempered]))
        found = make_calibrator(default_method(members.n_classes), **shared).fit(logs[best], y)
    gain = judge.gain(judge.log_outputs(output), judge.log_outputs(found.out_of_fold_), y)
    return OverCalibrated(best, replace(gain, std_error=gain.std_error * CHOICE_FACTOR))


def _best_out_of_fold(seen: list[Outputs], y: Labels, folds: Labels, judge: Judge) -> Outputs:
    """Outputs of the member that is best on the other folds, from those of each member."""
    before = np.empty_like(seen[0])
    for fold in np.unique(folds):
        held = folds == fold
        best = int(np.argmax([judge.score(each[~held], y[~held]) for each in seen]))
        before[held] = seen[best][held]
    return before


def _log_combined(model: Ensemble, members: Members, rows: slice) -> Matrix:
    """Log-probabilities of a combination; zeros count as 1.2e-38."""
    probs = np.asarray(as_numpy(model.combine(members, rows)), dtype=np.float64)
    return np.asarray(np.log(np.maximum(probs, LEAST_PROBABILITY)))
