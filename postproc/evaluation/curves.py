"""ROC and precision-recall curves from rows counted by cells of their scores."""

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
