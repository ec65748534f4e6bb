r"""Penalized softmax regression on log-probabilities: the core of every calibrator.

.. math:: \log p' = \log \mathrm{softmax}(\beta \log p + F W + a)

with β > 0, features F, a matrix W and a class bias a.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.calibration.quasi_newton import minimize_smooth
from postproc.scores.arrays import Array, beside, log_softmax, row_sums, softmax
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Range of log β that is searched; the prior keeps the optimum well inside.
LOG_BETA = 10.0

#: A shorter Newton step in log β is the last one: what it leaves is about its square.
LAST_STEP = 1e-4

#: A Newton step in log β that leaves a fold out and is shorter needs no second one: what it leaves
#: is about its square, and changes no held-out log-loss by 1e-6.
ONLY_STEP = 5e-3

#: A temperature fitted to about so many rows is a good start for all of them.
ENOUGH_ROWS = 2000

#: Rows that make a product of matrices fast.
ROWS_OF_PRODUCT = 512

#: Larger matrices of weights are multiplied with features in float32, in half the time.
MOST_WEIGHTS_IN_FLOAT64 = 250_000

#: With more classes there are no matrices of classes by classes: they would fill the memory.
MOST_CLASSES = 3000

#: Lower log-probabilities count as this, so that their squares stay finite.
LEAST_LOG = -1e100


def class_counts(y: Ints, n_classes: int) -> Floats:
    """Rows of each class, shape (C,)."""
    return np.bincount(y, minlength=n_classes).astype(np.float64)


def mean_log_loss(logs: Floats, y: Ints) -> float:
    """Mean negative log-probability of the labels, in nats."""
    return float(-logs[np.arange(len(y)), y].mean())


def temper(beta: float, logs: Array) -> Array:
    """Log softmax(β log p), shape (n, C)."""
    return log_softmax(beta * logs)


def fit_temperature(logs: Floats, y: Ints, start: float | None = None) -> float:
    """Inverse temperature β > 0 of softmax(β log p) of lowest log-loss, sought from `start`."""
    # A standard normal prior on log β, worth one row, keeps β finite where all rows are right.
    stride = len(y) // ENOUGH_ROWS
    if start is not None:
        log_beta = float(np.log(start))
    elif stride > 1:
        log_beta = _newton_log_beta(logs[::stride], y[::stride], 0.0)
    else:
        log_beta = 0.0
    return float(np.exp(_newton_log_beta(logs, y, log_beta)))


def _newton_log_beta(logs: Floats, y: Ints, log_beta: float) -> float:
    """Log β of slope zero, by Newton steps within an interval in which the slope changes sign."""
    low, high = -LOG_BETA, LOG_BETA
    while True:
        slope, curvature = _penalized_slopes(
            *_log_beta_terms(logs, y, float(np.exp(log_beta))), log_beta
        )
        if slope > 0.0:
            high = log_beta
        else:
            low = log_beta
        new = log_beta - slope / curvature if curvature > 0.0 else low
        if not low < new < high:
            new = (low + high) / 2.0
        if abs(new - log_beta) < LAST_STEP:
            at_bound = abs(new) > LOG_BETA - 2.0 * LAST_STEP
            return float(np.copysign(LOG_BETA, new)) if at_bound else new
        log_beta = new


def left_out_temperatures(
    logs: Floats, y: Ints, splits: Sequence[tuple[Ints, Ints]], beta: float
) -> list[float]:
    """Inverse temperature of the first rows of each split, near β of all rows."""
    log_beta = float(np.log(beta))
    first, second = _log_beta_terms(logs, y, beta)
    found = []
    for train, _ in splits:
        slope, curvature = _penalized_slopes(first[train], second[train], log_beta)
        step = -slope / curvature if curvature > 0.0 else np.inf
        if abs(step) < ONLY_STEP and abs(log_beta + step) < LOG_BETA - ONLY_STEP:
            found.append(float(np.exp(log_beta + step)))
        else:
            found.append(fit_temperature(logs[train], y[train], beta))
    return found


def _penalized_slopes(first: Floats, second: Floats, log_beta: float) -> tuple[float, float]:
    """Derivatives of the penalized mean log-loss in log β, from those of the rows in β, (n,)."""
    n_rows, beta = len(first), float(np.exp(log_beta))
    slope = beta * float(first.sum()) / n_rows
    curvature = slope + (beta**2 * float(second.sum()) + 1.0) / n_rows
    return slope + log_beta / n_rows, curvature


def _log_beta_terms(logs: Floats, y: Ints, beta: float) -> tuple[Floats, Floats]:
    """First and second derivative in β of each row's log-loss, both (n,)."""
    first, second = np.empty(len(y)), np.empty(len(y))
    for rows in row_blocks(*logs.shape, block_bytes=DEFAULT_SIZES.cached // 2):
        part = np.maximum(logs[rows], LEAST_LOG)
        z = beta * part
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        total = row_sums(z)
        z *= part
        means = row_sums(z) / total
        squares = np.einsum("ij,ij->i", z, part) / total
        first[rows] = means - part[np.arange(len(part)), y[rows]]
        second[rows] = squares - means**2
    return first, second


@dataclass(frozen=True)
class AffineMap:
    """Fitted temperature and class bias: log softmax(β log p + a)."""

    beta: float
    bias: Floats
    unseen: Ints  # classes without a row, which keep their share of softmax(β log p)

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        scaled = self.beta * logs
        return keep_unseen(scaled + beside(self.bias, logs), scaled, self.unseen)


def identity_map(n_classes: int) -> AffineMap:
    """The map that leaves log-probabilities unchanged."""
    return AffineMap(1.0, np.zeros(n_classes), np.zeros(0, dtype=np.int64))


def apply_to_rows(model: Callable[[Floats], Floats], logs: Floats, rows: Ints, out: Floats) -> None:
    """Write what a map makes of some rows of `logs` to the same rows of `out`, block by block."""
    for block in row_blocks(len(rows), logs.shape[1], block_bytes=DEFAULT_SIZES.cached):
        out[rows[block]] = model(logs[rows[block]])


def unseen_classes(y: Ints, n_classes: int) -> Ints:
    """Classes without a row."""
    return np.flatnonzero(class_counts(y, n_classes) == 0)


def keep_unseen(logits: Array, own: Array, unseen: Ints) -> Array:
    """Log softmax of `logits` (n, C), but unseen classes keep their share of softmax(`own`)."""
    # Labels say nothing about a class without any, so what is learned must not move it.
    if len(unseen) == 0:
        return log_softmax(logits)
    xp = api.array_namespace(logits)
    shares = log_softmax(own)
    seen = np.setdiff1d(np.arange(logits.shape[1]), unseen)
    columns = xp.asarray(seen, device=api.device(logits))
    # The sum of the seen shares, because 1 less the unseen ones would lose digits.
    own_seen = shares[:, columns]
    top = xp.max(own_seen, axis=1, keepdims=True)
    rest = top + xp.log(xp.sum(xp.exp(own_seen - top), axis=1, keepdims=True))
    shares[:, columns] = rest + log_softmax(logits[:, columns])
    return shares


@dataclass(frozen=True)
class Solution:
    """State of the optimizer: log β, bias (C,) and weight (K, C)."""

    log_beta: float
    bias: Floats
    weight: Floats
    n_iter: int = 0
    converged: bool = True


def start_solution(logs: Floats, y: Ints, near: float) -> Solution:
    """The best temperature, found from `near`, with a bias of zero."""
    n_classes = logs.shape[1]
    beta = fit_temperature(logs, y, near)
    return Solution(float(np.log(beta)), np.zeros(n_classes), np.zeros((0, n_classes)))


def mean_solution(solutions: Sequence[Solution]) -> Solution:
    """Mean of solutions of the same shape, to start the fit on all rows from."""
    return Solution(
        float(np.mean([s.log_beta for s in solutions])),
        np.mean([s.bias for s in solutions], axis=0),
        np.mean([s.weight for s in solutions], axis=0),
    )


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of the mean log-loss at softmax(β log p), which precondition fits."""

    log_beta: float  # in log β
    values: Floats  # eigenvalues (C,) in the class bias
    vectors: Floats | None  # eigenvectors (C, C); None: those of the diagonal alone
    classes: Floats  # mean p (1 - p) of each class, (C,)

    @classmethod
    def at(cls, beta: float, logs: Floats) -> Curvature:
        """Measure it on log-probabilities (n, C)."""
        n_rows, n_classes = logs.shape
        full = n_classes <= MOST_CLASSES
        means, squares = np.zeros(n_classes), np.zeros(n_classes)
        products = np.zeros((n_classes, n_classes) if full else (0, 0))
        spread = 0.0
        for rows in row_blocks(n_rows, n_classes):
            part = np.maximum(logs[rows], LEAST_LOG)
            probs = softmax(beta * part)
            means += probs.sum(axis=0)
            if full:
                products += probs.T @ probs
            else:
                squares += np.einsum("ij,ij->j", probs, probs)
            expected = np.einsum("ij,ij->i", probs, part)
            spread += float(np.einsum("ij,ij,ij->", probs, part, part) - expected @ expected)
        in_log_beta = (max(beta**2 * spread, 0.0) + 1.0) / n_rows
        if not full:
            classes = np.maximum(means - squares, 0.0) / n_rows
            return cls(in_log_beta, classes, None, np.maximum(classes, 1e-6))
        hessian = (np.diag(means) - products) / n_rows
        values, vectors = np.linalg.eigh(hessian)
        classes = np.maximum(np.diag(hessian), 1e-6)
        return cls(in_log_beta, np.maximum(values, 0.0), vectors, classes)


def affine_loss(
    logs: Floats,
    features: NDArray[Any] | None,
    y: Ints,
    scale: Floats | float,
    bias: Floats,
    weight: Floats,
) -> tuple[float, Floats, Floats, Floats]:
    """Mean log-loss of softmax(scale * log p + F W + a), and slopes in scale (C,), a and W."""
    n_rows, n_classes = logs.shape
    loss = 0.0
    slope_scale, slope_bias = np.zeros(n_classes), np.zeros(n_classes)
    slope_weight = np.zeros_like(weight)
    # A block should stay in the cache, but a product of matrices wants some rows, too.
    size = DEFAULT_SIZES.cached // 2
    if features is not None:
        size = max(size, 8 * n_classes * ROWS_OF_PRODUCT)
        narrow = weight.astype(features.dtype, copy=False)
    for rows in row_blocks(n_rows, n_classes, block_bytes=size):
        part = logs[rows]
        picked = np.arange(len(part)), y[rows]
        z = scale * part
        z += bias
        if features is not None:
            z += features[rows] @ narrow
        z -= z.max(axis=1, keepdims=True)
        loss -= float(z[picked].sum())
        np.exp(z, out=z)
        total = row_sums(z)
        loss += float(np.log(total).sum())
        z /= total[:, None]
        z[picked] -= 1.0
        ones = np.ones(len(z))
        slope_bias += ones @ z
        if features is not None:
            slope_weight += features[rows].T @ z.astype(features.dtype, copy=False)
        z *= part
        slope_scale += ones @ z
    return loss / n_rows, slope_scale / n_rows, slope_bias / n_rows, slope_weight / n_rows


class AffineProblem:
    """Minimize mean log-loss + ridge ‖W‖²/n + bias_ridge mean(a²), for many pairs of strengths.

    The bias and weights of a class without labels stay at zero, and the mean of those of the other
    classes is held at zero, so that they do not drift away from it. Without features (n, K), only
    the bias is fitted. The curvature may be that of more rows.
    """

    def __init__(
        self, logs: Floats, features: Floats | None, y: Ints, curvature: Curvature
    ) -> None:
        self.logs, self.y, self.curvature = logs, y, curvature
        self.seen = class_counts(y, logs.shape[1]) > 0
        self.features: Any = None
        self.axes, self.variances = np.zeros((0, 0)), np.zeros(0)
        if features is not None:
            self.variances, self.axes = np.linalg.eigh(features.T @ features / len(y))
            self.features = features @ self.axes
            if self.axes.size > MOST_WEIGHTS_IN_FLOAT64:
                self.features = self.features.astype(np.float32)

    def solve(self, ridge: float, bias_ridge: float, start: Solution, *, max_iter: int) -> Solution:
        """Minimize the objective for one pair of strengths."""
        n_rows, n_classes = self.logs.shape
        n_axes = len(self.axes)
        near = self.curvature

        def unpack(theta: Floats) -> tuple[float, Floats, Floats]:
            weight = theta[1 + n_classes :].reshape(n_axes, n_classes)
            return float(theta[0]), theta[1 : 1 + n_classes], weight

        def objective(theta: Floats) -> tuple[float, Floats]:
            given, bias, weight = unpack(theta)
            log_beta = float(np.clip(given, -LOG_BETA, LOG_BETA))
            beta = np.exp(log_beta)
            loss, slope_scale, slope_bias, slope_weight = affine_loss(
                self.logs, self.features, self.y, beta, bias, weight
            )
            # The same prior, worth one row, as in the fit of the temperature alone.
            loss += log_beta**2 / (2 * n_rows)
            loss += (
                ridge * np.vdot(weight, weight) / n_rows + bias_ridge * (bias @ bias) / n_classes
            )
            slope = beta * slope_scale.sum() + log_beta / n_rows
            if abs(given) > LOG_BETA - LAST_STEP and slope * given < 0.0:
                slope = 0.0  # the way out of the range is closed
            slope_bias += 2.0 * bias_ridge / n_classes * bias
            slope_weight += 2.0 * ridge / n_rows * weight
            return loss, self._pack(slope, slope_bias, slope_weight)

        values = (near.values + 2.0 * bias_ridge / n_classes)[:, None]
        steepness = np.outer(self.variances, near.classes) + 2.0 * ridge / n_rows

        def precondition(slopes: Floats) -> Floats:
            slope, bias, weight = unpack(slopes)
            if near.vectors is None:
                bias = bias / values[:, 0]
            else:
                bias = near.vectors @ ((near.vectors.T @ bias) / values[:, 0])
            return self._pack(slope / near.log_beta, bias, weight / steepness)

        first = self._pack(start.log_beta, start.bias, self.axes.T @ start.weight)
        found = minimize_smooth(objective, first, precondition, max_iter=max_iter)
        log_beta, bias, weight = unpack(found.x)
        log_beta = float(np.clip(log_beta, -LOG_BETA, LOG_BETA))
        return Solution(log_beta, bias, self.axes @ weight, found.n_iter, found.converged)

    def _pack(self, log_beta: float, bias: Floats, weight: Floats) -> Floats:
        """One vector; bias and weight are projected to what may move."""
        rows = np.vstack([bias, weight])
        mean = rows[:, self.seen].mean(axis=1, keepdims=True)
        return np.append(log_beta, np.where(self.seen, rows - mean, 0.0))
