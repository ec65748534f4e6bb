"""Folds for cross-validation that do not depend on the order of the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def stratified_folds(features: Floats, y: Ints, n_folds: int, seed: int) -> Ints:
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
    return _deal(np.lexsort((features @ direction, y)), n_folds)


def canonical_order(logs: Floats, y: Ints, seed: int) -> tuple[Ints, Ints]:
    """Order rows and classes by what they are, not by where they stand.

    Parameters
    ----------
    logs : array of shape (n, C)
        Log-probabilities.
    y : array of shape (n,)
        Classes.
    seed : int
        Seed of the projection of a row's sorted scores, by which rows are ordered in a class.

    Returns
    -------
    rows : array of shape (n,)
        Rows, class after class.
    classes : array of shape (C,)
        Classes by their number of rows, equal ones by the mean projection of their rows, those
        without a row by their mean score.
    """
    direction = np.random.default_rng(seed).standard_normal(logs.shape[1])
    places = np.sort(logs, axis=1) @ direction
    n_classes = logs.shape[1]
    counts = np.bincount(y, minlength=n_classes)
    # Sums over rows in a fixed order, so that rounding does not tell permutations apart.
    means = np.bincount(y, weights=places, minlength=n_classes) / np.maximum(counts, 1)
    bare = counts == 0
    means[bare] = logs[:, bare].mean(axis=0)
    classes = np.lexsort((means, counts))
    rank = np.empty(n_classes, dtype=np.int64)
    rank[classes] = np.arange(n_classes)
    return np.lexsort((places, rank[y])), classes


def random_folds(logs: Floats, y: Ints, n_folds: int, seed: int) -> Ints:
    """Assign each row to a fold at random; the order of rows and classes does not matter.

    The folds are not stratified, so that a class bias is judged on class frequencies that it has
    not seen. Stratified folds share the accidents of a small sample's frequencies with the rows
    that they leave out, and a bias fitted to these accidents looks like a gain.

    Parameters
    ----------
    logs : array of shape (n, C)
        Log-probabilities, which tell the rows apart.
    y : array of shape (n,)
        Classes.
    n_folds : int
        Number of folds, 2..n; their sizes differ by one row at most.
    seed : int
        Seed of the draw.

    Returns
    -------
    array of shape (n,)
        Fold of each row, 0..n_folds-1.
    """
    rows, _ = canonical_order(logs, y, seed)
    return _deal(np.random.default_rng(seed).permutation(rows), n_folds)


def _deal(order: Ints, n_folds: int) -> Ints:
    folds = np.empty(len(order), dtype=np.int64)
    folds[order] = np.arange(len(order)) % n_folds
    return folds
