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


def auc(cells: Cells) -> Ranked:
    """Probability that a positive row scores higher than a negative one; ties count half.

    Influences are DeLong's placements less the area, each divided by the share of its side.
    """
    positive, negative = cells.positive.sum(), cells.negative.sum()
    below = (np.cumsum(cells.negative) - cells.negative / 2) / negative
    above = (positive - np.cumsum(cells.positive) + cells.positive / 2) / positive
    value = float(cells.positive @ below / positive)
    total = positive + negative
    return Ranked(value, (below - value) * total / positive, (above - value) * total / negative)


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
    return Ranked(value, (precision + gained - lost - value) * scale, -lost * scale)


def thresholds_of(positive_scores: NDArray[Any]) -> NDArray[Any]:
    """Distinct scores of the positive rows, ascending: those of no other row change a ranking."""
    return np.unique(positive_scores)


def cells_of(scores: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[np.intp]:
    """Cell of each score: 2j + 1 at threshold j, 2j just below it."""
    left = np.searchsorted(thresholds, scores)
    return left + np.searchsorted(thresholds, scores, side="right")


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
        own = scores[:, column]
        cell = cells_of(own, thresholds_of(own[positive]))
        n_cells = int(cell.max()) + 1
        found: Ranked = function(
            Cells(
                weighted_counts(cell, weights * positive, n_cells),
                weighted_counts(cell, weights * ~positive, n_cells),
            )
        )
        values.append(found.value)
        influence += np.where(positive, found.of_positive[cell], found.of_negative[cell])
    if not values:
        return Measured(np.nan, np.full(len(labels), np.nan))
    return Measured(float(np.mean(values)), influence / len(values))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """The ratio, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
