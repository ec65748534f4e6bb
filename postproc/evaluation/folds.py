"""Folds for cross-validation that do not depend on the order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.blocks import DEFAULT_SIZES, row_blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def seed_from(*words: int) -> int:
    """A seed that follows from some numbers; those of other numbers are independent of it."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def stratified_folds(features: Floats, y: Ints, n_folds: int, seed: int) -> Ints:
    """Fold of each row, shape (n,), with every class spread evenly over the folds.

    Rows are sorted by class and, within a class, by a random projection of their features, shape
    (n, p), or (M, n, p) of M members, and dealt out in turn. So the folds do not depend on the
    order of the rows, and a class of few rows is in as many folds as it has rows.
    """
    flat = features if features.ndim == 2 else np.concatenate(list(features), axis=1)
    direction = np.random.default_rng(seed).standard_normal(flat.shape[1])
    return _deal(np.lexsort((flat @ direction, y)), n_folds)


def held_out(folds: Ints) -> list[NDArray[np.bool_]]:
    """Which rows are held out in each fold that has rows, (n,) each."""
    return [folds == fold for fold in np.unique(folds)]


def row_order(features: Floats, y: Ints, seed: int) -> Ints:
    """Order of rows by class and features, whatever their order in the file: (n,)."""
    return np.argsort(stratified_folds(features, y, len(y), seed))


def canonical_order(logs: Floats, y: Ints, seed: int) -> tuple[Ints, Ints]:
    """Orders of rows and classes that depend on their values only, from logs of shape (n, C).

    Classes are sorted by their number of rows, then by the mean projection of their rows (by their
    mean score if they have none); rows by class, then by a random projection of their sorted
    scores, then by one of their scores in the order of the classes.
    """
    direction = np.random.default_rng(seed).standard_normal(logs.shape[1])
    places, ties = np.empty((2, len(logs)))
    for rows in row_blocks(*logs.shape, block_bytes=DEFAULT_SIZES.cached):
        # Equal rows have equal places: a product of a matrix would round them by their number.
        places[rows] = np.einsum("ij,j->i", np.sort(logs[rows], axis=1), direction)
    n_classes = logs.shape[1]
    counts = np.bincount(y, minlength=n_classes)
    # Sums over rows in a fixed order, so that rounding is the same for every permutation.
    means = np.bincount(y, weights=places, minlength=n_classes) / np.maximum(counts, 1)
    bare = counts == 0
    means[bare] = logs[:, bare].mean(axis=0)
    classes = np.lexsort((means, counts))
    rank = np.empty(n_classes, dtype=np.int64)
    rank[classes] = np.arange(n_classes)
    for rows in row_blocks(*logs.shape, block_bytes=DEFAULT_SIZES.cached):
        ties[rows] = np.einsum("ij,j->i", logs[rows][:, classes], direction)
    return np.lexsort((ties, places, rank[y])), classes


def random_folds(
    logs: Floats, y: Ints, n_folds: int, seed: int, groups: Ints | None = None
) -> Ints:
    """Fold of each row, shape (n,), drawn at random whatever the order of rows and classes.

    The folds are not stratified, so a class bias is judged on class frequencies that it has not
    seen. Stratified folds share the chance frequencies of a small sample with the rows they leave
    out, and a bias fitted to these looks like a gain. Rows of one of `groups`, (n,), are in one
    fold.
    """
    rows, _ = canonical_order(logs, y, seed)
    return _deal(np.random.default_rng(seed).permutation(rows), n_folds, groups)


def label_folds(
    scores: Floats, labels: NDArray[Any], n_folds: int, seed: int, groups: Ints | None = None
) -> Ints:
    """Fold of each row, shape (n,), drawn at random whatever the order of rows and labels.

    Scores are (n, m), or (n, m, k) of k members; labels are zeros and ones (n, m). Rows of one of
    `groups`, (n,), are in one fold.
    """
    flat = np.sort(scores, axis=1).reshape(len(scores), -1)
    direction = np.random.default_rng(seed).standard_normal(flat.shape[1])
    rows = np.lexsort((flat @ direction, labels.sum(axis=1)))
    return _deal(np.random.default_rng(seed).permutation(rows), n_folds, groups)


def _deal(order: Ints, n_folds: int, groups: Ints | None = None) -> Ints:
    """Deal rows out in turn; or groups, the largest first, each to the fold with fewest rows."""
    folds = np.empty(len(order), dtype=np.int64)
    if groups is None:
        folds[order] = np.arange(len(order)) % n_folds
        return folds
    _, first, own, sizes = np.unique(
        groups[order], return_index=True, return_inverse=True, return_counts=True
    )
    fold_of, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(n_folds, dtype=np.int64)
    for group in np.lexsort((first, -sizes)):  # of one size in the order of their rows
        fold_of[group] = fold = filled.argmin()
        filled[fold] += sizes[group]
    folds[order] = fold_of[own]
    return folds
