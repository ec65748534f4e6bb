"""Coordinate ascent: class weights that are best for a metric on labelled rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from postproc.decisions.counts import Counts
from postproc.decisions.rules import Floats, Ints

#: Cells of a table of candidates and classes that are compared at once, and fewest candidates.
CELLS = 2**13
FEWEST = 64

#: Sweeps over all classes, at most.
SWEEPS = 10

#: Log-weights stay within this distance of the start.
REACH = 7.0


def ascend(
    logs: Floats,
    labels: Ints,
    metric: Callable[[Counts], Floats],
    start: Floats,
    center: Floats,
    penalty: float,
) -> Floats:
    """Log-weights (C,) of log-probabilities (n, C) that maximize a metric less a penalty.

    The penalty is `penalty` times the squared distance to `center`. Each step moves one class to
    the best of its thresholds, those at which a row changes its decision.
    """
    weights, n_classes = start.copy(), logs.shape[1]
    scores = logs + weights
    true = np.bincount(labels, minlength=n_classes).astype(np.float64)
    goal, own = _Goal(labels, true, metric, center, penalty), -np.inf
    for _ in range(SWEEPS):
        before = own
        for j in range(n_classes if n_classes > 2 else 1):  # two classes have one threshold
            moved, own = _best_move(goal, scores, weights, j)
            if moved != weights[j]:
                weights[j] = moved
                scores[:, j] = logs[:, j] + moved
        if own <= before + 1e-12:
            break
    return weights


@dataclass(frozen=True)
class _Goal:
    """What is maximized: a metric of labels (n,), less a penalty on the distance to a centre."""

    labels: Ints
    true: Floats  # (C,), their counts
    metric: Callable[[Counts], Floats]
    center: Floats
    penalty: float


def _best_move(goal: _Goal, scores: Floats, weights: Floats, j: int) -> tuple[float, float]:
    """The best log-weight of class j, all others fixed, and the objective there."""
    labels, center = goal.labels, goal.center
    n_rows, n_classes = scores.shape
    column = scores[:, j].copy()
    scores[:, j] = -np.inf
    other = scores.argmax(axis=1)
    flips = scores[np.arange(n_rows), other] - column + weights[j]  # above it, a row goes to j
    scores[:, j] = column
    candidates = np.append(_thresholds(flips, weights[j], center[j], n_classes), weights[j])
    candidates.sort()
    n = len(candidates)
    at = np.searchsorted(candidates, flips, side="right")  # the first candidate above
    right, goes_right = labels == other, labels == j
    taken = _cumulative(at * n_classes + other, None, n, n_classes)
    lost = _cumulative(at * n_classes + other, right, n, n_classes)
    decided = np.bincount(other, minlength=n_classes) - taken
    both = np.bincount(other[right], minlength=n_classes) - lost
    decided[:, j] += taken.sum(axis=1)
    both[:, j] += np.cumsum(np.bincount(at[goes_right], minlength=n + 1))[:n]
    gaps = np.bincount(at, (j - labels) ** 2 - (other - labels) ** 2, minlength=n + 1)
    distance = ((other - labels) ** 2).sum() + np.cumsum(gaps)[:n]
    counts = Counts(goal.true, decided.astype(np.float64), both.astype(np.float64), distance)
    rest = float(((weights - center) ** 2).sum() - (weights[j] - center[j]) ** 2)
    values = goal.metric(counts) - goal.penalty * (rest + (candidates - center[j]) ** 2)
    best = values.max()
    ties = np.flatnonzero(values >= best - 1e-12)
    nearest = ties[np.abs(candidates[ties] - weights[j]).argmin()]
    return float(candidates[nearest]), float(values[nearest])


def _thresholds(flips: Floats, now: float, center: float, n_classes: int) -> Floats:
    """Log-weights halfway between neighbouring thresholds: all, or some at even ranks."""
    levels = np.unique(flips[np.abs(flips - center) < REACH])
    middles = (levels[1:] + levels[:-1]) / 2
    ends = [levels[0] - 1e-3, levels[-1] + 1e-3] if len(levels) else []
    most = max(FEWEST, CELLS // n_classes)
    if len(middles) > most:
        middles = middles[np.linspace(0, len(middles) - 1, most).astype(np.intp)]
    return np.concatenate([middles, ends])


def _cumulative(keys: Ints, chosen: Floats | None, n: int, n_classes: int) -> Floats:
    """Numbers of rows up to each candidate by class, (n, C)."""
    keys = keys if chosen is None else keys[chosen]
    counts = np.bincount(keys, minlength=(n + 1) * n_classes).reshape(n + 1, n_classes)
    return np.asarray(counts.cumsum(axis=0)[:n])
