"""Blend: the learned log pool with a class bias and an out-of-fold stacker as one more member."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.heads import LinearHead, label_log_loss, seen_classes, warn_unseen
from ensemble.learned.log_pool import choose_bias_ridge, warn_unconverged
from ensemble.learned.multinomial import MultinomialFit, MultinomialProblem
from ensemble.members import Members
from postproc.calibration.features import Calibration
from postproc.calibration.log_pool import PoolTask, fit_log_pool
from postproc.evaluation.folds import held_out, stratified_folds
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_count, check_number
from postproc.scores.kinds import LEAST_PROBABILITY

Matrix = NDArray[np.float64]

#: Strengths of the stacker's ridge that cross-validation chooses from, strong ones first.
RIDGES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)

#: Tolerance of the fits that only serve to choose, in nats; that of the last one is finer.
CHOOSING = 1e-6


class Blend(Ensemble):
    r"""Learned log pool of the members and of a stacker that was fitted on them.

    .. math:: p = \mathrm{softmax}(\sum_m w_m \log P_m + w_s \log P_s + b)

    P_s is a ridge-regularised multinomial logistic regression on all members' calibrated
    log-probabilities. The weights and the bias are learned on its out-of-fold outputs, so that
    it counts for what it is worth on rows it has not seen; afterwards it is fitted to all rows.
    `DiscriminantPool`, which the command `ensemble blend` fits, is more accurate and far faster.

    Parameters
    ----------
    ridge : float, optional
        Strength r > 0 of the stacker's ridge, r‖W‖²/n; None chooses it by cross-validation.
    bias_ridge : float, optional
        Strength > 0 of the prior on the class bias, in rows; None chooses it by cross-validation.
    n_folds : int
        Number of folds >= 2.
    seed : int
        Seed of the folds.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The members' weights w.
    stacker_weight_ : float
        The stacker's weight w_s.
    bias_ : ndarray of shape (C,)
        The class bias b.
    head_ : LinearHead
        The stacker.
    ridge_, bias_ridge_ : float
        The strengths that were used.
    cv_log_loss_ : dict of float to float
        Out-of-fold log-loss of the stacker for each strength that was tried, in nats.
    converged_ : bool
        Whether the last fits of pool and stacker met their tolerances.
    n_iter_ : int
        Iterations that the pool took.

    References
    ----------
    Wolpert (1992). Stacked generalization. Neural Networks 5(2).

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    >>> Blend(n_folds=2).fit([a, a], [0, 0, 1, 1]).predict([a, a])
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        ridge: float | None = None,
        bias_ridge: float | None = None,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.ridge = ridge
        self.bias_ridge = bias_ridge
        self.n_folds = n_folds
        self.seed = seed

    @property
    def part_weights_(self) -> dict[str, float]:
        """The weight of the stacker."""
        return {"stacker": self.stacker_weight_}

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        ridges: Sequence[float] = RIDGES
        if self.ridge is not None:
            ridges = (check_number(self.ridge, "ridge", low=0.0, open_low=True),)
        strength = self.bias_ridge
        if strength is not None:
            strength = check_number(strength, "bias_ridge", low=0.0, open_low=True)
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        warn_unseen(y, members.n_classes, self.class_names_)
        logs = members.log_tensor(slice(0, len(y)))
        held = held_out(stratified_folds(logs, y, n_folds, seed))
        self.ridge_, self.cv_log_loss_, outputs = _out_of_fold(logs, y, held, ridges)
        everyone = np.concatenate([logs, _logs(outputs)[None]])
        if strength is None:
            strength = choose_bias_ridge(everyone, y, ridge=1.0, n_folds=n_folds, seed=seed)
        pool = fit_log_pool(PoolTask(everyone, y), ridge=1.0, bias_ridge=strength)
        stacker = _Stacker(logs, y)
        self.head_ = stacker.solve(self.ridge_)
        self.bias_ridge_ = strength
        self.member_weights_, self.stacker_weight_ = pool.weights[:-1], float(pool.weights[-1])
        self.bias_ = pool.bias
        self.converged_ = pool.converged and stacker.converged
        self.n_iter_ = pool.n_iter
        warn_unconverged(self.converged_, self.n_iter_)

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        z = self.bias_ + self.stacker_weight_ * _logs(self.head_.probabilities(logs))
        for weight, member in zip(self.member_weights_, logs, strict=True):
            z += weight * member
        return softmax(z)


class _Stacker:
    """The multinomial problem of one set of rows, and the solution last found."""

    def __init__(self, logs: Matrix, y: NDArray[np.int64]) -> None:
        self.calibration = Calibration.fit(logs, y)
        self.seen, places = seen_classes(y)
        guess = self.calibration.probabilities(logs)[:, self.seen]
        self.problem = MultinomialProblem(self.calibration.features(logs), places, guess)
        self.fit: MultinomialFit | None = None
        self.converged = True

    def solve(self, ridge: float, *, tolerance: float = 1e-8) -> LinearHead:
        """Fit the head with strength r of the ridge, from the last solution."""
        self.fit = self.problem.solve(ridge, start=self.fit, tolerance=tolerance)
        self.converged = self.fit.converged
        return LinearHead(self.calibration.betas, self.fit.coef, self.fit.intercept, self.seen)


def _out_of_fold(
    logs: Matrix, y: NDArray[np.int64], held: list[NDArray[np.bool_]], ridges: Sequence[float]
) -> tuple[float, dict[float, float], Matrix]:
    """Strength of the least out-of-fold log-loss, the losses of those tried, and the outputs."""
    if len(held) < 2:  # a single row: what it would be out of fold, nobody can say
        return ridges[0], {}, np.full(logs.shape[1:], 1 / logs.shape[2])
    stackers = [_Stacker(logs[:, ~out], y[~out]) for out in held]
    losses: dict[float, float] = {}
    best = np.empty(logs.shape[1:])
    for ridge in ridges:
        outputs = np.empty_like(best)
        for stacker, out in zip(stackers, held, strict=True):
            head = stacker.solve(ridge, tolerance=CHOOSING)
            outputs[out] = head.probabilities(logs[:, out])
        losses[ridge] = label_log_loss(outputs, y)
        if losses[ridge] > min(losses.values()):
            break
        best = outputs
    return min(losses, key=losses.__getitem__), losses, best


def _logs(probs: Matrix) -> Matrix:
    return np.asarray(np.log(np.maximum(probs, LEAST_PROBABILITY)))
