"""Metrics, and the sums that they are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from postproc.evaluation.changes import Confusions
from postproc.evaluation.paired import wilson_interval
from postproc.evaluation.reliability import ConfidenceTally, ReliabilityBins


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
    """

    rows: int
    classes: int
    correct: int
    top5: float
    macro_f1: float
    log_loss: float
    brier: float
    reliability: ReliabilityBins = field(repr=False, compare=False)

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


@dataclass
class MetricSums:
    """All that the metrics of one model take, of some rows or of all.

    What is held does not grow with the number of rows, but with the number of pairs of a label
    and a predicted class that occur, and of different confidences up to a bound.

    Attributes
    ----------
    rows, top5 : int
        Number of rows, and of those whose label is among the five highest scores.
    confusions : Confusions
        Rows by label and predicted class.
    confidence : ConfidenceTally
        Rows by the confidence of the predicted class.
    log_loss, brier : list of float
        Sums over parts of the rows.
    """

    rows: int
    top5: int
    confusions: Confusions
    confidence: ConfidenceTally
    log_loss: list[float]
    brier: list[float]

    def merge(self, other: MetricSums) -> None:
        """Take in the sums of further rows."""
        self.rows += other.rows
        self.top5 += other.top5
        self.confusions.merge(other.confusions)
        self.confidence.merge(other.confidence)
        self.log_loss = _condensed(self.log_loss + other.log_loss)
        self.brier = _condensed(self.brier + other.brier)

    def result(self) -> Metrics:
        """The metrics of these rows."""
        classes = self.confusions.class_metrics()
        return Metrics(
            rows=self.rows,
            classes=self.confusions.n_classes,
            correct=int(classes.correct.sum()),
            top5=self.top5 / self.rows,
            macro_f1=classes.macro_f1,
            log_loss=math.fsum(self.log_loss) / self.rows,
            brier=math.fsum(self.brier) / self.rows,
            reliability=self.confidence.bins(),
        )


def _condensed(sums: list[float]) -> list[float]:
    """Few numbers with exactly the same sum, whatever the order of the blocks."""
    few: list[float] = []
    while rest := math.fsum([*sums, *(-number for number in few)]):
        few.append(rest)
        if not math.isfinite(rest):
            break
    return few
