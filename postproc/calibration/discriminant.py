"""A shrunken discriminant on log-probabilities, and its log pool with residual matrix scaling.

A discriminative map needs many rows a class; a generative one with a shared covariance needs few
(Ng and Jordan, NeurIPS 2001). Their errors differ, so that the log pool of both, with two weights
fitted on out-of-fold predictions, is better than either on nearly every set with many classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postproc.calibration.affine import (
    Floats,
    Ints,
    class_counts,
)

#: Shares of spherical covariance that cross-validation chooses from.
SHRINKAGES = (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)

#: A mean variance of the features below this is rounding error.
LEAST_VARIANCE = 1e-12


def fit_discriminant(
    features: Floats, shares: Floats, y: Ints, shrinkages: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Fit linear discriminants with a shared covariance, one for every shrinkage.

    Class means are shrunk, by one pseudo-row, to the mean that the classifier's own probabilities
    imply, so that a class with few labels or none has a usable centre.

    Parameters
    ----------
    features : array of shape (n, K)
        Features.
    shares : array of shape (n, C)
        The classifier's own probabilities.
    y : array of shape (n,)
        Classes.
    shrinkages : sequence of float
        Shares of the spherical covariance, each in (0, 1].

    Returns
    -------
    list of (weight (K, C), bias (C,))
        Class scores are features @ weight + bias, up to a term common to the row; class
        frequencies are left out.
    """
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
    if scale < LEAST_VARIANCE:  # rows that lie on their centres know no scale
        scale = 1.0
    rotated = centers @ vectors
    fitted = []
    for shrinkage in shrinkages:
        weight = vectors @ (rotated / ((1.0 - shrinkage) * values + shrinkage * scale)).T
        fitted.append((weight, -0.5 * np.einsum("ck,kc->c", centers, weight)))
    return fitted
