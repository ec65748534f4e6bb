"""Residual matrix scaling: a penalized matrix on top of structured scaling."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import (
    MOST_CLASSES,
    AffineProblem,
    Curvature,
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
from postproc.calibration.dimension import embedding_dimension
from postproc.calibration.quasi_newton import Minimum
from postproc.calibration.structured import StructuredMap, StructuredScaling, fit_structured_map
from postproc.calibration.temperature import PATIENCE, check_penalties
from postproc.scores.arrays import Array, beside, log_softmax
from postproc.scores.checks import check_number
from postproc.scores.codes import coded
from postproc.scores.kinds import Kind

#: Ridges on the matrix to choose from by cross-validation, strong ones first.
RIDGES = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)

#: Penalty that holds the class bias at zero: structured scaling has one of its own.
HELD = 1e6

#: Standard errors that the out-of-fold gain of the matrix must exceed, or there is none.
MIN_Z = 2.0


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
    """Fitted residual matrix scaling: log softmax(β log p + f W + a), p from the base."""

    beta: float
    bias: Floats
    weight: Floats  # W on the features f, (C, C); (0, C) if there is none
    feature_beta: float  # inverse temperature of the features
    clip: float  # where they are clipped
    unseen: Ints  # classes without a row, which keep their share of softmax(β log p)
    base: StructuredMap | None = None  # None: p are the scores, as the first release fitted it

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        scaled = self.beta * (logs if self.base is None else self.base(logs))
        if not len(self.weight):
            return log_softmax(scaled)
        features = clipped_features(logs, self.feature_beta, self.clip)
        weight, bias = beside(self.weight, logs), beside(self.bias, logs)
        return keep_unseen(scaled + features @ weight + bias, scaled, self.unseen)


@dataclass(frozen=True)
class _Whitened:
    """Temperature-scaled log-probabilities, clipped, centred, whitened; perhaps of low rank."""

    beta: float
    clip: float
    mean: Floats  # (C,)
    root: Floats  # (C, K)

    @classmethod
    def fit(
        cls, logs: Floats, y: Ints, near: float, *, clip: float, shrinkage: float, rank: int
    ) -> _Whitened:
        beta = fit_temperature(logs, y, near)
        raw = clipped_features(logs, beta, clip)
        mean, root = within_class_whitening(raw, y, logs.shape[1], shrinkage)
        if rank < len(root):
            # The directions in which classes differ most, in units of the spread within them.
            moments = root @ (raw - mean).T @ (raw - mean) @ root
            root = root @ np.linalg.eigh(moments)[1][:, -rank:]
        return cls(beta, clip, mean, root)

    def __call__(self, logs: Floats) -> Floats:
        return np.asarray((clipped_features(logs, self.beta, self.clip) - self.mean) @ self.root)


@dataclass(frozen=True)
class _Residual:
    """Structured scaling of some rows, and the problem of a matrix on top of it."""

    base: StructuredMap
    whitened: _Whitened
    problem: AffineProblem
    unseen: Ints

    def solve(self, ridge: float, start: Solution, max_iter: int) -> Solution:
        return self.problem.solve(ridge, HELD, start, max_iter=max_iter)

    def to_map(self, solution: Solution) -> MatrixMap:
        """Multiply the whitening into the matrix."""
        weight = self.whitened.root @ solution.weight
        bias = solution.bias - self.whitened.mean @ weight
        beta, features = float(np.exp(solution.log_beta)), self.whitened
        return MatrixMap(beta, bias, weight, features.beta, features.clip, self.unseen, self.base)


@dataclass(frozen=True)
class FittedMatrix:
    """Residual matrix scaling with what its fit has found."""

    model: MatrixMap
    out_of_fold: Floats  # log-probabilities of the fit rows, (n, C)
    ridge: float  # inf if the matrix is zero
    losses: dict[float, float]  # held-out log-loss of each ridge tried
    converged: bool
    n_iter: int


def fit_residual_matrix(
    logs: Floats,
    y: Ints,
    *,
    ridges: Sequence[float],
    clip: float,
    shrinkage: float,
    matrix_classes: int,
    splits: Sequence[tuple[Ints, Ints]],
    max_iter: int,
) -> FittedMatrix:
    """Fit to log-probabilities (n, C), with ridges tried in their order on the splits.

    Without ridges it is structured scaling, as it is for more than MOST_CLASSES.
    """
    n_classes = logs.shape[1]
    if ridges and n_classes > MOST_CLASSES:
        warn_of_many_classes(n_classes)
        ridges = ()
    rank = n_classes
    if n_classes > matrix_classes:
        rank = min(rank, embedding_dimension(n_classes))
    near = fit_temperature(logs, y)

    def structured(rows: Ints | slice) -> tuple[StructuredMap, Minimum]:
        return fit_structured_map(
            logs[rows], y[rows], near, matrix_classes=matrix_classes, max_iter=max_iter
        )

    def residual(base: StructuredMap, rows: Ints | slice) -> _Residual:
        inside, mine = logs[rows], y[rows]
        whitened = _Whitened.fit(inside, mine, near, clip=clip, shrinkage=shrinkage, rank=rank)
        problem = AffineProblem(np.asarray(base(inside)), whitened(inside), mine, curvature)
        return _Residual(base, whitened, problem, unseen_classes(mine, n_classes))

    every = slice(None)
    base, found = structured(every)
    held_out = np.empty_like(logs)
    bases = [structured(train)[0] for train, _ in splits]
    for inside, (_, test) in zip(bases, splits, strict=True):
        apply_to_rows(inside, logs, test, held_out)
    plain = MatrixMap(
        1.0, np.zeros(n_classes), np.zeros((0, n_classes)), near, clip, base.unseen, base
    )
    start = FittedMatrix(plain, held_out, np.inf, {}, found.converged, found.n_iter)
    if not ridges:
        return start
    curvature = Curvature.at(1.0, np.asarray(base(logs)))
    folds = [residual(inside, train) for inside, (train, _) in zip(bases, splits, strict=True)]
    solutions = [Solution(0.0, np.zeros(n_classes), np.zeros((rank, n_classes)))] * len(folds)
    best, losses = start, start.losses
    middle = solutions[0]
    for ridge in ridges:
        held_out = np.empty_like(logs)
        for k, (fold, (_, test)) in enumerate(zip(folds, splits, strict=True)):
            solutions[k] = fold.solve(ridge, solutions[k], max_iter)
            apply_to_rows(fold.to_map(solutions[k]), logs, test, held_out)
        loss = losses[ridge] = mean_log_loss(held_out, y)
        if loss <= min(losses.values()):
            best, middle = (
                replace(start, out_of_fold=held_out, ridge=ridge),
                mean_solution(solutions),
            )
        elif loss > PATIENCE * min(losses.values()):
            break
    picked = np.arange(len(y)), y
    gains = best.out_of_fold[picked] - start.out_of_fold[picked]
    if not gains.mean() > MIN_Z * gains.std() / np.sqrt(len(y)):
        return start
    whole = residual(base, every)
    last = whole.solve(best.ridge, middle, max_iter)
    return replace(best, model=whole.to_map(last), converged=last.converged, n_iter=last.n_iter)


class ResidualMatrixScaling(StructuredScaling):
    r"""Structured scaling, and a penalized matrix on top: softmax(β log p + f W).

    p are the probabilities of `StructuredScaling`, and f the whitened, clipped and centred
    log-probabilities. The penalty on W is r ‖W‖²/n, with r chosen by cross-validation, from strong
    to weak. W is zero unless it lowers the out-of-fold log-loss by two standard errors. With more
    than `matrix_classes` classes, W has a rank of about 8.33 ln C.

    Parameters
    ----------
    ridges : sequence of float
        Candidates r > 0 of the penalty r ‖W‖²/n.
    clip : float
        Log-probabilities are clipped at -clip, clip > 0.
    shrinkage : float
        Share of the mean variance in the within-class covariance, in (0, 1].
    matrix_classes, kind, n_folds, max_iter, random_state
        As for `StructuredScaling`.

    Attributes
    ----------
    weight_ : ndarray of shape (C, C), or (0, C) if W is zero
        Matrix W on the clipped and centred log-probabilities, with the whitening multiplied in.
    bias_ : ndarray of shape (C,)
        Class bias that goes with W.
    ridge_ : float
        The chosen ridge; inf if W is zero.
    cv_log_loss_ : dict of float to float
        Held-out log-loss of each ridge tried, in nats.
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `MixedMap` of a `MatrixMap`.

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
        matrix_classes: int = 200,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            matrix_classes=matrix_classes,
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
        found = fit_residual_matrix(
            logs,
            y,
            ridges=check_penalties(self.ridges, "ridges"),
            clip=self.clip,
            shrinkage=self.shrinkage,
            matrix_classes=self.matrix_classes,
            splits=list(self._splits(logs, y)),
            max_iter=self.max_iter,
        )
        self.model_, self.out_of_fold_ = found.model, found.out_of_fold
        self.ridge_, self.cv_log_loss_ = found.ridge, found.losses
        self.inverse_temperature_ = found.model.feature_beta
        self.bias_, self.weight_ = found.model.bias, found.model.weight
        self.converged_, self.n_iter_ = found.converged, found.n_iter


def warn_of_many_classes(n_classes: int) -> None:
    """Warn that structured scaling is used instead of what needs a matrix of all classes."""
    msg = (
        f"a matrix for {n_classes:,} classes would fill the memory, so the calibration is "
        f"structured scaling, as with all files of more than {MOST_CLASSES:,} classes"
    )
    warnings.warn(coded("structured", msg), UserWarning, stacklevel=4)
