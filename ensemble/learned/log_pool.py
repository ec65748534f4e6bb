"""Weights learned on a fit split: the log pool of least log-loss.

The pool minimizes, over weights w >= 0 and a class bias b,

    -1/n Σ_i log softmax(Σ_m w_m log P_mi + b)_{y_i} + λ/2n Σ_m (w_m - 1/M)² + λ_b/2n Σ_c b_c²

by Newton's method. The problem is convex, and the quadratic models keep to w >= 0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members
from postproc.evaluation.folds import stratified_folds
from postproc.scores.arrays import Array, row_sums, softmax
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import check_count, check_number

Matrix = NDArray[np.float64]

#: Strengths of the prior on the class bias that cross-validation chooses from, strong ones first.
BIAS_RIDGES = (100.0, 10.0, 1.0, 0.1)

#: Decrease of the loss, promised by a Newton step, that is not worth the step.
DROP = 1e-11

#: Shortest share of a Newton step.
SHORTEST = 1e-8

#: Share of the largest curvature that keeps a singular one invertible.
JITTER = 1e-12


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
    max_iterations: int = 100,  # it needs about ten
) -> PoolFit:
    """Minimize the log-loss of a log pool over its member weights, and a class bias."""
    n_members, n_rows, n_classes = logs.shape
    centre = 1 / n_members
    w, b = np.full(n_members, centre), np.zeros(n_classes)
    if start is not None:
        w, b = start.weights, start.bias

    def at(w: Matrix, b: Matrix) -> _PoolCurves:
        curves = _PoolCurves.at(logs, y, w, b, with_bias=bias_ridge is not None)
        return curves.penalized(w - centre, b, ridge / n_rows, (bias_ridge or 0.0) / n_rows)

    curves = at(w, b)
    for n_iter in range(max_iterations):
        step_w, step_b = curves.newton_step(w)
        drop = -float(curves.slope_w @ step_w + curves.slope_b @ step_b)
        if drop <= DROP:
            return PoolFit(w, b, curves.loss, True, n_iter)
        length = 1.0
        while True:
            new_w, new_b = w + length * step_w, b + length * step_b
            new = at(new_w, new_b)
            if new.loss <= curves.loss - 1e-4 * length * drop:
                break
            length /= 4.0
            if length < SHORTEST:  # rounding errors hide what is left to gain
                return PoolFit(w, b, curves.loss, drop <= 1e4 * DROP, n_iter)
        w, b, curves = new_w, new_b, new
    return PoolFit(w, b, curves.loss, False, max_iterations)


@dataclass(frozen=True)
class _PoolCurves:
    """Mean log-loss of a log pool, and its derivatives in the weights w and the bias b."""

    loss: float
    slope_w: Matrix  # (M,)
    slope_b: Matrix  # (C,); zero without a bias, as are the curves in it
    curve_w: Matrix  # (M, M)
    curve_wb: Matrix  # (M, C)
    curve_b: Matrix  # (C, C)

    @classmethod
    def at(
        cls, logs: Matrix, y: NDArray[np.int64], w: Matrix, b: Matrix, *, with_bias: bool
    ) -> _PoolCurves:
        """Sum them over blocks of rows of log-probabilities, shape (M, n, C)."""
        n_members, n_rows, n_classes = logs.shape
        loss, slope_w, curve_w = 0.0, np.zeros(n_members), np.zeros((n_members, n_members))
        slope_b, curve_wb = np.zeros(n_classes), np.zeros((n_members, n_classes))
        products = np.zeros((n_classes, n_classes))
        for rows in row_blocks(n_rows, n_classes, block_bytes=DEFAULT_SIZES.cached // 4):
            part, mine = np.ascontiguousarray(logs[:, rows]), y[rows]
            flat = part.reshape(n_members, -1)
            z = (w @ flat).reshape(part.shape[1:]) + b
            z -= z.max(axis=1, keepdims=True)
            picked = np.arange(len(z)), mine
            loss -= float(z[picked].sum())
            np.exp(z, out=z)
            total = row_sums(z)
            loss += float(np.log(total).sum())
            z /= total[:, None]
            weighed = part * z
            expected = np.einsum("mkc->mk", weighed)
            slope_w += (expected - part[:, picked[0], mine]).sum(axis=1)
            curve_w += weighed.reshape(n_members, -1) @ flat.T - expected @ expected.T
            if with_bias:
                slope_b += z.sum(axis=0)
                curve_wb += weighed.sum(axis=1) - expected @ z
                products -= z.T @ z
        if with_bias:
            products[np.diag_indices(n_classes)] += slope_b
            slope_b -= np.bincount(y, minlength=n_classes)
        return cls(
            loss / n_rows,
            slope_w / n_rows,
            slope_b / n_rows,
            curve_w / n_rows,
            curve_wb / n_rows,
            products / n_rows,
        )

    def penalized(self, w: Matrix, b: Matrix, ridge: float, bias_ridge: float) -> _PoolCurves:
        """Add (ridge ‖w‖² + bias_ridge ‖b‖²)/2."""
        return _PoolCurves(
            self.loss + float(ridge * (w @ w) + bias_ridge * (b @ b)) / 2,
            self.slope_w + ridge * w,
            self.slope_b + bias_ridge * b,
            self.curve_w + ridge * np.eye(len(w)),
            self.curve_wb,
            self.curve_b + bias_ridge * np.eye(len(b)),
        )

    def newton_step(self, w: Matrix) -> tuple[Matrix, Matrix]:
        """Steps in w and b to the minimum of the quadratic model that keeps the weights >= 0."""
        from scipy.linalg import cho_factor, cho_solve
        from scipy.optimize import nnls

        curve, slope, step_b = self.curve_w, self.slope_w, np.zeros_like(self.slope_b)
        with_bias = bool(self.curve_b.any())
        if with_bias:  # b is eliminated
            right = np.column_stack([self.curve_wb.T, self.slope_b])
            solved = cho_solve(cho_factor(self.curve_b), right)
            curve = curve - self.curve_wb @ solved[:, :-1]
            slope = slope - self.curve_wb @ solved[:, -1]
        jitter = JITTER * max(float(np.diag(self.curve_w).max()), JITTER)
        root = np.linalg.cholesky(curve + jitter * np.eye(len(w)))
        new, _ = nnls(root.T, np.linalg.solve(root, curve @ w - slope), maxiter=100 * len(w))
        if with_bias:
            step_b = -solved[:, -1] - solved[:, :-1] @ (new - w)
        return new - w, step_b


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
        warnings.warn(msg, UserWarning, stacklevel=5)


def _pool(weights: Matrix, logs: Matrix) -> Matrix:
    """Σ_m w_m log P_m."""
    return np.asarray((weights @ logs.reshape(len(logs), -1)).reshape(logs.shape[1:]))
