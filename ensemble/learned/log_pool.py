"""Weights learned on a fit split: the log pool of least log-loss."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members
from postproc.calibration.log_pool import PoolTask, fit_log_pool, weighted_sum
from postproc.evaluation.folds import held_out, stratified_folds
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_count, check_number
from postproc.scores.codes import coded

Matrix = NDArray[np.float64]

#: Strengths of the prior on the class bias that cross-validation chooses from, strong ones first.
BIAS_RIDGES = (100.0, 10.0, 1.0, 0.1)


def choose_bias_ridge(
    logs: Matrix, y: NDArray[np.int64], *, ridge: float, n_folds: int, seed: int
) -> float:
    """Strength of the prior on the class bias with the least cross-validated log-loss."""
    if len(y) < 2:
        return BIAS_RIDGES[0]
    losses = np.zeros(len(BIAS_RIDGES))
    for held in held_out(stratified_folds(logs, y, n_folds, seed)):
        inside, outside = PoolTask(logs[:, ~held], y[~held]), logs[:, held]
        fit = None
        for k, bias_ridge in enumerate(BIAS_RIDGES):
            fit = fit_log_pool(inside, ridge=ridge, bias_ridge=bias_ridge, start=fit)
            z = fit.log_scores(outside)
            z -= z.max(axis=1, keepdims=True)
            losses[k] += np.sum(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y[held]])
    return BIAS_RIDGES[int(np.argmin(losses))]


class LearnedLogPool(Ensemble):
    r"""Log pool whose member weights, w >= 0 of any sum, minimise log-loss on the fit split.

    .. math:: p = \mathrm{softmax}(\sum_m w_m \log P_m + b)

    Parameters
    ----------
    bias : bool
        Learn a class bias b too; else it is zero.
    ridge : float
        Strength >= 0 of a normal prior on the weights around the equal-weight pool, in rows: 1
        counts as much as one row. It keeps the weights finite where all rows are right.
    bias_ridge : float, optional
        Strength > 0 of a normal prior on the bias around zero, in rows; None chooses it by
        cross-validation.
    n_folds : int
        Number of folds >= 2 of that cross-validation.
    seed : int
        Seed of the folds.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The weights w.
    bias_ : ndarray of shape (C,)
        The class bias b.
    bias_ridge_ : float or None
        The strength that was used.
    converged_ : bool
        Whether the optimiser met its tolerance.
    n_iter_ : int
        Iterations it took.

    References
    ----------
    Genest, Zidek (1986). Combining probability distributions: a critique and an annotated
    bibliography. Statistical Science 1(1), section 3.

    Examples
    --------
    >>> right, guess = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.4, 0.6]]
    >>> pool = LearnedLogPool(ridge=0.1).fit([right, guess], [0, 1])
    >>> pool.member_weights_.round(2)
    array([1.82, 0.64])
    """

    def __init__(
        self,
        *,
        bias: bool = False,
        ridge: float = 1.0,
        bias_ridge: float | None = None,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.bias = bias
        self.ridge = ridge
        self.bias_ridge = bias_ridge
        self.n_folds = n_folds
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        ridge = check_number(self.ridge, "ridge", low=0.0)
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        strength = None
        if self.bias and self.bias_ridge is not None:
            strength = check_number(self.bias_ridge, "bias_ridge", low=0.0, open_low=True)
        logs = members.log_tensor(slice(0, len(y)))
        if self.bias and strength is None:
            strength = choose_bias_ridge(logs, y, ridge=ridge, n_folds=n_folds, seed=seed)
        fit = fit_log_pool(PoolTask(logs, y), ridge=ridge, bias_ridge=strength)
        warn_unconverged(fit.converged, fit.n_iter)
        self.member_weights_, self.bias_ = fit.weights, fit.bias
        self.bias_ridge_ = strength
        self.converged_, self.n_iter_ = fit.converged, fit.n_iter

    def _combine(self, members: Members, rows: slice) -> Array:
        return softmax(weighted_sum(self.member_weights_, members.log_tensor(rows)) + self.bias_)


def warn_unconverged(converged: bool, n_iter: int) -> None:
    """Warn where an optimiser gave up."""
    if not converged:
        msg = f"the optimiser has not converged after {n_iter} iterations; the fit is rough"
        warnings.warn(coded("converged", msg), UserWarning, stacklevel=5)
