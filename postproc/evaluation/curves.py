"""ROC, precision-recall and risk-coverage curves from rows counted by cells of their scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ranking import Cells

#: Points of a curve: more are not seen in a plot.
POINTS = 201

Floats = NDArray[np.float64]


class Curves(NamedTuple):
    """Points of both curves, thresholds descending."""

    false_positives: Floats  # (k,), share of negative rows at or above the threshold
    recall: Floats  # (k,), share of positive rows at or above it
    precision: Floats  # (k,), share of positive rows among all at or above it


def curves_of(cells: Cells) -> Curves:
    """Curves of one column with positive and negative rows, thinned evenly along the ROC curve."""
    hits = np.cumsum(cells.positive[::-1])
    alarms = np.cumsum(cells.negative[::-1])
    kept = np.flatnonzero(hits + alarms > 0)
    recall, false_positives = hits[kept] / hits[-1], alarms[kept] / alarms[-1]
    length = recall + false_positives  # along the curve, in steps to the right and up
    wanted = np.linspace(0, 2, POINTS)
    places = np.unique(np.append(np.searchsorted(length, wanted - 1e-9), len(length) - 1))
    places = places[places < len(length)]
    chosen = kept[places]
    precision = hits[chosen] / (hits[chosen] + alarms[chosen])
    return Curves(false_positives[places], recall[places], precision)


class RiskCoverage(NamedTuple):
    """Error rate of the most confident rows, by their share of all rows."""

    coverage: Floats  # (k,), ascending to 1
    risk: Floats  # (k,), share of wrong rows among these
    area: float  # mean of the risk over all rows, from the most confident one on


def risk_coverage(rows: NDArray[np.int64], right: NDArray[np.int64]) -> RiskCoverage:
    """The curve from numbers of rows, and of right ones, by confidence in ascending order, (L,).

    Rows of equal confidence are accepted together.
    """
    taken, wrong = np.cumsum(rows[::-1]), np.cumsum((rows - right)[::-1])
    area = (rows[::-1] * wrong / taken).sum() / taken[-1]
    coverage = taken / taken[-1]
    places = np.unique(np.searchsorted(coverage, np.linspace(0, 1, POINTS) - 1e-12))
    return RiskCoverage(coverage[places], (wrong / taken)[places], float(area))
