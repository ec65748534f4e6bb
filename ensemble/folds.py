"""Folds for cross-validation that do not depend on the order of the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_folds(
    features: NDArray[np.float64], y: NDArray[np.int64], n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Assign each row to a fold, every class spread evenly over the folds.

    Rows are sorted by class and, within a class, by a random projection of their features, and
    dealt out in turn. So the same rows in another order fall into the same folds, and a class of
    few rows still is in as many folds as it has rows.

    Parameters
    ----------
    features : array of shape (n, p)
        What tells the rows apart.
    y : array of shape (n,)
        Classes.
    n_folds : int
        Number of folds, 2..n.
    seed : int
        Seed of the projection.

    Returns
    -------
    array of shape (n,)
        Fold of each row, 0..n_folds-1.
    """
    direction = np.random.default_rng(seed).standard_normal(features.shape[1])
    order = np.lexsort((features @ direction, y))
    folds = np.empty(len(y), dtype=np.int64)
    folds[order] = np.arange(len(y)) % n_folds
    return folds
