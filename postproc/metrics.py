"""Metrics of predictions against labels, gathered in one pass over blocks of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from postproc.arrays import Array, as_array, as_floating, as_numpy
from postproc.blocks import PASS_BYTES, Walk, row_cuts, sub_blocks
from postproc.checks import check_choice, check_count, check_labels, fail
from postproc.comparison import wilson_interval
from postproc.kinds import LEAST_PROBABILITY, Kind, check_scores
from postproc.per_class import count_classes
from postproc.reliability import ReliabilityBins, reliability_bins

#: The k of top-k accuracy.
TOP_K = 5


@dataclass(frozen=True)
class Metrics:
    """What the predictions of one model are worth.

    Attributes
    ----------
    rows, classes : int
        Number of rows n and of classes C.
    correct : int
        Rows whose label has the highest score; of equal scores the lowest class counts.
    top5 : float
        Share of rows whose label is among the five highest scores. Of equal scores the lowest
        classes come first, so exactly five classes a row count; 1 where C <= 5.
    macro_f1 : float
        Mean F1 of the classes that occur among the labels or the predictions.
    log_loss : float
        Mean negative log-probability of the label, in nats; exact zeros count as 1.2e-38.
    brier : float
        Mean squared distance of the probabilities and the one-hot label, summed over the classes:
        in [0, 2].
    reliability : ReliabilityBins
        15 bins of equal mass of the confidence.
    predicted : array of int32, shape (n,)
        Predicted classes.
    """

    rows: int
    classes: int
    correct: int
    top5: float
    macro_f1: float
    log_loss: float
    brier: float
    reliability: ReliabilityBins = field(repr=False, compare=False)
    predicted: NDArray[np.int32] = field(repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of rows that were right."""
        return self.correct / self.rows

    @property
    def accuracy_ci(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.rows)

    @property
    def ece(self) -> float:
        """Expected calibration error of the top label over 15 bins of equal mass."""
        return self.reliability.ece


class MetricAccumulator:
    """Gathers the metrics of one model from consecutive blocks of its rows.

    Per row only the predicted class (4 bytes) and its confidence (4 or 8) are kept.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Classes in 0..C-1 of all rows to come.
    n_classes : int
        Number of classes C >= 2.
    kind : {"logits", "probs"}
        What the scores are. They should have passed `check_scores`.
    name : str
        What messages call the scores.
    first_row : int
        Number of the first row to come, for messages.

    Raises
    ------
    TypeError, ValueError
        If the labels are not classes of 0..C-1, there are none, or an option is out of range.

    Examples
    --------
    >>> accumulator = MetricAccumulator([0, 1, 1], 2, kind="probs")
    >>> accumulator.update([[0.75, 0.25]])
    >>> accumulator.update([[0.25, 0.75], [1.0, 0.0]])
    >>> round(accumulator.result().accuracy, 4)
    0.6667
    """

    def __init__(
        self,
        labels: Any,
        n_classes: int,
        *,
        kind: Kind,
        name: str = "scores",
        first_row: int = 0,
    ) -> None:
        self._classes = check_count(n_classes, "n_classes", low=2)
        self._kind = cast(Kind, check_choice(kind, "kind", ("logits", "probs")))
        self._name = name
        self._first_row = first_row
        self._labels = check_labels(labels, n_classes=self._classes)
        if len(self._labels) == 0:
            fail("labels", "one label or more", "0 labels")
        self._predicted = np.empty(len(self._labels), np.int32)
        self._confidence: NDArray[Any] = np.empty(0)
        self._buffer: NDArray[Any] = np.empty((0, self._classes))
        self._rows = 0
        self._top5 = 0
        self._log_loss: list[float] = []
        self._brier: list[float] = []

    def update(self, scores: Array) -> None:
        """Take in the next rows.

        Parameters
        ----------
        scores : array or tensor of shape (b, C)
            Their scores, of the declared kind.

        Raises
        ------
        ValueError
            If the block has another number of columns or more rows than labels are left, or if a
            row is not finite.
        """
        block = np.ascontiguousarray(as_floating(as_numpy(as_array(scores, self._name))))
        left = len(self._labels) - self._rows
        if block.ndim != 2 or block.shape[1] != self._classes or len(block) > left:
            rule = f"at most {left} rows of {self._classes} classes"
            fail(self._name, rule, f"shape {block.shape}")
        if self._rows == 0:
            self._confidence = np.empty(len(self._labels), block.dtype)
        self._check_finite(block)
        end = self._rows + len(block)
        labels = self._labels[self._rows : end]
        each = np.arange(len(block))
        best = block.argmax(axis=1)
        top, true = block[each, best], block[each, labels]

        if self._kind == "logits":
            if self._buffer.dtype != block.dtype or len(self._buffer) < len(block):
                self._buffer = np.empty_like(block)  # fresh pages for each block cost much time
            mass = self._buffer[: len(block)]
            with np.errstate(over="ignore"):
                np.subtract(block, top[:, None], out=mass)
            true_mass = mass[each, labels].astype(np.float64)
            np.exp(mass, out=mass)
            totals = mass.sum(axis=1)
            self._check_rows(np.isfinite(true_mass), "logits that differ by a finite number", block)
            losses = np.log(totals.astype(np.float64)) - true_mass
            confidence = 1 / totals
            shares = np.exp(true_mass) / totals
        else:
            mass = block
            totals = block.sum(axis=1)
            self._check_rows(totals > 0, "a row of probabilities with a positive sum", block)
            confidence = top / totals
            shares = true / totals.astype(np.float64)
            losses = -np.log(np.maximum(shares, LEAST_PROBABILITY))
        squares = np.einsum("ij,ij->i", mass, mass) / totals.astype(np.float64) ** 2

        self._predicted[self._rows : end] = best
        self._confidence[self._rows : end] = confidence
        self._top5 += len(block) - _count_outside(block, labels, best != labels)
        self._log_loss.append(float(losses.sum()))
        # Σ (p - e)² = Σ p² - p_y² + (1 - p_y)²; rounding must not take it below zero.
        brier = np.maximum(squares - shares**2, 0) + (1 - shares) ** 2
        self._brier.append(float(brier.sum()))
        self._rows = end

    def merge(self, other: MetricAccumulator) -> None:
        """Take in the next rows as another accumulator has gathered them.

        Raises
        ------
        ValueError
            If there are more of them than labels are left.
        """
        end = self._rows + other._rows
        if end > len(self._labels):
            rule = f"at most {len(self._labels) - self._rows} rows"
            fail(self._name, rule, f"{other._rows} rows")
        if self._rows == 0:
            self._confidence = np.empty(len(self._labels), other._confidence.dtype)
        self._predicted[self._rows : end] = other._predicted[: other._rows]
        self._confidence[self._rows : end] = other._confidence[: other._rows]
        self._top5 += other._top5
        self._log_loss += other._log_loss
        self._brier += other._brier
        self._rows = end

    def __getstate__(self) -> dict[str, Any]:  # the buffer is only for rows to come
        return {**self.__dict__, "_buffer": np.empty((0, self._classes))}

    def result(self) -> Metrics:
        """Return the metrics of all rows.

        Raises
        ------
        ValueError
            If fewer rows came than there are labels.
        """
        n = len(self._labels)
        if self._rows != n:
            fail(self._name, f"as long as `labels` ({n} rows)", f"{self._rows} rows")
        correct = self._predicted == self._labels
        return Metrics(
            rows=n,
            classes=self._classes,
            correct=int(np.count_nonzero(correct)),
            top5=self._top5 / n,
            macro_f1=count_classes(self._predicted, self._labels, self._classes).macro_f1,
            log_loss=math.fsum(self._log_loss) / n,
            brier=math.fsum(self._brier) / n,
            reliability=reliability_bins(self._confidence, correct),
            predicted=self._predicted,
        )

    def _check_finite(self, block: NDArray[Any]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(block.sum()):  # an overflow of the sum only costs the closer look
                return
        bad = ~np.isfinite(block)
        if bad.any():
            row, column = (int(index[0]) for index in np.nonzero(bad))
            where = f"{self._name}, row {self._first_row + self._rows + row}, column {column}"
            fail(where, "a finite number", f"{block[row, column]}")

    def _check_rows(self, good: NDArray[np.bool_], rule: str, block: NDArray[Any]) -> None:
        if not good.all():
            row = int(np.argmin(good))
            where = f"{self._name}, row {self._first_row + self._rows + row}"
            fail(where, rule, block[row])


def evaluate(
    scores: Array, labels: Any, *, kind: Kind | None = None, name: str = "scores"
) -> Metrics:
    """Measure predictions against labels.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores, perhaps memory-mapped: they are read in blocks, twice (check, then measure).
    labels : array_like of shape (n,)
        Classes in 0..C-1.
    kind : {"logits", "probs"}, optional
        The declared kind; without it the kind is detected.
    name : str
        What messages call the scores.

    Returns
    -------
    Metrics
        Accuracy, top-5, macro-F1, log-loss, Brier score, calibration error and the predicted
        classes.

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
    labels: NDArray[np.int64],
    *,
    kind: Kind,
    name: str = "scores",
    columns: NDArray[Any] | None = None,
    walk: Walk = map,
) -> Metrics:
    """Measure checked scores against checked labels: `evaluate` without the first pass.

    Parameters
    ----------
    scores, labels, kind, name
        As for `evaluate`.
    columns : array of shape (C,), optional
        Position of each class among the columns.
    walk : callable
        Takes a function of row slices and the slices, and gives its results in order, as `map`.
    """
    total = MetricAccumulator(labels, scores.shape[1], kind=kind, name=name)
    part = MeasureRows(scores, labels, kind, name, columns)
    for some in walk(part, row_cuts(*scores.shape)):
        total.merge(some)
    return total.result()


@dataclass(frozen=True)
class MeasureRows:
    """Gathers the metrics of some rows; the arguments are those of `measure`."""

    scores: Array
    labels: NDArray[np.int64]
    kind: Kind
    name: str
    columns: NDArray[Any] | None = None

    def __call__(self, rows: slice) -> MetricAccumulator:
        """The metrics of the rows start..stop, to be merged."""
        n_classes = self.scores.shape[1]
        found = MetricAccumulator(
            self.labels[rows], n_classes, kind=self.kind, name=self.name, first_row=rows.start
        )
        for part in sub_blocks(rows, n_classes, PASS_BYTES):
            block = self.scores[part, :]
            found.update(block if self.columns is None else as_numpy(block)[:, self.columns])
        return found


def _count_outside(block: NDArray[Any], labels: NDArray[np.int64], wrong: NDArray[np.bool_]) -> int:
    """How many rows do not have their label among the TOP_K first by score, then by class."""
    if block.shape[1] <= TOP_K:
        return 0
    each = np.flatnonzero(wrong)
    scores, y = block[each], labels[each, None]
    true = np.take_along_axis(scores, y, axis=1)
    ahead = _count(scores > true)
    inside = ahead < TOP_K
    outside = len(each) - int(np.count_nonzero(inside))
    # Only where equal scores could push the label out do they have to be looked at.
    scores, y, true, ahead = scores[inside], y[inside], true[inside], ahead[inside]
    tied = _count(scores >= true) > TOP_K
    if tied.any():
        scores, y, true, ahead = scores[tied], y[tied], true[tied], ahead[tied]
        ahead += _count((scores == true) & (np.arange(scores.shape[1]) < y))
        outside += int(np.count_nonzero(ahead >= TOP_K))
    return outside


def _count(flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How many flags of each row are set."""
    counts: NDArray[np.int32] = flags.sum(axis=1, dtype=np.int32)
    return counts
