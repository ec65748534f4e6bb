"""Residual matrix scaling: a penalized matrix in addition to temperature and class bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import (
    AffineProblem,
    Floats,
    Ints,
    Solution,
    apply_to_rows,
    class_counts,
    fit_temperature,
    keep_unseen,
    mean_log_loss,
    mean_solution,
    temper,
    unseen_classes,
)
from postproc.calibration.temperature import (
    BIAS_RIDGES,
    PATIENCE,
    BiasCorrectedTemperatureScaling,
    check_penalties,
)
from postproc.scores.arrays import Array, beside
from postproc.scores.checks import check_number
from postproc.scores.kinds import Kind

#: Ridges on the matrix to choose from by cross-validation, strong ones first.
RIDGES = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)


def clipped_features(logs: Array, beta: float, clip: float) -> Array:
    """Log-probabilities at inverse temperature β, clipped at -clip and centred in each row."""
    xp = api.array_namespace(logs)
    cut = xp.clip(temper(beta, logs), -clip, None)
    return cut - xp.mean(cut, axis=1, keepdims=True)


def within_class_whitening(
    features: Floats, y: Ints, n_classes: int, shrinkage: float
) -> tuple[Floats, Floats]:
    """Mean (K,), and symmetric inverse square root (K, K) of the within-class covariance.

    `shrinkage` in (0, 1] is the share of the mean variance on the diagonal. Within a class,
    `(features - mean) @ root` has about unit variance in every direction.
    """
    mean = features.mean(axis=0)
    centers = np.zeros((n_classes, features.shape[1]))
    np.add.at(centers, y, features)
    # One pseudo-row at the overall mean, so that the row of a one-row class is not its own mean.
    centers = (centers + mean) / (class_counts(y, n_classes) + 1.0)[:, None]
    inside = features - centers[y]
    scatter = inside.T @ inside / len(y)
    scale = float(np.trace(scatter)) / len(scatter)
    if scale <= 0.0:
        return mean, np.eye(len(scatter))
    values, vectors = np.linalg.eigh(scatter)
    shrunk = (1.0 - shrinkage) * np.maximum(values, 0.0) + shrinkage * scale
    return mean, (vectors / np.sqrt(shrunk)) @ vectors.T


@dataclass(frozen=True)
class MatrixMap:
    """Fitted residual matrix scaling: log softmax(β log p + f W + a)."""

    beta: float
    bias: Floats
    weight: Floats  # W on the features f, (C, C)
    feature_beta: float  # inverse temperature of the features
    clip: float  # where they are clipped
    unseen: Ints  # classes without a row, which keep their share of softmax(β log p)

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        scaled = self.beta * logs
        features = clipped_features(logs, self.feature_beta, self.clip)
        weight, bias = beside(self.weight, logs), beside(self.bias, logs)
        return keep_unseen(scaled + features @ weight + bias, scaled, self.unseen)


@dataclass(frozen=True)
class _Whitened:
    """Temperature-scaled log-probabilities, clipped, centred and whitened."""

    beta: float
    clip: float
    mean: Floats
    root: Floats
    unseen: Ints

    @classmethod
    def fit(cls, logs: Floats, y: Ints, clip: float, shrinkage: float) -> _Whitened:
        beta = fit_temperature(logs, y)
        raw = clipped_features(logs, beta, clip)
        mean, root = within_class_whitening(raw, y, logs.shape[1], shrinkage)
        return cls(beta, clip, mean, root, unseen_classes(y, logs.shape[1]))

    def __call__(self, logs: Floats) -> Floats:
        return np.asarray((clipped_features(logs, self.beta, self.clip) - self.mean) @ self.root)

    def to_map(self, solution: Solution) -> MatrixMap:
        """Multiply the whitening into the matrix."""
        weight = self.root @ solution.weight
        beta = float(np.exp(solution.log_beta))
        bias = solution.bias - self.mean @ weight
        return MatrixMap(beta, bias, weight, self.beta, self.clip, self.unseen)


class ResidualMatrixScaling(BiasCorrectedTemperatureScaling):
    r"""A penalized matrix in addition to temperature and bias: softmax(β log p + f W + a).

    The features f are the temperature-scaled log-probabilities, clipped, centred in each row and
    whitened by their within-class covariance. The ridge on W is chosen by cross-validation on
    log-loss, along a warm-started path from strong to weak. With a strong ridge, the method is
    bias-corrected temperature scaling.

    Parameters
    ----------
    ridges : sequence of float
        Candidates r > 0 of the penalty r ‖W‖²/n.
    clip : float
        Log-probabilities are clipped at -clip, clip > 0.
    shrinkage : float
        Share of the mean variance in the within-class covariance, in (0, 1].
    bias_ridges, kind, n_folds, max_iter, random_state
        As for `BiasCorrectedTemperatureScaling`.

    Attributes
    ----------
    weight_ : ndarray of shape (C, C)
        Matrix W on the clipped and centred log-probabilities, with the whitening multiplied in.
    ridge_ : float
        The chosen ridge.
    cv_log_loss_ : dict of float to float
        Held-out log-loss of each ridge tried, in nats.
    bias_, bias_ridge_, temperature_, inverse_temperature_, improved_, held_out_log_loss_
        As of `BiasCorrectedTemperatureScaling`.
    identity_log_loss_, out_of_fold_, kind_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `MatrixMap`.

    Notes
    -----
    Whitening makes the penalty r tr(W' S W), with S the within-class covariance: directions that
    vary little within classes are penalized less, as in discriminant analysis.

    References
    ----------
    Kull, Perello-Nieto, Kängsepp, Silva Filho, Song, Flach (2019). Beyond temperature scaling:
    Obtaining well-calibrated multiclass probabilities with Dirichlet calibration. NeurIPS, section
    3 (matrix scaling with off-diagonal and intercept regularisation).
    """

    weight_: Floats

    def __init__(
        self,
        *,
        ridges: Sequence[float] = RIDGES,
        clip: float = 12.0,
        shrinkage: float = 0.1,
        bias_ridges: Sequence[float] = BIAS_RIDGES,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            bias_ridges=bias_ridges,
            kind=kind,
            n_folds=n_folds,
            max_iter=max_iter,
            random_state=random_state,
        )
        self.ridges = ridges
        self.clip = clip
        self.shrinkage = shrinkage

    def _check_options(self) -> None:
        super()._check_options()
        check_penalties(self.ridges, "ridges")
        check_number(self.clip, "clip", low=0.0, open_low=True)
        check_number(self.shrinkage, "shrinkage", low=0.0, high=1.0, open_low=True)

    def _search(self, logs: Floats, y: Ints) -> None:
        weight = np.zeros((logs.shape[1], logs.shape[1]))
        curvature, starts = self._search_bias(logs, y)
        solutions = [Solution(s.log_beta, s.bias, weight) for s in starts]
        folds = []
        for train, test in self._splits(logs, y):
            whitened = _Whitened.fit(logs[train], y[train], self.clip, self.shrinkage)
            inside = logs[train]
            folds.append(
                (test, whitened, AffineProblem(inside, whitened(inside), y[train], curvature))
            )
        self.cv_log_loss_: dict[float, float] = {}
        best, start = np.inf, mean_solution(solutions)
        for ridge in check_penalties(self.ridges, "ridges"):
            held_out = np.empty_like(logs)
            for k, (test, whitened, problem) in enumerate(folds):
                solutions[k] = self._step(problem, ridge, solutions[k])
                apply_to_rows(whitened.to_map(solutions[k]), logs, test, held_out)
            loss = self.cv_log_loss_[ridge] = mean_log_loss(held_out, y)
            if loss < best:
                best, self.ridge_, self.out_of_fold_ = loss, ridge, held_out
                start = mean_solution(solutions)
            elif loss > PATIENCE * best:
                break
        self.held_out_log_loss_ = best
        whitened = _Whitened.fit(logs, y, self.clip, self.shrinkage)
        problem = AffineProblem(logs, whitened(logs), y, curvature)
        solution = self._step(problem, self.ridge_, start)
        self.model_ = whitened.to_map(solution)
        self.inverse_temperature_ = self.model_.beta
        self.bias_, self.weight_ = self.model_.bias, self.model_.weight
        self.converged_, self.n_iter_ = solution.converged, solution.n_iter

    def _keep_identity(self) -> None:
        super()._keep_identity()
        self.weight_ = np.zeros((self.n_features_in_, self.n_features_in_))
