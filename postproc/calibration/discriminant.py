"""A shrunken discriminant on log-probabilities.

A discriminative map needs many rows per class; a generative one with a shared covariance needs few
(Ng and Jordan, NeurIPS 2001). Their errors differ, so their log pool is better than either on
nearly every data set with many classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postproc.calibration.affine import Floats, Ints, class_counts

#: Shares of the spherical covariance to choose from by cross-validation.
SHRINKAGES = (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)

#: A smaller mean variance of the features is rounding error.
LEAST_VARIANCE = 1e-12


def fit_discriminant(
    features: Floats, shares: Floats, y: Ints, shrinkages: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Linear discriminants of features (n, K) with a shared covariance, one for each shrinkage.

    Returns a weight (K, C) and a bias (C,) of class scores features @ weight + bias, without class
    frequencies. `shares` (n, C) are the classifier's own probabilities, and a shrinkage in (0, 1]
    is the share of the spherical covariance.
    """
    # One pseudo-row shrinks class means to those that the classifier's probabilities imply, so
    # that a class with few labels or none has a usable centre.
    n, n_classes = shares.shape
    own = (shares.T @ features + 1e-9 * features.mean(axis=0)) / (
        shares.sum(axis=0)[:, None] + 1e-9
    )
    centers = np.zeros((n_classes, features.shape[1]))
    np.add.at(centers, y, features)
    centers = (centers + own) / (class_counts(y, n_classes)[:, None] + 1.0)
    inside = features - centers[y]
    values, vectors = np.linalg.eigh(inside.T @ inside / n)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale < LEAST_VARIANCE:  # rows at their class means have no scale
        scale = 1.0
    rotated = centers @ vectors
    fitted = []
    for shrinkage in shrinkages:
        weight = vectors @ (rotated / ((1.0 - shrinkage) * values + shrinkage * scale)).T
        fitted.append((weight, -0.5 * np.einsum("ck,kc->c", centers, weight)))
    return fitted
