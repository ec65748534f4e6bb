r"""Linear discriminant with a shared, shrunken covariance: closed forms for every shrinkage.

Residual matrix scaling maximises the likelihood of the labels, which needs many rows; a
discriminant models how the features of each class are distributed, which is wrong but needs few
(Ng and Jordan, NeurIPS 2001). Their errors differ, so that a log pool of both is better than
either on nearly every set with many classes.

Each class has one pseudo-row, at the mean that the classifier's own probabilities imply, so that a
class with few labels or none has a usable centre μ_c. With N rows and pseudo-rows, and their
residuals' scatter T, the covariance is Σ = (1 - s) T/N + s tr(T)/(N K) I. Without row i of a class
of n rows, with a = (n + 1)/n and d = x_i - μ_c, the centre is x_i - a d and the scatter T - a ddᵀ:
leave-one-out scores are a correction of rank one (the sphere stays that of all rows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from postproc.calibration.affine import (
    Floats,
    Ints,
    class_counts,
    fit_temperature,
    mean_log_loss,
    temper,
)
from postproc.scores.arrays import log_softmax
from postproc.scores.blocks import row_blocks

#: Shares of spherical covariance that leave-one-out log-loss chooses from.
SHRINKAGES = (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)

#: A smaller mean variance of the features is rounding error.
LEAST_VARIANCE = 1e-12

#: A path of strengths ends where the loss is this much above the best: it has one valley but for
#: noise.
PATIENCE = 1.002


class Discriminant:
    """Class centres and covariance of features (n, K), with the classifier's probabilities (n, C).

    Scores are log-densities of the classes up to a term common to the row; class frequencies are
    left out.
    """

    def __init__(self, features: Floats, shares: Floats, y: Ints) -> None:
        n_rows, n_classes = shares.shape
        self.y, self.counts = y, class_counts(y, n_classes)
        own = (shares.T @ features + 1e-9 * features.mean(axis=0)) / (
            shares.sum(axis=0)[:, None] + 1e-9
        )
        centers = np.zeros((n_classes, features.shape[1]))
        np.add.at(centers, y, features)
        centers = (centers + own) / (self.counts[:, None] + 1.0)
        inside, apart = features - centers[y], own - centers
        self.n_rows = n_rows + n_classes
        values, self.axes = np.linalg.eigh((inside.T @ inside + apart.T @ apart) / self.n_rows)
        self.values = np.maximum(values, 0.0)
        scale = float(self.values.mean())
        self.scale = scale if scale >= LEAST_VARIANCE else 1.0  # rows on their centres have none
        self.centers, self.rotated = centers @ self.axes, features @ self.axes

    def linear(self, shrinkage: float) -> tuple[Floats, Floats]:
        """Weight (K, C) and bias (C,) of the scores."""
        scaled = self.centers * self._precisions(shrinkage)
        return self.axes @ scaled.T, -0.5 * np.einsum("ck,ck->c", scaled, self.centers)

    def left_out(self, shrinkage: float, some: Ints) -> Floats:
        """Scores of some rows, each by a fit to all others, shape (k, C)."""
        precisions = self._precisions(shrinkage)
        scaled = self.centers * precisions
        between = scaled @ self.centers.T
        out = np.empty((len(some), len(self.centers)))
        for rows in row_blocks(*out.shape):
            x, mine = self.rotated[some[rows]], self.y[some[rows]]
            own = np.arange(len(x)), mine
            cross = x @ scaled.T
            squares = (x**2) @ precisions
            distances = squares[:, None] - 2.0 * cross + np.diag(between)
            leverages = distances[own]
            # dᵀ Σ⁻¹ (x - μ_k) for every class k
            toward = (squares - cross[own])[:, None] - cross + between[mine]
            steps = (self.counts[mine] + 1.0) / self.counts[mine]
            shares = (1.0 - shrinkage) * steps / self.n_rows
            left = 1.0 - shares * leverages
            distances += (shares / left)[:, None] * toward**2
            distances[own] = steps**2 * leverages / left
            out[rows] = -0.5 * distances
        return out

    def _precisions(self, shrinkage: float) -> Floats:
        """Inverse eigenvalues of the shrunken covariance."""
        return np.asarray(1.0 / ((1.0 - shrinkage) * self.values + shrinkage * self.scale))


def best_strength(
    strengths: Iterable[float], left_out: Callable[[float], Floats], y: Ints
) -> tuple[float, float]:
    """Strength whose left-out scores have the least log-loss once tempered, and their β.

    Strong ones come first, and the path ends where the loss has risen.
    """
    beta = None
    best, chosen = np.inf, (np.nan, np.nan)
    for strength in strengths:
        logs = np.asarray(log_softmax(left_out(strength)))
        beta = fit_temperature(logs, y, beta)
        loss = mean_log_loss(np.asarray(temper(beta, logs)), y)
        if loss < best:
            best, chosen = loss, (strength, beta)
        elif loss > PATIENCE * best:
            break
    return chosen
