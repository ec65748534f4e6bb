"""Calibration of the confidence: bins of a reliability diagram and the calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from postproc.evaluation.tallies import Columns, run_starts, sums_of_runs, tally
from postproc.scores.checks import check_count, fail
from postproc.scores.frames.arguments import takes_frames

#: Number of bins of the expected calibration error.
ECE_BINS = 15


@dataclass(frozen=True)
class ReliabilityBins:
    """Bins of equal mass of the probability of the predicted or positive class, ascending."""

    rows: NDArray[np.int64]  # (b,), numbers of rows that differ by one at most
    confidence: NDArray[np.float64]  # (b,), mean probability of that class
    accuracy: NDArray[np.float64]  # (b,), share of rows of that class

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over the rows."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.sum(self.rows * gaps) / np.sum(self.rows))

    @property
    def ece_by_chance(self) -> float:
        """The calibration error that is expected of a calibrated model with these confidences.

        In a bin it is the mean absolute deviation of a binomial share (de Moivre).
        """
        n, p = self.rows, self.confidence
        k = np.minimum(np.floor(n * p), n - 1)
        ways = gammaln(n) - gammaln(k + 1) - gammaln(n - k)
        chance = np.exp(ways + xlogy(k, p) + xlogy(n - 1 - k, 1 - p))
        return float(np.sum(2 * n * p * (1 - p) * chance) / np.sum(n))


@takes_frames(labels={"confidence": "confidence", "correct": "confidence"})
def reliability_bins(confidence: Any, correct: Any, *, n_bins: int = ECE_BINS) -> ReliabilityBins:
    """Divide rows into bins of equal mass by confidence, for a reliability diagram or the ECE.

    Rows of equal confidence at the edge of two bins are shared: each bin gets its part of their
    mean accuracy. So the bins do not depend on the order of the rows.

    Parameters
    ----------
    confidence : array_like of shape (n,)
        Predicted probability of the predicted class.
    correct : array_like of bool, shape (n,)
        Whether the prediction was right.
    n_bins : int
        Number of bins, at most one per row. The first bins get the remaining rows.

    Returns
    -------
    ReliabilityBins
        Rows, mean confidence and accuracy of each bin.

    Raises
    ------
    ValueError
        If the arguments are not vectors of one length, or are empty.

    Examples
    --------
    >>> bins = reliability_bins([0.5, 0.5, 0.9, 0.9], [True, False, True, True], n_bins=2)
    >>> bins.accuracy, round(bins.ece, 6)
    (array([0.5, 1. ]), 0.05)
    """
    levels, right = np.asarray(confidence), np.asarray(correct)
    n_bins = check_count(n_bins, "n_bins", low=1)
    n = len(levels) if levels.ndim == 1 else 0
    if n == 0:
        fail("confidence", "a vector of one or more numbers", f"shape {levels.shape}")
    if right.shape != levels.shape:
        fail("correct", f"of shape {levels.shape} like `confidence`", f"shape {right.shape}")
    return bins_of_levels(*tally(levels, np.ones(n, np.int64), right), n_bins=n_bins)


def bins_of_levels(
    levels: NDArray[Any],
    rows: NDArray[np.int64],
    right: NDArray[np.int64],
    *,
    n_bins: int = ECE_BINS,
) -> ReliabilityBins:
    """Bins from distinct confidences, ascending, with their numbers of rows and of right rows."""
    ends = np.zeros(len(levels) + 1, np.int64)
    np.cumsum(rows, out=ends[1:])
    n = int(ends[-1])
    sizes = np.full(min(n_bins, n), n // min(n_bins, n))
    sizes[: n % len(sizes)] += 1
    edges = np.append(0, np.cumsum(sizes))
    means = []
    for values, times in ((levels, rows), (right, 1)):
        sums = np.zeros(len(levels) + 1)
        np.multiply(values, times, out=sums[1:])
        np.cumsum(sums, out=sums)
        # Linear interpolation between the sums before and after a tie shares it.
        means.append(np.diff(np.interp(edges, ends, sums)) / sizes)
    return ReliabilityBins(rows=sizes, confidence=means[0], accuracy=means[1])


class ConfidenceTally:
    """Counts rows, and right ones, by their confidence >= 0, in bounded memory.

    Up to `most_levels` distinct confidences are kept. If there are more, those that agree in their
    leading bits are merged into their mean; no more bits are dropped than necessary, whatever the
    order and the blocks of the rows. This affects only rows at the edge of two bins, which are then
    shared between these.
    """

    def __init__(
        self, confidence: NDArray[Any], correct: NDArray[np.bool_], most_levels: int = 2**17
    ) -> None:
        self._most_levels = most_levels
        bits = confidence.astype(np.float64).view(np.int64)  # in order, as none is negative
        self._keys: list[NDArray[np.int64]] = [bits << 1 | correct]
        self._pending = len(bits)
        self._tables: list[Columns] = []
        self._dropped = 0  # bits

    def merge(self, other: ConfidenceTally) -> None:
        """Add further rows."""
        self._keys += other._keys
        self._pending += other._pending
        self._tables += other._tables
        self._dropped = max(self._dropped, other._dropped)
        if self._pending > self._most_levels:
            self._tables, self._keys, self._pending = [self.levels()], [], 0

    def levels(self) -> Columns:
        """Confidences, ascending, with their numbers of rows and of right rows."""
        tables = list(self._tables)
        if self._keys:
            tables.append(_table(np.concatenate(self._keys)))
        if len(tables) > 1:
            return self._bounded(*tally(*map(np.concatenate, zip(*tables, strict=True))))
        return self._bounded(*tables[0])

    def bins(self) -> ReliabilityBins:
        """The bins of a reliability diagram."""
        return bins_of_levels(*self.levels())

    def _bounded(self, levels: NDArray[Any], rows: NDArray[Any], right: NDArray[Any]) -> Columns:
        if len(levels) <= self._most_levels and not self._dropped:
            return levels, rows, right
        bits = levels.view(np.int64)
        starts = run_starts(bits >> self._dropped)
        while len(starts) > self._most_levels:
            self._dropped += 1
            starts = run_starts(bits >> self._dropped)
        ends = np.append(starts[1:], len(levels)) - 1
        n = sums_of_runs(rows, starts)
        means = sums_of_runs(levels * rows, starts) / n
        # Rounding must not move a mean out of its cell, where later rows are merged with it.
        return np.clip(means, levels[starts], levels[ends]), n, sums_of_runs(right, starts)


def _table(keys: NDArray[np.int64]) -> Columns:
    """Levels, rows and right rows, from one key per row; overwrites the keys."""
    keys.sort()  # several times as fast as the order of keys
    right = keys & 1
    keys >>= 1
    starts = run_starts(keys)
    levels, n = keys[starts].view(np.float64), len(keys)
    del keys
    return levels, np.diff(starts, append=n), sums_of_runs(right, starts)
