"""Metrics of predictions against labels, computed in one pass over blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.changes import Confusions
from postproc.evaluation.registry import Metric
from postproc.evaluation.reliability import ConfidenceTally
from postproc.evaluation.sums import Metrics, MetricSums
from postproc.scores.arrays import Array, as_array, as_floating, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_cuts, sub_blocks
from postproc.scores.checks import check_choice, check_count, check_labels, fail
from postproc.scores.detection import KINDS
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import LEAST_PROBABILITY, Kind, check_scores, probabilities

#: The k of top-k accuracy.
TOP_K = 5


class MetricAccumulator:
    """Collects the metrics of one model from consecutive blocks of its rows.

    Per row it keeps the label (8 bytes), the predicted class (4), its confidence (4 or 8), and the
    values of `row_metrics` (8 each), metrics that need probabilities. With `keeps_norms` logsumexp
    of logits is kept, too.
    """

    def __init__(
        self,
        labels: Any,
        n_classes: int,
        *,
        kind: Kind,
        name: str = "scores",
        first_row: int = 0,
        row_metrics: Sequence[Metric] = (),
        keeps_norms: bool = False,
    ) -> None:
        self._classes = check_count(n_classes, "n_classes", low=2)
        self._kind = cast(Kind, check_choice(kind, "kind", KINDS))
        self._name = name
        self._first_row = first_row
        self._labels = check_labels(labels, n_classes=self._classes)
        if len(self._labels) == 0:
            fail("labels", "one label or more", "0 labels")
        self._predicted = np.empty(len(self._labels), np.int32)
        self._row_metrics, self._keeps_norms = row_metrics, keeps_norms and kind == "logits"
        self.norms: list[NDArray[Any]] = []  # logsumexp of logits, part by part
        self._values = np.empty((len(row_metrics), len(self._labels)))
        self._confidence: NDArray[Any] = np.empty(0)
        self._buffer: NDArray[Any] = np.empty((0, self._classes))
        self._rows = 0
        self._top5 = 0
        self._log_loss: list[float] = []
        self._brier: list[float] = []

    def update(self, scores: Array) -> None:
        """Add the next rows, scores of shape (b, C) of the declared kind."""
        block = np.ascontiguousarray(as_floating(as_numpy(as_array(scores, self._name))))
        left = len(self._labels) - self._rows
        if block.ndim != 2 or block.shape[1] != self._classes or len(block) > left:
            rule = f"at most {left} rows of {self._classes} classes"
            fail(self._name, rule, f"shape {block.shape}")
        if self._rows == 0:
            self._confidence = np.empty(len(self._labels), block.dtype)
        end = self._rows + len(block)
        labels = self._labels[self._rows : end]
        each = np.arange(len(block))
        best = block.argmax(axis=1)
        top, true = block[each, best], block[each, labels]

        if self._kind == "logits":
            if self._buffer.dtype != block.dtype or len(self._buffer) < len(block):
                self._buffer = np.empty_like(block)  # new pages for each block cost much time
            mass = self._buffer[: len(block)]
            with np.errstate(over="ignore", invalid="ignore"):
                np.subtract(block, top[:, None], out=mass)
            true_mass = mass[each, labels].astype(np.float64)
            np.exp(mass, out=mass)
            totals = mass.sum(axis=1)
            self._check_finite(block, totals)
            if self._keeps_norms:
                self.norms.append(top + np.log(totals))
            losses = np.log(totals.astype(np.float64)) - true_mass
            losses = np.minimum(losses, -math.log(LEAST_PROBABILITY))  # as for probabilities of 0
            confidence = 1 / totals
            shares = np.exp(true_mass) / totals
        else:
            mass = block
            with np.errstate(invalid="ignore"):
                totals = block.sum(axis=1)
            self._check_finite(block, totals)
            self._check_rows(totals > 0, "a row of probabilities with a positive sum", block)
            confidence = top / totals
            shares = true / totals.astype(np.float64)
            losses = -np.log(np.maximum(shares, LEAST_PROBABILITY))
        squares = np.einsum("ij,ij->i", mass, mass) / totals.astype(np.float64) ** 2

        self._predicted[self._rows : end] = best
        self._confidence[self._rows : end] = confidence
        self._top5 += len(block) - _count_outside(block, labels, true, best != labels)
        self._log_loss.append(float(losses.sum()))
        # Σ (p - e)² = Σ p² - p_y² + (1 - p_y)²; rounding must not take it below zero.
        briers = np.maximum(squares - shares**2, 0) + (1 - shares) ** 2
        self._brier.append(float(briers.sum()))
        known = {"log_loss": losses, "brier": briers}
        whole = partial(_probabilities, block, self._kind)
        if self._classes == 2:  # other metrics of two classes need probabilities
            positive = np.where(labels == 1, shares, 1 - shares)
            block = np.stack([1 - positive, positive], axis=1)
        for line, metric in zip(self._values, self._row_metrics, strict=True):
            found = known.get(metric.name)
            if found is None:
                found = metric.function(labels, block if metric.of_labels is None else whole())
            line[self._rows : end] = found
        self._rows = end

    @property
    def predicted(self) -> NDArray[np.int32]:
        """Predicted classes of the rows so far."""
        return self._predicted[: self._rows]

    @property
    def values(self) -> NDArray[np.float64]:
        """Values of the row metrics for the rows so far, one line a metric."""
        return self._values[:, : self._rows]

    def sums(self) -> MetricSums:
        """Mergeable sums over all rows; ValueError if rows are missing."""
        n = len(self._labels)
        if self._rows != n:
            fail(self._name, f"as long as `labels` ({n} rows)", f"{self._rows} rows")
        return MetricSums(
            rows=n,
            top5=self._top5,
            confusions=Confusions(self._labels, self._predicted, self._classes),
            confidence=ConfidenceTally(self._confidence, self._predicted == self._labels),
            positive=self._positive(),
            log_loss=self._log_loss,
            brier=self._brier,
        )

    def _positive(self) -> ConfidenceTally | None:
        """Rows of two classes, and those of the second, by the probability of that."""
        if self._classes != 2:
            return None
        likely = self._predicted == 1
        return ConfidenceTally(
            np.where(likely, self._confidence, 1 - self._confidence), self._labels == 1
        )

    def result(self) -> Metrics:
        """The metrics of all rows."""
        return self.sums().result()

    def _check_finite(self, block: NDArray[Any], totals: NDArray[Any]) -> None:
        """Refuse what is not finite, which shows in the total mass of a row."""
        if np.isfinite(totals).all():
            return
        bad = ~np.isfinite(block)
        if self._kind == "logits":  # -inf is a probability of 0 beside a finite score
            bad &= (block != -np.inf) | ~np.isfinite(block.max(axis=1))[:, None]
        if bad.any():
            row, column = (int(index[0]) for index in np.nonzero(bad))
            where = f"{self._name}, row {self._first_row + self._rows + row}, column {column}"
            fail(where, "a finite number", f"{block[row, column]}")

    def _check_rows(self, good: NDArray[np.bool_], rule: str, block: NDArray[Any]) -> None:
        if not good.all():
            row = int(np.argmin(good))
            where = f"{self._name}, row {self._first_row + self._rows + row}"
            fail(where, rule, block[row])


@takes_frames("scores", labels={"labels": "scores"})
def evaluate(
    scores: Array, labels: Any, *, kind: Kind | None = None, name: str = "scores"
) -> Metrics:
    """Measure predictions against labels.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores, possibly memory-mapped; they are read in blocks, once to check and once to measure.
    labels : array_like of shape (n,)
        Classes in 0..C-1.
    kind : {"logits", "probs", "votes"}, optional
        The kind of scores; by default it is detected.
    name : str
        Name of the scores in messages.

    Returns
    -------
    Metrics
        Accuracy, top-5, macro-F1, log-loss, Brier score and calibration error.

    Raises
    ------
    TypeError
        If scores or labels are not numbers.
    ValueError
        If the scores fail `check_scores`, or the labels do not fit them.

    References
    ----------
    Brier (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
    Review 78, 1-3. Naeini, Cooper, Hauskrecht (2015). Obtaining well calibrated probabilities
    using Bayesian binning. AAAI 29 (the calibration error). Nguyen, O'Connor (2015). Posterior
    calibration and exploratory analysis for NLP models. EMNLP (bins of equal mass).

    Examples
    --------
    >>> evaluate([[0.75, 0.25], [0.25, 0.75], [1.0, 0.0]], [0, 1, 0]).brier.__round__(4)
    0.0833
    """
    array, kind = check_scores(scores, kind=kind, name=name)
    n_rows, n_classes = array.shape
    y = check_labels(labels, n_classes=n_classes, n_rows=n_rows)
    return measure(array, y, kind=kind, name=name)


def measure(
    scores: Array,
    labels: NDArray[Any],
    *,
    kind: Kind,
    name: str = "scores",
    sizes: Sizes = DEFAULT_SIZES,
) -> Metrics:
    """Measure checked scores against checked labels: `evaluate` without the first pass."""
    if len(labels) == 0:
        fail("labels", "one label or more", "0 labels")
    part = MeasureRows(scores, labels, kind, name, sizes=sizes)
    first, *others = row_cuts(scores.shape[0], scores.shape[1], sizes)
    total = part(first).sums()
    for rows in others:
        total.merge(part(rows).sums())
    return total.result()


@dataclass(frozen=True)
class MeasureRows:
    """Collects the metrics of some rows of checked scores, shape (n, C)."""

    scores: Array
    labels: Any  # array of shape (n,), or source of shape (n, 1)
    kind: Kind
    name: str
    sizes: Sizes = DEFAULT_SIZES
    row_metrics: tuple[Metric, ...] = ()
    keeps_norms: bool = False

    def __call__(self, rows: slice) -> MetricAccumulator:
        """Add all rows of a slice to a new accumulator."""
        n_classes = self.scores.shape[1]
        labels = self.labels[rows].reshape(-1)
        found = MetricAccumulator(
            labels,
            n_classes,
            kind=self.kind,
            name=self.name,
            first_row=rows.start,
            row_metrics=self.row_metrics,
            keeps_norms=self.keeps_norms,
        )
        for part in sub_blocks(rows, n_classes, self.sizes.cached):
            found.update(self.scores[part, :])
        return found


def _probabilities(block: NDArray[Any], kind: Kind) -> NDArray[np.float64]:
    """Probabilities as those that are decided, (k, C)."""
    return np.asarray(as_numpy(probabilities(block, kind)), dtype=np.float64)


def _count_outside(
    block: NDArray[Any], labels: NDArray[np.int64], true: NDArray[Any], wrong: NDArray[np.bool_]
) -> int:
    """Number of rows whose label, of score `true`, is not among the TOP_K first."""
    if block.shape[1] <= TOP_K:
        return 0
    each = np.flatnonzero(wrong)
    scores, y, true = block[each], labels[each, None], true[each, None]
    ahead = _count(scores > true)
    inside = ahead < TOP_K
    outside = len(each) - int(np.count_nonzero(inside))
    # Ties matter only if they could push the label out.
    scores, y, true, ahead = scores[inside], y[inside], true[inside], ahead[inside]
    tied = _count(scores >= true) > TOP_K
    if tied.any():
        scores, y, true, ahead = scores[tied], y[tied], true[tied], ahead[tied]
        ahead += _count((scores == true) & (np.arange(scores.shape[1]) < y))
        outside += int(np.count_nonzero(ahead >= TOP_K))
    return outside


def _count(flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number of flags set in each row."""
    narrow = np.uint8 if flags.shape[1] < 2**8 else np.int32
    return np.asarray(flags.view(np.uint8).sum(axis=1, dtype=narrow), np.int32)
