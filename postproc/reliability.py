"""Whether confidence is honest: bins of a reliability diagram and the calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.checks import check_count, fail

#: Number of bins of the expected calibration error.
ECE_BINS = 15


@dataclass(frozen=True)
class ReliabilityBins:
    """Bins of equal mass of the top label's confidence, from least to most confident.

    Attributes
    ----------
    rows : array of shape (b,)
        Rows of each bin; they differ by one at most.
    confidence : array of shape (b,)
        Mean predicted probability of the predicted class.
    accuracy : array of shape (b,)
        Share of rows that were right.
    """

    rows: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over the rows."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.sum(self.rows * gaps) / np.sum(self.rows))


def reliability_bins(confidence: Any, correct: Any, *, n_bins: int = ECE_BINS) -> ReliabilityBins:
    """Cut rows into bins of equal mass by confidence, for a reliability diagram or the ECE.

    Rows of equal confidence that straddle the edge of two bins are shared out: each bin takes
    its part of their mean accuracy. So every order of the rows gives the same bins.

    Parameters
    ----------
    confidence : array_like of shape (n,)
        Predicted probability of the predicted class.
    correct : array_like of bool, shape (n,)
        Whether it was right.
    n_bins : int
        Number of bins; no more than there are rows are made. The first bins take the rows that
        are left over.

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
    order = np.argsort(levels)
    levels, right = levels[order], right[order]
    sizes = np.full(min(n_bins, n), n // min(n_bins, n))
    sizes[: n % len(sizes)] += 1
    edges = np.append(0, np.cumsum(sizes))
    # Straight lines between the cumulative sums before and after a tie share it out.
    at_edges = levels[edges[:-1]]
    ends = np.unique(
        [*np.searchsorted(levels, at_edges), *np.searchsorted(levels, at_edges, "right"), 0, n]
    )
    sums = []
    for values in (levels, right):
        between = np.add.reduceat(values, ends[:-1], dtype=np.float64)
        sums.append(np.diff(np.interp(edges, ends, np.append(0, np.cumsum(between)))))
    return ReliabilityBins(rows=sizes, confidence=sums[0] / sizes, accuracy=sums[1] / sizes)
