"""Metrics of many decisions at once, from counts of classes: what a search compares.

They agree with those of `postproc.evaluation.label_metrics`, which take one decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from postproc.decisions.rules import Floats
from postproc.scores.binary_labels import POSITIVE


class Counts(NamedTuple):
    """Numbers of rows by class, of G decisions."""

    true: Floats  # (C,), of the labels
    decided: Floats  # (G, C), of the decisions
    both: Floats  # (G, C), of right decisions
    distance: Floats  # (G,), sum of the squared distances of label and decision


def accuracy(counts: Counts) -> Floats:
    """Share of rows that are right, (G,)."""
    return np.asarray(counts.both.sum(axis=1) / counts.true.sum())


def balanced_accuracy(counts: Counts) -> Floats:
    """Mean recall of the classes among the labels, (G,)."""
    present = counts.true > 0
    return np.asarray((counts.both[:, present] / counts.true[present]).mean(axis=1))


def macro_f1(counts: Counts) -> Floats:
    """Mean F1 of the classes among labels or decisions, (G,)."""
    size = counts.true + counts.decided
    f1 = 2 * counts.both / np.maximum(size, 1)
    return np.asarray(f1.sum(axis=1) / np.count_nonzero(size, axis=1))


def f1(counts: Counts) -> Floats:
    """F1 of the second of two classes, (G,)."""
    size = counts.true[POSITIVE] + counts.decided[:, POSITIVE]
    return np.asarray(2 * counts.both[:, POSITIVE] / np.maximum(size, 1))


def mcc(counts: Counts) -> Floats:
    """Matthews correlation coefficient, (G,); 0 if either is constant."""
    n = counts.true.sum()
    agreed = n * counts.both.sum(axis=1) - counts.decided @ counts.true
    spread = n**2 - (counts.decided**2).sum(axis=1)
    scale = np.sqrt(spread * (n**2 - counts.true @ counts.true))
    return np.asarray(np.divide(agreed, scale, out=np.zeros_like(agreed), where=scale > 0))


def kappa(counts: Counts) -> Floats:
    """Cohen's kappa, (G,); 0 where all agreement is by chance."""
    n = counts.true.sum()
    chance = counts.decided @ counts.true / n**2
    return _beyond_chance(1 - counts.both.sum(axis=1) / n, 1 - chance)


def quadratic_kappa(counts: Counts) -> Floats:
    """Kappa with squared distances of classes in their order, (G,)."""
    n, place = counts.true.sum(), np.arange(len(counts.true), dtype=np.float64)
    mean, square = counts.decided @ place / n, counts.decided @ place**2 / n
    own_mean, own_square = counts.true @ place / n, counts.true @ place**2 / n
    return _beyond_chance(counts.distance / n, own_square + square - 2 * own_mean * mean)


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    """1 - observed / expected disagreement, 0 where none is expected."""
    share = np.divide(observed, expected, out=np.ones_like(observed), where=expected > 1e-15)
    return np.asarray(1 - share)


#: Metrics that class weights can be chosen for, by their names in the registry.
SEARCHED: Mapping[str, Callable[[Counts], Floats]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "f1": f1,
    "mcc": mcc,
    "kappa": kappa,
    "quadratic_kappa": quadratic_kappa,
}
