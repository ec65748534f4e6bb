"""Discriminant pool: a log pool of the members and of closed-form classifiers fitted on them.

With s_j the log-probabilities of part j (a tempered member, a discriminant, the kernel regression)
and h_j their entropy in each row divided by log C,

    log p = Σ_j ((1 - h_j) u_j + h_j v_j) s_j + b + const.,    u, v >= 0.

Every weight moves with the part's own doubt, and the problem stays convex. It is fitted on
leave-one-out predictions of the parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.features import Calibration
from ensemble.learned.heads import warn_unseen
from ensemble.learned.kernel import KernelRidge, KernelScores
from ensemble.learned.log_pool import fit_log_pool, warn_unconverged
from ensemble.members import Members
from postproc.calibration.affine import keep_unseen, temper, unseen_classes
from postproc.calibration.discriminant import SHRINKAGES, Discriminant, best_strength
from postproc.evaluation.folds import random_folds, stratified_folds
from postproc.scores.arrays import Array, log_softmax, softmax
from postproc.scores.checks import check_count, check_number

Matrix = NDArray[np.float64]

#: Ridges of the kernel regression that leave-one-out log-loss chooses from, strong ones first.
KERNEL_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)


@dataclass(frozen=True)
class LinearScores:
    """Scores that are linear in the features of columns first..last; coef (last - first, C)."""

    first: int
    last: int
    coef: Matrix
    intercept: Matrix

    def __call__(self, features: Matrix) -> Matrix:
        """Scores of shape (k, C), from features of shape (k, M C)."""
        return np.asarray(features[:, self.first : self.last] @ self.coef + self.intercept)


class DiscriminantPool(Ensemble):
    r"""Learned log pool of the members, of linear discriminants on them and of a kernel regression.

    .. math:: p \propto \exp(\sum_j w_j(h_j) s_j + b), \quad w_j(h) = (1 - h) u_j + h v_j

    The parts s_j are log-probabilities: each member's, at the temperature that fits it; those of a
    linear discriminant on each member; of one on all members side by side; and of a kernel ridge
    regression on the latter. A part's weight depends on h_j, its entropy in the row divided by
    log C. The weights >= 0 and a class bias are learned on leave-one-out predictions of all parts,
    which have closed forms.

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
    weights_ : ndarray of shape (2, A)
        Weights u and v of the A parts: the members, their discriminants, the joint one if there
        are several members, and the kernel regression if it takes part.
    member_weights_ : ndarray of shape (M,)
        Mean weight of each member, and of the discriminant on it.
    bias_ : ndarray of shape (C,)
        The class bias b.
    temperatures_ : ndarray of shape (M,)
        The members' temperatures.
    discriminants_ : list of LinearScores
        The discriminants.
    kernel_ : KernelScores or None
        The kernel regression.
    shrinkages_ : ndarray
        Shares of spherical covariance that were chosen for the discriminants.
    kernel_ridge_ : float
        The ridge that was chosen; NaN without the kernel regression.
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
        ridge: float = 10.0,
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
        parts = [*tempered, *self._left_out_discriminants(features, tempered, y)]
        self.kernel_: KernelScores | None = None
        self.kernel_ridge_ = float("nan")
        if self.kernel:
            most = check_count(self.n_landmarks, "n_landmarks", low=1)
            chosen = _even_sample(features, y, most, seed)
            fits = KernelRidge(features, y, members.n_classes, chosen)
            self.kernel_ridge_, left_out, beta = best_strength(KERNEL_RIDGES, fits.left_out, y)
            parts.append(temper(beta, left_out))
            self.kernel_ = fits.scores(self.kernel_ridge_, beta)
        stack = np.stack([half for part in parts for half in _by_doubt(part)])
        pool = fit_log_pool(stack, y, ridge=ridge, bias_ridge=bias_ridge)
        self.converged_, self.n_iter_ = pool.converged, pool.n_iter
        warn_unconverged(self.converged_, self.n_iter_)
        self.weights_, self.bias_ = pool.weights.reshape(-1, 2).T, pool.bias
        doubts = np.array([_doubt(part).mean() for part in parts])
        means = (1 - doubts) * self.weights_[0] + doubts * self.weights_[1]
        self.member_weights_ = means[: 2 * len(logs)].reshape(2, -1).sum(axis=0)
        own = np.mean(tempered, axis=0)
        self.out_of_fold_ = np.asarray(keep_unseen(pool.log_scores(stack), own, self.unseen_))
        folds = random_folds(logs.mean(axis=0), y, min(n_folds, len(y)), seed)
        for fold in range(n_folds if len(y) > 1 else 0):
            held = folds == fold
            inside = fit_log_pool(
                stack[:, ~held], y[~held], ridge=ridge, bias_ridge=bias_ridge, start=pool
            )
            z = inside.log_scores(stack[:, held])
            self.out_of_fold_[held] = keep_unseen(z, own[held], self.unseen_)

    def _left_out_discriminants(
        self, features: Matrix, tempered: list[Matrix], y: NDArray[np.int64]
    ) -> Iterator[Matrix]:
        """Fit one on each member and one on all; yield their left-out log-probabilities."""
        n_members, n_classes = len(tempered), tempered[0].shape[1]
        shares = [np.exp(logs) for logs in tempered]
        ends = [(m * n_classes, (m + 1) * n_classes) for m in range(n_members)]
        if n_members > 1:
            shares.append(np.mean(shares, axis=0))
            ends.append((0, n_members * n_classes))
        self.discriminants_: list[LinearScores] = []
        self.shrinkages_ = np.empty(len(ends))
        for k, (first, last) in enumerate(ends):
            fits = Discriminant(features[:, first:last], shares[k], y)
            self.shrinkages_[k], left_out, beta = best_strength(SHRINKAGES, fits.left_out, y)
            coef, intercept = fits.linear(self.shrinkages_[k])
            self.discriminants_.append(LinearScores(first, last, beta * coef, beta * intercept))
            yield temper(beta, left_out)

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        betas = 1 / self.temperatures_
        tempered = [temper(beta, m) for beta, m in zip(betas, logs, strict=True)]
        features = Calibration(betas).features(logs)
        fitted: list[LinearScores | KernelScores] = [*self.discriminants_]
        if self.kernel_ is not None:
            fitted.append(self.kernel_)
        z = np.tile(self.bias_, (logs.shape[1], 1))
        for j, weights in enumerate(self.weights_.T):
            if weights.any():
                one = tempered[j] if j < len(logs) else log_softmax(fitted[j - len(logs)](features))
                certain, doubtful = _by_doubt(one)
                z += weights[0] * certain + weights[1] * doubtful
        if len(self.unseen_) == 0:
            return softmax(z)
        return np.exp(keep_unseen(z, np.mean(tempered, axis=0), self.unseen_))


def _doubt(logs: Matrix) -> Matrix:
    """Entropy of each row divided by log C, shape (n,)."""
    entropies = -np.einsum("ij,ij->i", np.exp(logs), logs)
    return np.asarray(entropies / np.log(max(logs.shape[1], 2)))


def _by_doubt(logs: Matrix) -> tuple[Matrix, Matrix]:
    """Log-probabilities times 1 - h, and times h."""
    doubtful = _doubt(logs)[:, None] * logs
    return logs - doubtful, doubtful


def _even_sample(features: Matrix, y: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Rows spread evenly over classes and, within a class, over a random projection."""
    ranks = stratified_folds(features, y, len(y), seed)
    places = np.linspace(0, len(y) - 1, min(most, len(y))).astype(np.int64)
    return np.asarray(np.argsort(ranks)[places])
