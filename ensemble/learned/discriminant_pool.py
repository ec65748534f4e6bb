"""Discriminant pool of members: see `postproc.calibration.discriminant_pool`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.heads import warn_unseen
from ensemble.learned.log_pool import warn_unconverged
from ensemble.members import Members
from postproc.calibration.discriminant import SHRINKAGES
from postproc.calibration.discriminant_pool import CLIP, N_LANDMARKS, RIDGE, fit_discriminant_pool
from postproc.scores.arrays import Array
from postproc.scores.checks import check_count, check_number


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
        Mean weight of each member and of the discriminant on it, less the share that their doubt
        takes: what has learned nothing has no weight.
    doubts_ : ndarray of shape (A,)
        Mean entropy of each part on the fit rows, divided by log C.
    bias_ : ndarray of shape (C,)
        The class bias b.
    trust_ : float
        How far the weights and the bias are those of the pool, in [0, 1]; the rest is the plain
        one's.
    temperatures_ : ndarray of shape (M,)
        The members' temperatures.
    model_ : DiscriminantPoolMap
        The fitted parts and weights.
    shrinkages_ : ndarray
        Shares of spherical covariance that were chosen for the discriminants.
    kernel_ridge_ : float
        The ridge that was chosen; NaN without the kernel regression.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of the rows fitted on, without their fold: one Newton step takes its rows
        from the weights and the bias.
    unseen_ : ndarray of int
        Classes without a row; they keep the share that the tempered members give on average.
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

    #: What is not saved.
    unsaved = ("out_of_fold_",)

    def __init__(
        self,
        *,
        ridge: float = RIDGE,
        bias_ridge: float = 1.0,
        kernel: bool = True,
        n_landmarks: int = N_LANDMARKS,
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
        n_landmarks = check_count(self.n_landmarks, "n_landmarks", low=1)
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        fate = "they keep the share that the tempered members give them on average"
        warn_unseen(y, members.n_classes, self.class_names_, fate=fate)
        found = fit_discriminant_pool(
            members.log_tensor(slice(0, len(y))),
            y,
            ridge=ridge,
            bias_ridge=bias_ridge,
            shrinkages=SHRINKAGES,
            clip=CLIP,
            n_landmarks=n_landmarks if self.kernel else 0,
            n_folds=n_folds,
            seed=seed,
        )
        self.converged_, self.n_iter_ = found.fit.converged, found.fit.n_iter
        warn_unconverged(self.converged_, self.n_iter_)
        self.model_, self.unseen_ = found.model, found.model.unseen
        self.temperatures_ = 1 / found.model.betas
        self.weights_, self.bias_ = found.model.weights, found.model.bias
        self.trust_ = found.trust
        self.shrinkages_, self.kernel_ridge_ = found.shrinkages, found.kernel_ridge
        self.out_of_fold_ = found.out_of_fold
        self.doubts_ = found.doubts
        self.member_weights_ = self._means[: 2 * len(members)].reshape(2, -1).sum(axis=0)

    @property
    def _means(self) -> NDArray[np.float64]:
        """Mean weight of each part, less the share that its doubt takes, (A,)."""
        sure = 1 - self.doubts_
        return np.asarray(sure * (sure * self.weights_[0] + self.doubts_ * self.weights_[1]))

    @property
    def part_weights_(self) -> dict[str, float]:
        """Weights of the discriminant and the kernel regression on all, as `member_weights_`."""
        if not hasattr(self, "doubts_"):  # a model of the first release
            return {}
        several = self.n_members_ > 1
        names = ["discriminant"] * several + ["kernel regression"] * bool(self.kernel)
        return dict(zip(names, self._means[2 * self.n_members_ :].tolist(), strict=True))

    def _combine(self, members: Members, rows: slice) -> Array:
        return np.exp(self.model_.pool(list(members.log_tensor(rows))))
