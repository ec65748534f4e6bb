"""Discriminant pool: a log pool of predictions and of closed-form classifiers fitted on them.

With s_j the log-probabilities of part j (a tempered member, a linear discriminant on one or on all
members, a kernel regression) and h_j their entropy in each row divided by log C,

    log p = Σ_j ((1 - h_j) u_j + h_j v_j) s_j + b + const.,    u, v >= 0.

Every weight moves with the part's own doubt, and the problem stays convex. It is fitted on
leave-one-out predictions of the parts.

Several members also have a plain log pool, with one weight each and no bias. All weights are drawn
to its weights, by the chance that the plain pool is the better one on rows left out of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import (
    Floats,
    Ints,
    fit_temperature,
    keep_unseen,
    temper,
    unseen_classes,
)
from postproc.calibration.discriminant import Discriminant, best_strength
from postproc.calibration.features import FLOOR, member_features
from postproc.calibration.kernel import KernelRidge, KernelScores
from postproc.calibration.log_pool import PoolFit, PoolTask, fit_log_pool, left_out_scores
from postproc.calibration.matrix import FittedMatrix, MatrixMap
from postproc.evaluation.folds import canonical_order, random_folds
from postproc.scores.arrays import Array, beside, log_softmax, row_sums

#: Ridges of the kernel regression that leave-one-out log-loss chooses from, strong ones first.
KERNEL_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)

#: Strength of the prior on the weights, in rows.
RIDGE = 30.0

#: The same for the plain log pool.
PLAIN_RIDGE = 1.0

#: How much larger the standard error is of a comparison whose rows share nearly all of their fits.
SHARED_FITS = 2.0

#: Where log-probabilities are clipped.
CLIP = -FLOOR

#: Most rows that the kernel regression compares with.
N_LANDMARKS = 1500

#: Most rows that strengths are chosen by, and with many classes most rows times classes: one number
#: needs no more.
CHOOSING_ROWS = 5000
CHOOSING_SIZE = 1_000_000


@dataclass(frozen=True)
class LinearScores:
    """Scores that are linear in the features of columns first..last; coef (last - first, C)."""

    first: int
    last: int
    coef: Floats
    intercept: Floats

    def __call__(self, features: Array) -> Array:
        """Scores of shape (k, C), from features of shape (k, M C)."""
        coef, intercept = beside(self.coef, features), beside(self.intercept, features)
        return features[:, self.first : self.last] @ coef + intercept


@dataclass(frozen=True)
class DiscriminantPoolMap:
    """A discriminant pool, fitted."""

    betas: Floats  # the members' inverse temperatures, (M,)
    clip: float  # features are log-probabilities clipped at -clip and centred
    discriminants: list[LinearScores]
    kernel: KernelScores | None
    weights: Floats  # u and v of the members, the discriminants and the kernel regression, (2, A)
    bias: Floats  # (C,)
    unseen: Ints  # classes without a row, which keep their mean share of the tempered members
    bases: list[MatrixMap] | None = None  # what calibrates the members instead of a temperature

    def __call__(self, logs: Array) -> Array:
        """Log-probabilities of one member, shape (k, C), to those of the pool."""
        return self.pool([logs])

    def pool(self, members: Sequence[Array]) -> Array:
        """Log-probabilities of M members, each (k, C), to those of the pool."""
        xp = api.array_namespace(*members)
        each = zip(self.betas.tolist(), members, strict=True)
        tempered = [temper(b, logs) for b, logs in each]
        if self.bases is not None:
            tempered = [base(logs) for base, logs in zip(self.bases, members, strict=True)]
        features = member_features(self.betas, members, self.clip)
        fitted: list[Callable[[Array], Array]] = [*self.discriminants]
        if self.kernel is not None:
            fitted.append(self.kernel)
        z = xp.zeros_like(tempered[0]) + beside(self.bias, tempered[0])
        for j, (certain, doubtful) in enumerate(self.weights.T.tolist()):
            if certain or doubtful:
                rest = j - len(tempered)
                part = tempered[j] if rest < 0 else log_softmax(fitted[rest](features))
                z = z + (certain + (doubtful - certain) * _doubts(part)[:, None]) * part
        return keep_unseen(z, sum(tempered) / len(tempered), self.unseen)


@dataclass(frozen=True)
class FittedPool:
    """A discriminant pool with what its fit has found."""

    model: DiscriminantPoolMap
    out_of_fold: Floats  # log-probabilities of the fit rows, weights and bias without their fold
    shrinkages: Floats  # of the discriminants
    kernel_ridge: float  # NaN without a kernel regression
    doubts: Floats  # mean doubt of each part, (A,)
    fit: PoolFit
    trust: float  # share of the pool; the rest is a plain log pool of the members


def fit_discriminant_pool(
    logs: Floats,
    y: Ints,
    *,
    ridge: float,
    bias_ridge: float,
    shrinkages: Sequence[float],
    clip: float,
    n_landmarks: int,
    n_folds: int,
    seed: int,
    max_iter: int = 100,
    bases: Sequence[FittedMatrix] | None = None,
) -> FittedPool:
    """Fit the pool to log-probabilities (M, n, C); without landmarks, no kernel regression.

    With `bases`, these calibrate the members, and the prior on the weights draws to their mean.
    """
    n_members, n_rows, n_classes = logs.shape
    mean = logs.mean(axis=0)
    order, _ = canonical_order(mean, y, seed)
    unseen = unseen_classes(y, n_classes)
    betas = np.array([fit_temperature(member, y) for member in logs])
    parts = LeftOutParts(2 * n_members + (n_members > 1) + (n_landmarks > 0), y, n_classes)
    if bases is None:
        for beta, member in zip(betas, logs, strict=True):
            parts.add(temper(beta, member))
    else:
        for base in bases:
            parts.add(base.out_of_fold)
    own = parts.logs[:n_members].mean(axis=0)
    features = member_features(betas, list(logs), clip)
    few = _evenly(order, min(CHOOSING_ROWS, max(CHOOSING_SIZE // n_classes, 1000)))
    discriminants, chosen = [], []
    for shares, (first, last) in _discriminant_inputs(parts.logs[:n_members]):
        fits = Discriminant(features[:, first:last], shares, y)
        strength, beta = parts.add_best(shrinkages, fits.left_out, few)
        coef, intercept = fits.linear(strength)
        discriminants.append(LinearScores(first, last, beta * coef, beta * intercept))
        chosen.append(strength)
    del fits, shares  # as large as the features
    kernel, kernel_ridge = None, float("nan")
    if n_landmarks:
        regression = KernelRidge(features, y, n_classes, _evenly(order, n_landmarks))
        kernel_ridge, beta = parts.add_best(KERNEL_RIDGES, regression.left_out, few)
        kernel = regression.scores(kernel_ridge, beta)
    del features
    task = PoolTask(parts.logs, y, parts.doubts)
    if bases is not None:
        task = replace(task, centre=np.tile(np.arange(len(parts.logs)) < n_members, 2) / n_members)
    fit = fit_log_pool(task, ridge=ridge, bias_ridge=bias_ridge, max_iterations=max_iter)
    folds = random_folds(mean, y, min(n_folds, n_rows), seed)
    z = left_out_scores(task, fit, folds, ridge=ridge, bias_ridge=bias_ridge)
    weights, bias, trust = fit.weights.reshape(2, -1), fit.bias, 1.0
    if n_members > 1:
        few_parts = PoolTask(parts.logs[:n_members], y)
        plain = fit_log_pool(few_parts, ridge=PLAIN_RIDGE)
        plain_z = left_out_scores(few_parts, plain, folds, ridge=PLAIN_RIDGE, bias_ridge=None)
        new, old = keep_unseen(z, own, unseen), keep_unseen(plain_z, own, unseen)
        trust = _chance_of_gain(np.asarray(new), np.asarray(old), y)
        del new, old
        z = trust * z + (1.0 - trust) * plain_z
        weights, bias = trust * weights, trust * bias
        weights[:, :n_members] += (1.0 - trust) * plain.weights
    model = DiscriminantPoolMap(
        betas,
        clip,
        discriminants,
        kernel,
        weights,
        bias,
        unseen,
        None if bases is None else [base.model for base in bases],
    )
    out_of_fold = np.asarray(keep_unseen(z, own, unseen))
    doubts = parts.doubts.mean(axis=1)
    return FittedPool(model, out_of_fold, np.array(chosen), kernel_ridge, doubts, fit, trust)


def _chance_of_gain(new: Floats, old: Floats, y: Ints) -> float:
    """Chance that log-probabilities `new` (n, C) have less log-loss than `old`, on other rows."""
    picked = np.arange(len(y)), y
    better = new[picked] - old[picked]
    error = SHARED_FITS * float(better.std()) / len(y) ** 0.5
    return NormalDist().cdf(float(better.mean()) / max(error, 1e-12))


class LeftOutParts:
    """Log-probabilities of the parts, each row by fits without it, as far as they are known."""

    def __init__(self, n_parts: int, y: Ints, n_classes: int) -> None:
        # A pool of many parts is memory more than anything, and seven digits are enough.
        self.logs = np.empty((n_parts, len(y), n_classes), dtype=np.float32)
        self.doubts = np.empty((n_parts, len(y)))
        self.y, self.known = y, 0

    def add(self, logs: Floats) -> None:
        """Add log-probabilities (n, C) of one more part."""
        self.logs[self.known], self.doubts[self.known] = logs, _doubts(logs)
        self.known += 1

    def add_best(
        self, strengths: Sequence[float], left_out: Callable[[float, Ints], Floats], few: Ints
    ) -> tuple[float, float]:
        """Add left-out scores of the strength that is best on few rows; it and its β."""
        strength, near = best_strength(strengths, lambda s: left_out(s, few), self.y[few])
        scores = np.asarray(log_softmax(left_out(strength, np.arange(len(self.y)))))
        beta = fit_temperature(scores, self.y, near)
        self.add(np.asarray(temper(beta, scores)))
        return strength, beta


def _discriminant_inputs(tempered: NDArray[Any]) -> Iterator[tuple[Floats, tuple[int, int]]]:
    """Probabilities (n, C) that a discriminant starts from, and its columns of the features."""
    n_members, _, n_classes = tempered.shape
    for m, logs in enumerate(tempered):
        yield np.exp(logs.astype(np.float64)), (m * n_classes, (m + 1) * n_classes)
    if n_members > 1:
        yield np.exp(tempered.astype(np.float64)).mean(axis=0), (0, n_members * n_classes)


def _doubts(logs: Array) -> Array:
    """Entropy of each row divided by log C, shape (n,)."""
    entropies = -row_sums(api.array_namespace(logs).exp(logs) * logs)
    return entropies / np.log(max(logs.shape[1], 2))


def _evenly(order: Ints, most: int) -> Ints:
    """Rows at even distances in an order."""
    return order[np.linspace(0, len(order) - 1, min(most, len(order))).astype(np.int64)]
