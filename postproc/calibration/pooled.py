"""Discriminant pool of one model: residual matrix scaling, a discriminant, a kernel regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postproc.calibration.affine import MOST_CLASSES, AffineMap, Floats, Ints, keep_unseen
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.discriminant import SHRINKAGES
from postproc.calibration.discriminant_pool import CLIP, RIDGE, fit_discriminant_pool
from postproc.calibration.matrix import (
    RIDGES,
    MatrixMap,
    clipped_features,
    fit_residual_matrix,
    warn_of_many_classes,
)
from postproc.scores.arrays import Array, beside, log_softmax
from postproc.scores.checks import check_choice, check_number, fail
from postproc.scores.kinds import Kind

#: Most rows that the kernel regression compares with: one model says less than several.
N_LANDMARKS = 1000

#: Strength of the prior on the weights, which draws them to the base alone, in rows.
BASE_RIDGE = 10.0

#: Most classes for which the base has a matrix: with more, it takes the most time by far.
MATRIX_CLASSES = 200

#: Share of the mean variance in the covariance that whitens the features of the matrix.
SPHERE = 0.1


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
    r"""Log pool of residual matrix scaling, of a linear discriminant and of a kernel regression.

    .. math:: p' \propto \exp(\sum_j w_j(h_j) s_j + b), \quad w_j(h) = (1 - h) u_j + h v_j

    The parts s_j are log-probabilities: those of `ResidualMatrixScaling` (with more than 200
    classes, of `StructuredScaling`), of the discriminant and of the regression. A part's weight
    depends on h_j, its entropy in the row divided by log C. The weights u, v >= 0 and a class bias
    b are learned on out-of-fold predictions, which have closed forms but for the first part. A
    prior worth ten rows draws to the first part alone.

    Parameters
    ----------
    shrinkages : sequence of float
        Candidates in (0, 1] for the discriminant's share of the spherical covariance; one is
        chosen by leave-one-out log-loss.
    clip : float
        Log-probabilities are clipped at -clip, clip > 0.
    bias_ridge : float
        Strength > 0 of a normal prior on the class bias around zero, in rows.
    base : {"matrix", "temperature"}
        What the first part is: `ResidualMatrixScaling`, or a temperature, which is faster and does
        not draw the weights to itself but to equal ones.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    weights_ : ndarray of shape (2, 3) or (2, 1)
        Weights u and v of matrix scaling, the discriminant and the kernel regression; with more
        than 3,000 classes there is matrix scaling alone.
    bias_ : ndarray of shape (C,)
        The class bias b.
    ridge_, shrinkage_, kernel_ridge_ : float
        The chosen penalties of the matrix, the discriminant and the regression.
    inverse_temperature_, temperature_ : float
        Those of the scores.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of leave-one-out parts, pooled without the row's fold.
    improved_, held_out_log_loss_, identity_log_loss_, kind_, unseen_
        As of `TemperatureScaling`.
    converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `MixedMap` of a `DiscriminantPoolMap`.

    Notes
    -----
    Wrong labels among the fit rows make the calibrated probabilities as unsure as those labels are.
    Nothing corrects for them, because rows that are mislabelled look like rows that are hard.

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
        bias_ridge: float = 10.0,
        base: str = "matrix",
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.shrinkages = shrinkages
        self.clip = clip
        self.bias_ridge = bias_ridge
        self.base = base
        super().__init__(kind=kind, n_folds=n_folds, max_iter=max_iter, random_state=random_state)

    def _check_options(self) -> None:
        check_choice(self.base, "base", ("matrix", "temperature"))
        check_number(self.clip, "clip", low=0.0, open_low=True)
        check_number(self.bias_ridge, "bias_ridge", low=0.0, open_low=True)
        for share in self.shrinkages:
            check_number(share, "shrinkages", low=0.0, high=1.0, open_low=True)
        if not self.shrinkages:
            fail("shrinkages", "one number in (0, 1] or more", "none")

    def _search(self, logs: Floats, y: Ints) -> None:
        many = logs.shape[1] > MOST_CLASSES
        base = None
        if many or self.base == "matrix":
            base = fit_residual_matrix(
                logs,
                y,
                ridges=RIDGES if logs.shape[1] <= MATRIX_CLASSES else (),
                clip=float(self.clip),
                shrinkage=SPHERE,
                matrix_classes=MATRIX_CLASSES,
                splits=list(self._splits(logs, y)),
                max_iter=self.max_iter,
            )
            self.inverse_temperature_, self.ridge_ = base.model.feature_beta, base.ridge
            self.converged_, self.n_iter_ = base.converged, base.n_iter
            if many:
                warn_of_many_classes(logs.shape[1])
                self.model_, self.out_of_fold_ = base.model, base.out_of_fold
                self.weights_, self.bias_ = np.ones((2, 1)), np.zeros(logs.shape[1])
                self.shrinkage_ = self.kernel_ridge_ = float("nan")
                return
        found = fit_discriminant_pool(
            logs[None],
            y,
            ridge=RIDGE if base is None else BASE_RIDGE,
            bias_ridge=float(self.bias_ridge),
            shrinkages=sorted(map(float, self.shrinkages), reverse=True),
            clip=float(self.clip),
            n_landmarks=N_LANDMARKS,
            n_folds=self.n_folds,
            max_iter=self.max_iter,
            seed=self.random_state,
            bases=None if base is None else [base],
        )
        self.model_, self.out_of_fold_ = found.model, found.out_of_fold
        self.weights_, self.bias_ = self.model_.weights, self.model_.bias
        self.shrinkage_, self.kernel_ridge_ = float(found.shrinkages[0]), found.kernel_ridge
        if base is None:
            self.inverse_temperature_, self.ridge_ = float(self.model_.betas[0]), np.inf
            self.converged_, self.n_iter_ = found.fit.converged, found.fit.n_iter
        else:
            self.converged_ &= found.fit.converged
            self.n_iter_ = max(found.fit.n_iter, self.n_iter_)
