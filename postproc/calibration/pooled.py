"""Discriminant pool of one model: its scores, a linear discriminant and a kernel regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postproc.calibration.affine import (
    AffineMap,
    Floats,
    Ints,
    keep_unseen,
    mean_log_loss,
)
from postproc.calibration.discriminant import SHRINKAGES
from postproc.calibration.discriminant_pool import CLIP, RIDGE, fit_discriminant_pool
from postproc.calibration.matrix import MatrixMap, clipped_features
from postproc.calibration.temperature import Calibrator
from postproc.scores.arrays import Array, beside, log_softmax
from postproc.scores.checks import check_number, fail
from postproc.scores.kinds import Kind

#: Most rows that the kernel regression compares with: one model says less than several.
N_LANDMARKS = 1000


@dataclass(frozen=True)
class PooledMap:
    """Log pool of residual matrix scaling and a discriminant, as the first release fitted it."""

    matrix: MatrixMap | AffineMap  # an AffineMap if it is the identity
    weight: Floats  # of the discriminant, on clipped and centred log-probabilities, (C, C)
    bias: Floats  # of the discriminant, (C,)
    scaling: AffineMap  # temperature and class bias of the discriminant
    weights: Floats  # of the matrix and of the discriminant in the pool, (2,)
    feature_beta: float  # inverse temperature of the discriminant's features
    clip: float  # where they are clipped
    unseen: Ints  # classes without a row, which keep their share of the tempered scores

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        features = clipped_features(logs, self.feature_beta, self.clip)
        linear = features @ beside(self.weight, logs) + beside(self.bias, logs)
        members = self.matrix(logs), self.scaling(log_softmax(linear))
        pooled = self.weights[0] * members[0] + self.weights[1] * members[1]
        return keep_unseen(pooled, self.feature_beta * logs, self.unseen)


class PooledScaling(Calibrator):
    r"""Log pool of the scores, of a linear discriminant on them and of a kernel regression.

    .. math:: p' \propto \exp(\sum_j w_j(h_j) s_j + b), \quad w_j(h) = (1 - h) u_j + h v_j

    The parts s_j are log-probabilities: the tempered ones, those of the discriminant and those of
    the regression. A part's weight depends on h_j, its entropy in the row divided by log C. The
    weights u, v >= 0 and a class bias b are learned on leave-one-out predictions, which have closed
    forms. It is `ensemble.DiscriminantPool` of a single member.

    Parameters
    ----------
    shrinkages : sequence of float
        Candidates in (0, 1] for the discriminant's share of the spherical covariance; one is
        chosen by leave-one-out log-loss.
    clip : float
        Log-probabilities are clipped at -clip, clip > 0.
    bias_ridge : float
        Strength > 0 of a normal prior on the class bias around zero, in rows.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    weights_ : ndarray of shape (2, 3)
        Weights u and v of the scores, the discriminant and the kernel regression.
    bias_ : ndarray of shape (C,)
        The class bias b.
    shrinkage_, kernel_ridge_ : float
        The chosen penalties of the discriminant and of the regression.
    inverse_temperature_, temperature_ : float
        Those of the scores.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of leave-one-out parts, pooled without the row's fold.
    improved_, held_out_log_loss_, identity_log_loss_, kind_, unseen_
        As of `TemperatureScaling`.
    converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `DiscriminantPoolMap`.

    References
    ----------
    Ng, Jordan (2001). On Discriminative vs. Generative Classifiers. NeurIPS. Genest, Zidek (1986).
    Combining probability distributions. Statistical Science 1(1), section 3.
    """

    def __init__(
        self,
        *,
        shrinkages: Sequence[float] = SHRINKAGES,
        clip: float = CLIP,
        bias_ridge: float = 1.0,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.shrinkages = shrinkages
        self.clip = clip
        self.bias_ridge = bias_ridge
        self.kind = kind
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.random_state = random_state

    def _check_options(self) -> None:
        check_number(self.clip, "clip", low=0.0, open_low=True)
        check_number(self.bias_ridge, "bias_ridge", low=0.0, open_low=True)
        for share in self.shrinkages:
            check_number(share, "shrinkages", low=0.0, high=1.0, open_low=True)
        if not self.shrinkages:
            fail("shrinkages", "one number in (0, 1] or more", "none")

    def _search(self, logs: Floats, y: Ints) -> None:
        found = fit_discriminant_pool(
            logs[None],
            y,
            ridge=RIDGE,
            bias_ridge=float(self.bias_ridge),
            shrinkages=sorted(map(float, self.shrinkages), reverse=True),
            clip=float(self.clip),
            n_landmarks=N_LANDMARKS,
            n_folds=self.n_folds,
            max_iter=self.max_iter,
            seed=self.random_state,
        )
        self.model_, self.out_of_fold_ = found.model, found.out_of_fold
        self.held_out_log_loss_ = mean_log_loss(self.out_of_fold_, y)
        self.inverse_temperature_ = float(self.model_.betas[0])
        self.weights_, self.bias_ = self.model_.weights, self.model_.bias
        self.shrinkage_, self.kernel_ridge_ = float(found.shrinkages[0]), found.kernel_ridge
        self.converged_, self.n_iter_ = found.fit.converged, found.fit.n_iter
