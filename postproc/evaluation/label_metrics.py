"""Metrics of decided labels: their values and influences, from rows or from counts of pairs.

Each function takes true and decided classes (k,), weights (k,) that sum to 1, and the number of
classes C. An entry is a row, or all rows of one pair of classes. The influence of an entry is the
derivative of the metric as weight moves to it; its weighted mean is 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.tallies import weighted_counts
from postproc.scores.binary_labels import POSITIVE

Classes = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """A metric and the influence of every row (or entry) on it."""

    value: float
    influence: Floats  # (n,)


class _Shares(NamedTuple):
    """Shares of rows by class, (C,), and whether entries are right, (k,)."""

    true: Floats
    decided: Floats
    both: Floats
    right: Floats


def _shares(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> _Shares:
    right = (labels == decided).astype(np.float64)
    true = weighted_counts(labels, weights, n_classes)
    chosen = weighted_counts(decided, weights, n_classes)
    both = weighted_counts(labels, weights * right, n_classes)
    return _Shares(true, chosen, both, right)


def accuracy(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """Share of rows that are right."""
    right = (labels == decided).astype(np.float64)
    value = float(weights @ right)
    return Measured(value, right - value)


def balanced_accuracy(
    labels: Classes, decided: Classes, weights: Floats, n_classes: int
) -> Measured:
    """Mean recall of the classes that occur among the labels."""
    shares = _shares(labels, decided, weights, n_classes)
    present = shares.true > 0
    recall = _ratio(shares.both, shares.true)
    influence = (shares.right - recall[labels]) / shares.true[labels] / np.count_nonzero(present)
    return Measured(float(recall[present].mean()), influence)


def macro_f1(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """Mean F1 of the classes that occur among the labels or the decisions."""
    shares = _shares(labels, decided, weights, n_classes)
    size = shares.true + shares.decided
    f1 = _ratio(2 * shares.both, size)
    present = size > 0
    part = _ratio(f1, size)
    influence = 2 * shares.right / size[labels] - part[labels] - part[decided]
    return Measured(float(f1[present].mean()), influence / np.count_nonzero(present))


def f1(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """F1 of the second of two classes; 0 if it is neither a label nor a decision."""
    both = 2.0 * ((labels == POSITIVE) & (decided == POSITIVE))
    sizes = (labels == POSITIVE).astype(np.float64) + (decided == POSITIVE)
    size = float(weights @ sizes)
    if size == 0:
        return Measured(0.0, np.full(len(labels), np.nan))
    value = float(weights @ both) / size
    return Measured(value, (both - value * sizes) / size)


def mcc(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """Matthews correlation coefficient of many classes (Gorodkin 2004); 0 if either is constant."""
    shares = _shares(labels, decided, weights, n_classes)
    right, chance = shares.both.sum(), shares.true @ shares.decided
    spread_true, spread_decided = (1 - share @ share for share in (shares.true, shares.decided))
    if min(spread_true, spread_decided) <= 1e-15:
        return Measured(0.0, np.full(len(labels), np.nan))
    scale = np.sqrt(spread_true * spread_decided)
    value = (right - chance) / scale
    moved = shares.right - right
    moved -= shares.decided[labels] + shares.true[decided] - 2 * chance
    of_true = (1 - spread_true - shares.true[labels]) / spread_true
    of_decided = (1 - spread_decided - shares.decided[decided]) / spread_decided
    return Measured(float(value), moved / scale - value * (of_true + of_decided))


def kappa(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """Cohen's kappa: agreement beyond chance."""
    shares = _shares(labels, decided, weights, n_classes)
    right, chance = float(shares.both.sum()), float(shares.true @ shares.decided)
    moved_chance = shares.decided[labels] + shares.true[decided] - 2 * chance
    return _beyond_chance(1 - right, 1 - chance, right - shares.right, -moved_chance)


def quadratic_kappa(labels: Classes, decided: Classes, weights: Floats, n_classes: int) -> Measured:
    """Kappa with squared distances of classes, which are taken in their order."""
    true, chosen = labels.astype(np.float64), decided.astype(np.float64)
    distance = (true - chosen) ** 2
    observed = float(weights @ distance)
    (m, m2), (k, k2) = ((weights @ x, weights @ x**2) for x in (true, chosen))
    expected = float(m2 + k2 - 2 * m * k)
    moved = true**2 - 2 * true * k + k2 + chosen**2 - 2 * chosen * m + m2 - 2 * expected
    return _beyond_chance(observed, expected, distance - observed, moved)


def _beyond_chance(observed: float, expected: float, moved: Floats, moved_too: Floats) -> Measured:
    """1 - observed / expected disagreement, from influences on both; NaN if none is expected."""
    if expected <= 1e-15:
        return Measured(np.nan, np.full(len(moved), np.nan))
    value = 1 - observed / expected
    return Measured(float(value), -moved / expected + observed / expected**2 * moved_too)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """The ratio, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
