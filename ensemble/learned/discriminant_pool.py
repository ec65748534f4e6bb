"""Discriminant pool: a log pool of the members and of closed-form classifiers fitted on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.features import Calibration
from ensemble.learned.heads import warn_unseen
from ensemble.learned.kernel import KernelRidge, KernelScores
from ensemble.learned.log_pool import PoolFit, fit_log_pool, warn_unconverged
from ensemble.members import Members
from postproc.calibration.affine import keep_unseen, temper, unseen_classes
from postproc.calibration.discriminant import SHRINKAGES, Discriminant, best_strength
from postproc.evaluation.folds import random_folds, stratified_folds
from postproc.scores.arrays import Array, log_softmax, softmax
from postproc.scores.checks import check_count, check_number

Matrix = NDArray[np.float64]

#: Ridges of the kernel regression that leave-one-out log-loss chooses from, strong ones first.
KERNEL_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


class DiscriminantPool(Ensemble):
    r"""Learned log pool of the members, of linear discriminants on them and of a kernel regression.

    .. math:: p \propto \exp(\sum_m (w_m t_m + v_m d_m) + v_J d_J + v_K k + b)

    t_m are the member's log-probabilities at the temperature that fits it; d_m those of a linear
    discriminant on them, d_J of one on all members' side by side, and k of a kernel ridge
    regression on the latter. Weights >= 0 and class bias are learned on leave-one-out predictions
    of all of these, which have closed forms.

    Parameters
    ----------
    ridge : float
        Strength >= 0 of a normal prior on the weights around equal ones, in rows.
    bias_ridge : float
        Strength > 0 of a normal prior on the class bias around zero, in rows.
    kernel : bool
        Whether the kernel regression takes part.
    n_landmarks : int
        Most rows >= 1 that the kernel regression compares with; more rows are sampled evenly.
    n_folds : int
        Number of folds >= 2 of `out_of_fold_`.
    seed : int
        Seed of the folds and of the landmarks.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The members' weights w.
    discriminant_weights_ : ndarray of shape (M,)
        The weights of the members' discriminants.
    joint_weight_, kernel_weight_ : float
        The weights of the joint discriminant and of the kernel regression.
    temperatures_ : ndarray of shape (M,)
        The members' temperatures.
    shrinkages_ : ndarray of shape (M + 1,)
        Shares of spherical covariance that were chosen, of each discriminant and of the joint one.
    kernel_ridge_ : float
        The ridge that was chosen; NaN without the kernel regression.
    bias_ : ndarray of shape (C,)
        The class bias b.
    coef_, intercept_ : ndarray of shape (M C, C) and (C,)
        All discriminants times their weights, as one linear map.
    kernel_scores_ : KernelScores or None
        The kernel regression times its weight; None where that is zero.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of the rows fitted on, with weights and bias learned on other folds.
    unseen_ : ndarray of int
        Classes without a row; they keep the share that the tempered members give them on average.
    converged_ : bool
        Whether the weights met their tolerance.
    n_iter_ : int
        Iterations they took.

    References
    ----------
    Ng, Jordan (2001). On Discriminative vs. Generative Classifiers. NeurIPS. Genest, Zidek (1986).
    Combining probability distributions. Statistical Science 1(1), section 3.

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    >>> DiscriminantPool(n_folds=2).fit([a, a], [0, 0, 1, 1]).predict([a, a])
    array([0, 0, 1, 1])
    """

    #: What is not kept where a pool is saved.
    unsaved = ("out_of_fold_",)

    def __init__(
        self,
        *,
        ridge: float = 1.0,
        bias_ridge: float = 1.0,
        kernel: bool = True,
        n_landmarks: int = 1500,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.ridge = ridge
        self.bias_ridge = bias_ridge
        self.kernel = kernel
        self.n_landmarks = n_landmarks
        self.n_folds = n_folds
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        ridge = check_number(self.ridge, "ridge", low=0.0)
        bias_ridge = check_number(self.bias_ridge, "bias_ridge", low=0.0, open_low=True)
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        fate = "they keep the share that the tempered members give them on average"
        warn_unseen(y, members.n_classes, self.classes_, fate=fate)
        self.unseen_ = unseen_classes(y, members.n_classes)
        logs = members.log_tensor(slice(0, len(y)))
        calibration = Calibration.fit(logs, y)
        self.temperatures_ = 1 / calibration.betas
        tempered = [temper(beta, m) for beta, m in zip(calibration.betas, logs, strict=True)]
        features = calibration.features(logs)
        linear = _left_out_discriminants(features, tempered, y)
        outputs = [*tempered, *(found.left_out for found in linear)]
        kernel = None
        self.kernel_ridge_ = float("nan")
        if self.kernel:
            most = check_count(self.n_landmarks, "n_landmarks", low=1)
            chosen = _even_sample(features, y, most, seed)
            ridge_fits = KernelRidge(features, y, members.n_classes, chosen)
            self.kernel_ridge_, left_out, beta = best_strength(
                KERNEL_RIDGES, ridge_fits.left_out, y
            )
            outputs.append(temper(beta, left_out))
            kernel = ridge_fits.scores(self.kernel_ridge_)
            kernel = replace(kernel, coef=beta * kernel.coef)
        stack = np.stack(outputs)
        pool = fit_log_pool(stack, y, ridge=ridge, bias_ridge=bias_ridge)
        self.converged_, self.n_iter_ = pool.converged, pool.n_iter
        warn_unconverged(self.converged_, self.n_iter_)
        self._keep(pool, linear, kernel, len(logs))
        own = np.mean(tempered, axis=0)
        self.out_of_fold_ = np.asarray(keep_unseen(pool.log_scores(stack), own, self.unseen_))
        folds = random_folds(logs.mean(axis=0), y, min(n_folds, len(y)), seed)
        for fold in range(folds.max() + 1 if len(y) > 1 else 0):
            held = folds == fold
            inside = fit_log_pool(
                stack[:, ~held], y[~held], ridge=ridge, bias_ridge=bias_ridge, start=pool
            )
            z = inside.log_scores(stack[:, held])
            self.out_of_fold_[held] = keep_unseen(z, own[held], self.unseen_)

    def _keep(
        self, pool: PoolFit, linear: list[_Linear], kernel: KernelScores | None, n_members: int
    ) -> None:
        """Multiply the weights into what they weigh."""
        weights = list(pool.weights)
        self.member_weights_, self.bias_ = pool.weights[:n_members], pool.bias
        self.discriminant_weights_ = pool.weights[n_members : 2 * n_members]
        self.joint_weight_ = float(weights[2 * n_members]) if len(linear) > n_members else 0.0
        self.kernel_weight_ = 0.0 if kernel is None else float(weights[-1])
        self.shrinkages_ = np.array([found.shrinkage for found in linear])
        n_classes = len(pool.bias)
        self.coef_ = np.zeros((n_members * n_classes, n_classes))
        self.intercept_ = pool.bias.copy()
        for weight, found in zip(weights[n_members:], linear, strict=False):
            self.coef_[found.columns] += weight * found.weight
            self.intercept_ += weight * found.bias
        self.kernel_scores_ = None
        if kernel is not None and self.kernel_weight_ > 0.0:
            self.kernel_scores_ = replace(kernel, coef=self.kernel_weight_ * kernel.coef)

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        betas = 1 / self.temperatures_
        features = Calibration(betas).features(logs)
        z = features @ self.coef_ + self.intercept_
        for weight, beta, member in zip(self.member_weights_, betas, logs, strict=True):
            z += weight * beta * member
        if self.kernel_scores_ is not None:
            z += self.kernel_scores_(features)
        if len(self.unseen_) == 0:
            return softmax(z)
        own = sum(log_softmax(beta * m) for beta, m in zip(betas, logs, strict=True)) / len(logs)
        return np.exp(keep_unseen(z, own, self.unseen_))


@dataclass(frozen=True)
class _Linear:
    """A discriminant on some columns of the features, and its left-out log-probabilities."""

    columns: slice
    shrinkage: float
    weight: Matrix
    bias: Matrix
    left_out: Matrix


def _left_out_discriminants(
    features: Matrix, tempered: list[Matrix], y: NDArray[np.int64]
) -> list[_Linear]:
    """A discriminant on each member's features, and one on all if there are several."""
    n_members, n_classes = len(tempered), tempered[0].shape[1]
    parts = [
        (slice(m * n_classes, (m + 1) * n_classes), np.exp(logs)) for m, logs in enumerate(tempered)
    ]
    if n_members > 1:
        parts.append((slice(0, n_members * n_classes), np.mean([p for _, p in parts], axis=0)))
    found = []
    for columns, shares in parts:
        fits = Discriminant(features[:, columns], shares, y)
        shrinkage, left_out, beta = best_strength(SHRINKAGES, fits.left_out, y)
        weight, bias = fits.linear(shrinkage)
        out = np.asarray(temper(beta, left_out))
        found.append(_Linear(columns, shrinkage, beta * weight, beta * bias, out))
    return found


def _even_sample(features: Matrix, y: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Rows spread evenly over classes and, within a class, over a random projection."""
    ranks = stratified_folds(features, y, len(y), seed)
    places = np.linspace(0, len(y) - 1, min(most, len(y))).astype(np.int64)
    return np.asarray(np.argsort(ranks)[places])
