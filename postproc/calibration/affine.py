r"""Penalized softmax regression on log-probabilities: the core of every calibrator.

.. math:: \log p' = \log \mathrm{softmax}(\beta \log p + F W + a)

with β > 0, features F, a matrix W and a class bias a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, beside, log_softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Range of log β that is searched; the prior keeps the optimum well inside.
LOG_BETA = 10.0


def class_counts(y: Ints, n_classes: int) -> Floats:
    """Rows of each class, shape (C,)."""
    return np.bincount(y, minlength=n_classes).astype(np.float64)


def mean_log_loss(logs: Floats, y: Ints) -> float:
    """Mean negative log-probability of the labels, in nats."""
    return float(-logs[np.arange(len(y)), y].mean())


def temper(beta: float, logs: Array) -> Array:
    """Log softmax(β log p), shape (n, C)."""
    return log_softmax(beta * logs)


def fit_temperature(logs: Floats, y: Ints) -> float:
    """Inverse temperature β > 0 of softmax(β log p) with the lowest log-loss."""
    # A standard normal prior on log β, worth one row, keeps β finite where all rows are right.
    from scipy.optimize import minimize_scalar

    # A row's loss depends only on the distance of each class from the true one.
    margins = logs - np.take_along_axis(logs, y[:, None], axis=1)
    n_rows = len(y)

    def loss(log_beta: float) -> float:
        z = np.exp(log_beta) * margins
        top = z.max(axis=1)
        sums = np.exp(z - top[:, None]).sum(axis=1)
        return float(np.mean(np.log(sums) + top) + log_beta**2 / (2 * n_rows))

    result = minimize_scalar(
        loss, bounds=(-LOG_BETA, LOG_BETA), method="bounded", options={"xatol": 1e-8}
    )
    return float(np.exp(result.x))


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


def start_solution(logs: Floats, y: Ints, n_features: int) -> Solution:
    """The best temperature, with bias and weights of zero."""
    n_classes = logs.shape[1]
    beta = fit_temperature(logs, y)
    return Solution(float(np.log(beta)), np.zeros(n_classes), np.zeros((n_features, n_classes)))


def mean_solution(solutions: Sequence[Solution]) -> Solution:
    """Mean of solutions of the same shape, to start the fit on all rows from."""
    return Solution(
        float(np.mean([s.log_beta for s in solutions])),
        np.mean([s.bias for s in solutions], axis=0),
        np.mean([s.weight for s in solutions], axis=0),
    )


def fit_affine(
    logs: Floats,
    features: Floats | None,
    y: Ints,
    *,
    ridge: float,
    bias_ridge: float,
    start: Solution,
    max_iter: int,
) -> Solution:
    """Minimize mean log-loss + ridge ‖W‖²/n + bias_ridge mean(a²) over (n, C) rows by L-BFGS.

    The bias and weights of a class without labels stay at zero, and the mean of those of the other
    classes is held at zero, so that they do not drift away from it. Without features (n, K), only
    the bias is fitted.
    """
    from scipy.optimize import minimize

    n, n_classes = logs.shape
    n_features = 0 if features is None else features.shape[1]
    rows = np.arange(n)
    seen = class_counts(y, n_classes) > 0

    def to_seen_classes(gradient: Floats) -> Floats:
        mean = gradient[..., seen].mean(axis=-1, keepdims=True)
        return np.where(seen, gradient - mean, 0.0)

    def objective(theta: Floats) -> tuple[float, Floats]:
        beta, bias = np.exp(theta[0]), theta[1 : 1 + n_classes]
        weight = theta[1 + n_classes :].reshape(n_features, n_classes)
        z = beta * logs
        z += bias
        if features is not None:
            z += features @ weight
        z -= z.max(axis=1, keepdims=True)
        picked = z[rows, y]
        residual = np.exp(z)
        total = residual.sum(axis=1)
        loss = float(np.mean(np.log(total) - picked))
        # The same prior, worth one row, as for the temperature alone.
        loss += theta[0] ** 2 / (2 * n)
        loss += ridge * np.vdot(weight, weight) / n + bias_ridge * (bias @ bias) / n_classes
        residual /= total[:, None]
        residual[rows, y] -= 1.0
        residual /= n
        gradient = np.zeros_like(theta)
        gradient[0] = beta * np.vdot(residual, logs) + theta[0] / n
        gradient[1 : 1 + n_classes] = to_seen_classes(
            residual.sum(axis=0) + 2.0 * bias_ridge / n_classes * bias
        )
        if features is not None:
            gradient[1 + n_classes :] = to_seen_classes(
                features.T @ residual + 2.0 * ridge / n * weight
            ).ravel()
        return loss, gradient

    first = np.concatenate([[start.log_beta], start.bias, start.weight.ravel()])
    result = minimize(
        objective,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_BETA, LOG_BETA)] + [(None, None)] * (first.size - 1),
        options={"maxiter": max_iter, "ftol": 1e-7, "gtol": 1e-6},
    )
    return Solution(
        float(result.x[0]),
        result.x[1 : 1 + n_classes],
        result.x[1 + n_classes :].reshape(n_features, n_classes),
        int(result.nit),
        bool(result.success),
    )
