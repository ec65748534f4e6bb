"""How `auto` combines members: the best alone, a learned log pool or a blend."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.rehearsal import PairedGain, paired_gain
from ensemble.base import Ensemble
from ensemble.learned.blend import Blend
from ensemble.learned.log_pool import LearnedLogPool
from ensemble.members import Members, check_members
from postproc.calibration.affine import mean_log_loss
from postproc.evaluation.folds import random_folds
from postproc.scores.kinds import LEAST_PROBABILITY

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """One way to combine, and what it is worth out of fold.

    Attributes
    ----------
    log_loss, accuracy : float
        Out of fold on the fit split; the log-loss in nats.
    gain : PairedGain
        Out-of-fold accuracy less that of the member that is best on the other folds.
    """

    log_loss: float
    accuracy: float
    gain: PairedGain


@dataclass(frozen=True)
class Choice:
    """The way that was chosen.

    Attributes
    ----------
    name : str
        "best", "weights" or "blend".
    model : Ensemble or None
        Fitted to all rows; None for the best member alone.
    best : int
        The member with the most rows right.
    out_of_fold : ndarray of shape (n, C)
        Log-probabilities of the fit split, each row without the fit of its fold.
    baseline : array of shape (n,)
        Classes by the member that is best on the other folds: what gains are measured against.
    candidates : dict of str to Candidate
        All that were tried.
    """

    name: str
    model: Ensemble | None
    best: int
    out_of_fold: Matrix
    baseline: Labels
    candidates: dict[str, Candidate]


def choose_combination(
    members: Members, y: Labels, solo: Matrix, *, min_z: float, n_folds: int, seed: int
) -> Choice:
    """Choose by cross-validation how members are combined.

    The best member alone stays unless a combination raises out-of-fold accuracy by more than
    `min_z` standard errors; of those that do, the one with the least log-loss is taken.

    Parameters
    ----------
    members : Members
        Members on the fit split, n rows.
    y : array of shape (n,)
        Labels.
    solo : array of shape (M,)
        Accuracy of each member alone.
    min_z : float
        Standard errors that the gain must reach.
    n_folds, seed : int
        Number of folds, and their seed.
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
            # Of unseen classes the calibrators warn; folds lack more of them, which is no news.
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


#: Makes an ensemble; given one that is fitted, with the penalties that it has chosen.
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

    The one or two penalties are those of all rows: to choose them anew in every fold would cost
    as much again as everything else, and two numbers leak next to nothing.
    """
    model = make(None).fit(members, y)
    output = np.empty(logs.shape[1:])
    for fold in np.unique(folds):
        held = folds == fold
        inside = check_members(list(logs[:, ~held]), kinds="logits")
        outside = check_members(list(logs[:, held]), kinds="logits")
        output[held] = log_scores(make(model).fit(inside, y[~held]), outside, slice(0, held.sum()))
    return model, output


def _best_out_of_fold(winners: Labels, y: Labels, folds: Labels) -> Labels:
    """Classes by the member that is best on the other folds, from (M, n) of each member.

    The best of many on the very rows that chose it looks better than it is.
    """
    before = np.empty_like(y)
    for fold in np.unique(folds):
        held = folds == fold
        best = int(np.argmax(np.mean(winners[:, ~held] == y[~held], axis=1)))
        before[held] = winners[best, held]
    return before


def log_scores(model: Ensemble, members: Members, rows: slice) -> Matrix:
    """Log-probabilities of a combination; zeros count as 1.2e-38."""
    probs = np.asarray(model.combine(members, rows), dtype=np.float64)
    return np.asarray(np.log(np.maximum(probs, LEAST_PROBABILITY)))
