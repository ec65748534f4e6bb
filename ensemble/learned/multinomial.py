"""Ridge-regularised multinomial logistic regression: many strengths of the ridge on one problem.

The objective for strength r, -1/n Σ_i log softmax(x_i W + b)_{y_i} + r/n ‖W‖² + 1/2n ‖b‖², is
minimised by L-BFGS in the principal directions of the features, each scaled by its expected
curvature. That takes a third of the steps of plain coordinates, and there are never more
coordinates than rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

#: Directions with less than this share of the largest variance are rounding errors.
LEAST_VARIANCE = 1e-12

#: Strength of the prior on the intercepts, in rows.
INTERCEPT_RIDGE = 1.0

#: Iterations after which the optimiser gives up; it needs some tens.
MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class MultinomialFit:
    """Coefficients and what the optimiser says of them."""

    coef: Matrix
    intercept: Matrix
    loss: float
    converged: bool
    n_iter: int


class MultinomialProblem:
    r"""Rows and labels, prepared once for all strengths r of the ridge."""

    def __init__(self, features: Matrix, y: NDArray[np.int64], guess: Matrix) -> None:
        self.y = y
        self.axes, self.variances = _principal(features)
        self.rotated = features @ self.axes
        self.curvature = np.maximum((guess * (1 - guess)).mean(axis=0), 1e-6)

    def solve(
        self, ridge: float, *, start: MultinomialFit | None = None, tolerance: float = 1e-8
    ) -> MultinomialFit:
        """Minimise the objective for one strength r > 0."""
        from scipy.optimize import minimize

        n_rows, n_axes = self.rotated.shape
        n_classes = len(self.curvature)
        size = n_axes * n_classes
        picked = np.arange(n_rows), self.y
        steepness = np.outer(self.variances, self.curvature) + 2 * ridge / n_rows
        scale = 1 / np.sqrt(steepness)
        scale_b = 1 / np.sqrt(self.curvature + INTERCEPT_RIDGE / n_rows)

        def objective(x: Matrix) -> tuple[float, Matrix]:
            w = x[:size].reshape(n_axes, n_classes) * scale
            b = x[size:] * scale_b
            z = self.rotated @ w
            z += b
            z -= z.max(axis=1, keepdims=True)
            loss = -z[picked].mean()
            np.exp(z, out=z)
            sums = z.sum(axis=1, keepdims=True)
            loss += np.log(sums).mean()
            loss += (ridge * np.sum(w**2) + INTERCEPT_RIDGE / 2 * np.sum(b**2)) / n_rows
            z /= sums
            z[picked] -= 1
            slopes = (self.rotated.T @ z + 2 * ridge * w) / n_rows
            slopes_b = z.mean(axis=0) + INTERCEPT_RIDGE / n_rows * b
            return float(loss), np.concatenate([(slopes * scale).ravel(), slopes_b * scale_b])

        x0 = np.zeros(size + n_classes)
        if start is not None:
            x0[:size] = ((self.axes.T @ start.coef) / scale).ravel()
            x0[size:] = start.intercept / scale_b
        result = minimize(
            objective,
            x0,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": MAX_ITERATIONS,
                "maxfun": 2 * MAX_ITERATIONS,
                "maxcor": 20,
                "ftol": tolerance,
                "gtol": 1e-7,
            },
        )
        coef = self.axes @ (result.x[:size].reshape(n_axes, n_classes) * scale)
        return MultinomialFit(
            coef,
            result.x[size:] * scale_b,
            float(result.fun),
            bool(result.success),
            int(result.nit),
        )


def _principal(features: Matrix) -> tuple[Matrix, Matrix]:
    """Directions of the features with some variance, (p, q), and the variances, (q,)."""
    n_rows, n_columns = features.shape
    if n_rows >= n_columns:
        variances, axes = np.linalg.eigh(features.T @ features / n_rows)
        kept = variances > LEAST_VARIANCE * max(variances[-1], LEAST_VARIANCE)
        return axes[:, kept], variances[kept]
    # With fewer rows than columns all that matters lies in the span of the rows.
    variances, rows = np.linalg.eigh(features @ features.T / n_rows)
    kept = variances > LEAST_VARIANCE * max(variances[-1], LEAST_VARIANCE)
    axes = features.T @ rows[:, kept] / np.sqrt(n_rows * variances[kept])
    return axes, variances[kept]
