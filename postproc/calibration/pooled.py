"""Log pool of residual matrix scaling and a shrunken discriminant."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postproc.calibration.affine import (
    AffineMap,
    Floats,
    Ints,
    fit_temperature,
    keep_unseen,
    mean_log_loss,
    temper,
)
from postproc.calibration.discriminant import SHRINKAGES, Discriminant, best_strength
from postproc.calibration.matrix import MatrixMap, ResidualMatrixScaling, clipped_features
from postproc.calibration.temperature import BiasCorrectedTemperatureScaling, Calibrator
from postproc.scores.arrays import Array, beside, log_softmax
from postproc.scores.checks import check_number, fail
from postproc.scores.kinds import Kind


@dataclass(frozen=True)
class PooledMap:
    """Fitted log pool of residual matrix scaling and a discriminant."""

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
    r"""Log pool of residual matrix scaling and a shrunken discriminant.

    .. math:: p' \propto p_\mathrm{matrix}^{w_1} p_\mathrm{discriminant}^{w_2}, \quad w \ge 0

    Parameters
    ----------
    shrinkages : sequence of float
        Candidates in (0, 1] for the discriminant's share of the spherical covariance; one is
        chosen by leave-one-out log-loss.
    clip : float
        Log-probabilities are clipped at -clip, clip > 0.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    weights_ : ndarray of shape (2,)
        Pool weights of the matrix and of the discriminant.
    shrinkage_, ridge_ : float
        The chosen penalties of the discriminant and of the matrix.
    inverse_temperature_, temperature_ : float
        Those of the features; the pool has none of its own.
    improved_, held_out_log_loss_, identity_log_loss_, out_of_fold_, kind_, unseen_
        As of `TemperatureScaling`. The two weights are fitted to the out-of-fold predictions that
        they are scored on.
    converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `MixedMap` of a `PooledMap`.

    References
    ----------
    Ng, Jordan (2001). On Discriminative vs. Generative Classifiers. NeurIPS. Genest, Zidek (1986).
    Combining probability distributions. Statistical Science 1(1), section 3.
    """

    def __init__(
        self,
        *,
        shrinkages: Sequence[float] = SHRINKAGES,
        clip: float = 12.0,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.shrinkages = shrinkages
        self.clip = clip
        self.kind = kind
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.random_state = random_state

    def _check_options(self) -> None:
        check_number(self.clip, "clip", low=0.0, open_low=True)
        for share in self.shrinkages:
            check_number(share, "shrinkages", low=0.0, high=1.0, open_low=True)
        if not self.shrinkages:
            fail("shrinkages", "one number in (0, 1] or more", "none")

    def _search(self, logs: Floats, y: Ints) -> None:
        with warnings.catch_warnings():
            # The pool itself warns, once, of unseen classes and convergence.
            warnings.simplefilter("ignore", UserWarning)
            matrix = ResidualMatrixScaling(clip=self.clip, **self._shared())  # type: ignore[arg-type]
            matrix.fit(logs, y)
            self.ridge_ = matrix.ridge_
            beta = fit_temperature(logs, y)
            scaling, weight, bias = self._fit_discriminant(logs, y, beta)
        stack = np.stack([matrix.out_of_fold_, scaling.out_of_fold_])
        self.weights_ = _pool_weights(stack, y)
        pooled = np.tensordot(self.weights_, stack, axes=1)
        self.out_of_fold_ = keep_unseen(pooled, beta * logs, self.unseen_)
        self.model_ = PooledMap(
            matrix.model_,
            weight,
            bias,
            scaling.model_,
            self.weights_,
            beta,
            self.clip,
            self.unseen_,
        )
        self.inverse_temperature_ = beta
        self.converged_ = matrix.converged_ and scaling.converged_
        self.n_iter_ = max(matrix.n_iter_, scaling.n_iter_)

    def _shared(self) -> dict[str, object]:
        return {
            "kind": "logits",
            "n_folds": self.n_folds,
            "max_iter": self.max_iter,
            "random_state": self.random_state,
        }

    def _fit_discriminant(
        self, logs: Floats, y: Ints, beta: float
    ) -> tuple[BiasCorrectedTemperatureScaling, Floats, Floats]:
        # One temperature for the features: it is a single number.
        features = clipped_features(logs, beta, self.clip)
        discriminant = Discriminant(features, np.exp(temper(beta, logs)), y)
        strong_first = sorted(map(float, self.shrinkages), reverse=True)
        self.shrinkage_, left_out, _ = best_strength(strong_first, discriminant.left_out, y)
        # The discriminant knows neither the class frequencies nor its own over-confidence.
        scaling = BiasCorrectedTemperatureScaling(**self._shared())  # type: ignore[arg-type]
        return scaling.fit(left_out, y), *discriminant.linear(self.shrinkage_)


def _pool_weights(stack: Floats, y: Ints) -> Floats:
    """Weights w >= 0 with the lowest log-loss, for log-probabilities of shape (2, n, C)."""
    from scipy.optimize import minimize

    rows = np.arange(len(y))

    def objective(weights: Floats) -> tuple[float, Floats]:
        logs = np.asarray(log_softmax(np.tensordot(weights, stack, axes=1)))
        residual = np.exp(logs)
        residual[rows, y] -= 1.0
        return mean_log_loss(logs, y), np.tensordot(stack, residual, axes=2) / len(y)

    start = np.array([0.5, 0.5])
    result = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2)
    return np.asarray(result.x)
