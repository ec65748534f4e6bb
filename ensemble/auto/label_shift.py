"""Label shift of labels that do not exclude each other: each is adapted where that would gain.

A label is adapted to its share in the target if the test of its mean prediction finds a shift, and
if that gains on the fit rows out of fold, weighted so that the label has that share among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.labelwise import Floats, sigmoid
from postproc.evaluation.influence import Estimate
from postproc.evaluation.paired import CONFIDENCE
from postproc.evaluation.registry import Metric
from postproc.shift.multilabel import estimate_shares, label_moments

#: Level of the test for a shift, corrected for the number of labels; as for exclusive classes.
ALPHA = 0.01


@dataclass(frozen=True)
class ShiftedLabel:
    """A label whose share in the target differs, and what adapting to it would gain."""

    label: int
    source: float  # share in the fit rows
    share: float  # in the target
    p_value: float
    log_odds: float  # what is added to those of the label
    low: float  # interval of the gain on weighted fit rows, corrected for the shifted labels
    high: float

    @property
    def adapted(self) -> bool:
        """Whether the label is adapted."""
        return self.low > 0


def shifted_labels(
    target: Floats, held_out: Floats, labels: NDArray[Any], metric: Metric
) -> tuple[ShiftedLabel, ...]:
    """Labels that have shifted, from log-odds of target rows (N, m) and held-out fit rows (n, m).

    Shifts change no ranks of rows, so that metrics of ranks look for none.
    """
    if metric.needs == "scores" or not len(target):
        return ()
    found = estimate_shares(sigmoid(target), label_moments(sigmoid(held_out)), "map")
    shares = labels.mean(axis=0)
    rare = (shares == 0) | (shares == 1)
    shifted = np.flatnonzero((found.p_value < ALPHA) & ~rare)
    lines = []
    for j in shifted.tolist():
        share, log_odds = float(found.share[j]), float(found.log_odds[j])
        sides = (share / shares[j], (1 - share) / (1 - shares[j]))
        weights = np.where(labels[:, j] == 1, *sides)
        adapted = held_out.copy()
        adapted[:, j] += log_odds
        after, before = (metric.measure(labels, sigmoid(z), weights) for z in (adapted, held_out))
        low, high = gain_interval(metric.gain(after, before, weights=weights), len(shifted))
        p_value, source = float(found.p_value[j]), float(found.source[j])
        lines.append(ShiftedLabel(j, source, share, p_value, log_odds, low, high))
    return tuple(lines)


def shift_summary(shifted: Sequence[ShiftedLabel], n_labels: int) -> str:
    """What was found of the target, in a sentence."""
    adapted = sum(each.adapted for each in shifted)
    if not shifted:
        return "No label has clearly shifted."
    said = f"{len(shifted)} of {n_labels} labels have shifted; "
    if adapted == 0:
        return said + "adapting to that gains nothing that is clear on the fit rows."
    return said + f"{adapted} {'is' if adapted == 1 else 'are'} adapted to the share in the target."


def gain_interval(gain: Estimate, n_candidates: int) -> tuple[float, float]:
    """Interval of a gain, with Bonferroni's correction for the number of candidates."""
    from scipy.special import stdtrit

    if math.isnan(gain.standard_error) or gain.df <= 0:
        return -math.inf, math.inf
    reach = float(stdtrit(gain.df, 1 - (1 - CONFIDENCE) / 2 / n_candidates)) * gain.standard_error
    return gain.value - reach, gain.value + reach
