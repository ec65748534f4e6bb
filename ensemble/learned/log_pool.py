"""Weights learned on a fit split: the log pool of least log-loss.

The pool minimises, over weights w >= 0 and a class bias b,

    -1/n Σ_i log softmax(Σ_m w_m log P_mi + b)_{y_i} + λ/2n Σ_m (w_m - 1/M)² + λ_b/2n Σ_c b_c²

by L-BFGS-B with the analytic gradient. The problem is convex.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members
from postproc.evaluation.folds import stratified_folds
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_count, check_number

Matrix = NDArray[np.float64]

#: Strengths of the prior on the class bias that cross-validation chooses from, strong ones first.
BIAS_RIDGES = (100.0, 10.0, 1.0, 0.1)


@dataclass(frozen=True)
class PoolFit:
    """What the optimiser found."""

    weights: Matrix
    bias: Matrix
    loss: float
    converged: bool
    n_iter: int

    def log_scores(self, logs: Matrix) -> Matrix:
        """Σ_m w_m log P_m + b, shape (k, C), from log-probabilities of shape (M, k, C)."""
        return _pool(self.weights, logs) + self.bias


def fit_log_pool(
    logs: Matrix,
    y: NDArray[np.int64],
    *,
    ridge: float = 1.0,
    bias_ridge: float | None = None,
    start: PoolFit | None = None,
    max_iterations: int = 2000,  # it needs some tens
) -> PoolFit:
    r"""Minimise the log-loss of a log pool over its member weights, and a class bias."""
    from scipy.optimize import minimize

    n_members, n_rows, n_classes = logs.shape
    flat = logs.reshape(n_members, -1)
    picked = np.arange(n_rows), y
    centre = 1 / n_members

    def objective(x: Matrix) -> tuple[float, Matrix]:
        w, b = x[:n_members], x[n_members:]
        z = (w @ flat).reshape(n_rows, n_classes)
        if bias_ridge is not None:
            z += b
        z -= z.max(axis=1, keepdims=True)
        loss = -z[picked].mean() + ridge / (2 * n_rows) * np.sum((w - centre) ** 2)
        np.exp(z, out=z)
        sums = z.sum(axis=1, keepdims=True)
        loss += np.log(sums).mean()
        z /= sums
        z[picked] -= 1
        slopes = flat @ z.ravel() / n_rows + ridge / n_rows * (w - centre)
        if bias_ridge is None:
            return float(loss), slopes
        loss += bias_ridge / (2 * n_rows) * np.sum(b**2)
        return float(loss), np.concatenate([slopes, z.mean(axis=0) + bias_ridge / n_rows * b])

    n_bias = 0 if bias_ridge is None else n_classes
    x0 = np.concatenate([np.full(n_members, centre), np.zeros(n_bias)])
    if start is not None:
        x0 = np.concatenate([start.weights, start.bias[:n_bias]])
    result = minimize(
        objective,
        x0,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * n_members + [(None, None)] * n_bias,
        options={"maxiter": max_iterations, "maxfun": 2 * max_iterations, "ftol": 1e-12},
    )
    bias = result.x[n_members:] if n_bias else np.zeros(n_classes)
    return PoolFit(
        result.x[:n_members], bias, float(result.fun), bool(result.success), int(result.nit)
    )


def choose_bias_ridge(
    logs: Matrix, y: NDArray[np.int64], *, ridge: float, n_folds: int, seed: int
) -> float:
    """Strength of the prior on the class bias with the least cross-validated log-loss."""
    n_rows = len(y)
    n_folds = min(n_folds, n_rows)
    if n_folds < 2:
        return BIAS_RIDGES[0]
    folds = stratified_folds(np.concatenate(list(logs), axis=1), y, n_folds, seed)
    losses = np.zeros(len(BIAS_RIDGES))
    for fold in range(n_folds):
        held = folds == fold
        inside, outside = logs[:, ~held], logs[:, held]
        fit = None
        for k, bias_ridge in enumerate(BIAS_RIDGES):
            fit = fit_log_pool(inside, y[~held], ridge=ridge, bias_ridge=bias_ridge, start=fit)
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
        fit = fit_log_pool(logs, y, ridge=ridge, bias_ridge=strength)
        warn_unconverged(fit.converged, fit.n_iter)
        self.member_weights_, self.bias_ = fit.weights, fit.bias
        self.bias_ridge_ = strength
        self.converged_, self.n_iter_ = fit.converged, fit.n_iter

    def _combine(self, members: Members, rows: slice) -> Array:
        return softmax(_pool(self.member_weights_, members.log_tensor(rows)) + self.bias_)


def warn_unconverged(converged: bool, n_iter: int) -> None:
    """Warn where an optimiser gave up."""
    if not converged:
        msg = f"the optimiser has not converged after {n_iter} iterations; the fit is rough"
        warnings.warn(msg, UserWarning, stacklevel=4)


def _pool(weights: Matrix, logs: Matrix) -> Matrix:
    """Σ_m w_m log P_m."""
    return np.asarray((weights @ logs.reshape(len(logs), -1)).reshape(logs.shape[1:]))
