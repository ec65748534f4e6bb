r"""Rising maps of the log-odds of two classes, fitted by penalized log-loss.

Beta and quadratic calibration have one form: with z = log p - log(1 - p) and two features that rise
with z,

.. math:: \mathrm{logit}\, p' = c + u f_1(z) + v f_2(z), \quad u, v \ge 0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import Floats, Ints, fit_temperature
from postproc.scores.arrays import Array, beside, log_softmax

#: Newton's method stops where a step would gain half of this, in nats a row.
TOLERANCE = 1e-14
MAX_STEPS = 100

#: Larger log-odds count as this, so that their squares stay finite.
MOST_LOG_ODDS = 1e6

#: The features of log-probabilities (n, 2), shape (n, 2).
Features = Callable[[Array], Array]


def log_odds(logs: Array) -> Array:
    """Log-odds of the second class, (n,), of log-probabilities of both, (n, 2)."""
    xp = api.array_namespace(logs)
    return xp.clip(logs[:, 1] - logs[:, 0], -MOST_LOG_ODDS, MOST_LOG_ODDS)


def two_logs(z: Array) -> Array:
    """Log-probabilities of both classes, shape (n, 2), of the log-odds of the second, (n,)."""
    xp = api.array_namespace(z)
    return log_softmax(xp.stack([xp.zeros_like(z), z], axis=1))


@dataclass(frozen=True)
class BetaFeatures:
    """Features log p and -log(1 - p)."""

    def __call__(self, logs: Array) -> Array:
        """Features of log-probabilities, shape (n, 2)."""
        xp = api.array_namespace(logs)
        logs = xp.clip(logs, -MOST_LOG_ODDS, None)
        return xp.stack([logs[:, 1], -logs[:, 0]], axis=1)


@dataclass(frozen=True)
class QuadraticFeatures:
    """Two parabolas that span those that rise from `low` to `high`, straight lines outside."""

    low: float
    high: float

    def __call__(self, logs: Array) -> Array:
        """Features of log-probabilities, shape (n, 2): slopes 1 to 0 and 0 to 1 over the range."""
        xp = api.array_namespace(logs)
        z, width = log_odds(logs), self.high - self.low
        inside = xp.clip(z, self.low, self.high) - self.low
        second = inside**2 / (2.0 * width)
        first = inside - second
        below, above = xp.clip(z - self.low, None, 0.0), xp.clip(z - self.high, 0.0, None)
        return xp.stack([first + below, second + above], axis=1)


@dataclass(frozen=True)
class LogOddsMap:
    """A fitted map: the log-odds are bias + features @ weights."""

    features: Features
    weights: Floats  # (2,), none negative
    bias: float

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, 2)."""
        return two_logs(self.features(logs) @ beside(self.weights, logs) + self.bias)


def fit_log_odds(features: Features, logs: Floats, y: Ints) -> tuple[LogOddsMap, bool]:
    """Fit by Newton's method; also whether it converged.

    Temperature scaling is the prior, worth about one row, so that the optimum is finite.
    """
    beta = fit_temperature(logs, y)
    f = features(logs)
    center, scale = f.mean(axis=0), np.maximum(f.std(axis=0), 1e-9)
    design = np.column_stack([(f - center) / scale, np.ones(len(f))])
    # Mean of z, less what the two features make of it where both have weight one.
    offset = float(np.mean(log_odds(logs) - f.sum(axis=1)) + center.sum())
    prior = np.append(beta * scale, beta * offset)
    best = None
    # A convex problem with two bounds: the optimum without them, or else on one of them or both.
    for free in ([0, 1, 2], [1, 2], [0, 2], [2]):
        theta, loss, converged = _newton(design, y, prior, np.array(free))
        if (theta[:2] >= 0).all() and (best is None or loss < best[1]):
            best = theta, loss, converged
            if len(free) == 3:
                break
    assert best is not None  # without weights every bound holds
    theta, _, converged = best
    weights = theta[:2] / scale
    return LogOddsMap(features, weights, float(theta[2] - center @ weights)), converged


def _newton(design: Floats, y: Ints, prior: Floats, free: Ints) -> tuple[Floats, float, bool]:
    """Logistic regression of some columns with a Gaussian prior: optimum, loss, success."""
    n_rows = len(y)
    x, aim = design[:, free], prior[free]
    theta, sign = aim.copy(), 2.0 * y - 1.0
    apart = float(np.sum(prior**2) - np.sum(aim**2))  # of the columns that are left out

    def loss_at(values: Floats) -> float:
        losses = np.logaddexp(0.0, -sign * (x @ values))
        return float(losses.mean() + (np.sum((values - aim) ** 2) + apart) / (2 * n_rows))

    loss, converged = loss_at(theta), False
    for _ in range(MAX_STEPS):
        p = np.exp(-np.logaddexp(0.0, -(x @ theta)))
        slope = x.T @ (p - y) / n_rows + (theta - aim) / n_rows
        hessian = (x.T * (p * (1 - p))) @ x / n_rows + np.eye(len(free)) / n_rows
        step, size = np.linalg.solve(hessian, slope), 1.0
        converged = bool(slope @ step < TOLERANCE)
        if converged:
            break
        while loss_at(theta - size * step) > loss - 1e-4 * size * (slope @ step):
            size /= 2
        theta = theta - size * step
        loss = loss_at(theta)
    whole = np.zeros(3)
    whole[free] = theta
    return whole, loss, converged
