"""Metrics of rankings: area under the ROC curve and average precision, with influences.

A column of scores is cut into cells in ascending order; rows of one cell are tied. All follows from
the weights of positive and of negative rows in each cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.label_metrics import Measured
from postproc.evaluation.tallies import weighted_counts

Floats = NDArray[np.float64]


class Cells(NamedTuple):
    """Weights of positive and of negative rows in each cell (k,), scores ascending."""

    positive: Floats
    negative: Floats


class Ranked(NamedTuple):
    """A metric of one column, and the influence of a positive and a negative row of each cell.

    Influences are derivatives times the total weight, (k,).
    """

    value: float
    of_positive: Floats
    of_negative: Floats
    slack: float  # by which the value may change at most if rows of one cell are not tied


def auc(cells: Cells) -> Ranked:
    """Probability that a positive row scores higher than a negative one; ties count half.

    Influences are DeLong's placements less the area, each divided by the share of its side.
    """
    positive, negative = cells.positive.sum(), cells.negative.sum()
    below = (np.cumsum(cells.negative) - cells.negative / 2) / negative
    above = (positive - np.cumsum(cells.positive) + cells.positive / 2) / positive
    value = float(cells.positive @ below / positive)
    total = positive + negative
    slack = float(cells.positive @ cells.negative) / positive / negative / 2
    sides = ((below - value) * total / positive, (above - value) * total / negative)
    return Ranked(value, *sides, slack)


def average_precision(cells: Cells) -> Ranked:
    """Mean precision at the thresholds of the positive rows, without interpolation."""
    positive = cells.positive.sum()
    hits = np.cumsum(cells.positive[::-1])[::-1]
    taken = np.cumsum((cells.positive + cells.negative)[::-1])[::-1]
    precision = _ratio(hits, taken)
    value = float(cells.positive @ precision / positive)
    # A row raises or lowers the precision at every threshold of its score or below.
    gained = np.cumsum(_ratio(cells.positive, taken))
    lost = np.cumsum(_ratio(cells.positive * precision, taken))
    scale = (positive + cells.negative.sum()) / positive
    highest = _ratio(hits, taken - cells.negative)
    lowest = _ratio(hits - cells.positive, taken)
    slack = cells.positive @ np.maximum(highest - precision, precision - lowest) / positive
    return Ranked(value, (precision + gained - lost - value) * scale, -lost * scale, float(slack))


def risk_coverage_area(cells: Cells) -> Ranked:
    """Mean over the rows of the share of wrong rows among those as confident or more.

    Wrong rows are the positive ones, confidence is the score.
    """
    size = cells.positive + cells.negative
    wrong = np.cumsum(cells.positive[::-1])[::-1]
    taken = np.cumsum(size[::-1])[::-1]
    risk = _ratio(wrong, taken)
    value = float(size @ risk / taken[0])
    # A row changes the risk at its own confidence and at all below.
    reached = np.cumsum(_ratio(size, taken))
    expected = np.cumsum(_ratio(size * risk, taken))
    highest = _ratio(wrong, taken - cells.negative)
    lowest = _ratio(wrong - cells.positive, taken - cells.positive)
    slack = size @ np.maximum(highest - risk, risk - lowest) / taken[0]
    own = risk - value - expected
    return Ranked(value, own + reached, own, float(slack))


def cells_of(
    scores: NDArray[Any], positive: NDArray[np.bool_], weights: Floats
) -> tuple[Cells, NDArray[np.intp]]:
    """Cells of equal scores (n,), and the cell of each row."""
    order = np.argsort(scores)
    ahead = scores[order]
    cell = np.empty(len(scores), np.intp)
    cell[order] = np.cumsum(np.append(False, ahead[1:] != ahead[:-1]))
    n_cells = int(cell[order[-1]]) + 1
    mine = weighted_counts(cell, weights * positive, n_cells)
    others = weighted_counts(cell, weights * ~positive, n_cells)
    return Cells(mine, others), cell


def indicators(labels: NDArray[Any], n_columns: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Columns that are judged, with their positive rows: of two classes the second alone.

    Labels are classes (n,), or zeros and ones (n, m) of a multi-label task. Columns without
    positive or without negative rows are left out.
    """
    if labels.ndim == 2:
        columns = ((c, labels[:, c] == 1) for c in range(n_columns))
    else:
        columns = ((c, labels == c) for c in ranked_columns(n_columns))
    return ((c, positive) for c, positive in columns if 0 < positive.sum() < len(positive))


def ranked_columns(n_classes: int) -> range:
    """Columns of exclusive classes that are ranked: each against the rest, of two the second."""
    return range(1, 2) if n_classes == 2 else range(n_classes)


def mean_of_columns(
    function: Any, labels: NDArray[Any], scores: NDArray[Any], weights: Floats
) -> Measured:
    """Mean over the columns of a rank metric of scores (n, m), and its influence (n,)."""
    values, influence = [], np.zeros(len(labels))
    for column, positive in indicators(labels, scores.shape[1]):
        cells, cell = cells_of(scores[:, column], positive, weights)
        found: Ranked = function(cells)
        values.append(found.value)
        influence += np.where(positive, found.of_positive[cell], found.of_negative[cell])
    if not values:
        return Measured(np.nan, np.full(len(labels), np.nan))
    return Measured(float(np.mean(values)), influence / len(values))


def of_confidence(
    function: Any, labels: NDArray[Any], probs: NDArray[Any], weights: Floats
) -> Measured:
    """A rank metric of the confidence in decided classes, from probabilities (n, C)."""
    wrong = probs.argmax(axis=1) != labels
    cells, cell = cells_of(probs.max(axis=1), wrong, weights)
    found: Ranked = function(cells)
    return Measured(found.value, np.where(wrong, found.of_positive[cell], found.of_negative[cell]))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """The ratio, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
