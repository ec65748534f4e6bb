"""Metrics, and the sums from which they are computed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from postproc.evaluation.changes import Confusions
from postproc.evaluation.curves import RiskCoverage, risk_coverage
from postproc.evaluation.paired import wilson_interval
from postproc.evaluation.reliability import ConfidenceTally, ReliabilityBins, bins_of_levels


@dataclass(frozen=True)
class Metrics:
    """Metrics of the predictions of one model."""

    rows: int
    classes: int
    correct: int  # rows whose label has the highest score; the lowest class wins ties
    top5: float  # share of rows whose label is among the first five by score, then by class
    macro_f1: float  # mean F1 of the classes that occur among labels or predictions
    log_loss: float  # mean negative log-probability of the label in nats; zeros count as 1.2e-38
    brier: float  # mean squared distance to the one-hot label, summed over classes: in [0, 2]
    reliability: ReliabilityBins = field(repr=False, compare=False)
    positive: ReliabilityBins | None = field(repr=False, compare=False)  # of the second of two
    risk: RiskCoverage = field(repr=False, compare=False)  # of abstaining from doubtful rows

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
    """All that the metrics of one model need; its size does not grow with the number of rows."""

    rows: int
    top5: int
    confusions: Confusions
    confidence: ConfidenceTally
    positive: ConfidenceTally | None  # of two classes, by the probability of the second
    log_loss: list[float]  # sums over parts of the rows
    brier: list[float]

    def merge(self, other: MetricSums) -> None:
        """Add further rows."""
        self.rows += other.rows
        self.top5 += other.top5
        self.confusions.merge(other.confusions)
        self.confidence.merge(other.confidence)
        if self.positive is not None and other.positive is not None:
            self.positive.merge(other.positive)
        self.log_loss = _condensed(self.log_loss + other.log_loss)
        self.brier = _condensed(self.brier + other.brier)

    def result(self) -> Metrics:
        """The metrics of these rows."""
        classes, levels = self.confusions.class_metrics(), self.confidence.levels()
        return Metrics(
            rows=self.rows,
            classes=self.confusions.n_classes,
            correct=int(classes.correct.sum()),
            top5=self.top5 / self.rows,
            macro_f1=classes.macro_f1,
            log_loss=math.fsum(self.log_loss) / self.rows,
            brier=math.fsum(self.brier) / self.rows,
            reliability=bins_of_levels(*levels),
            positive=None if self.positive is None else self.positive.bins(),
            risk=risk_coverage(*levels[1:]),
        )


def _condensed(sums: list[float]) -> list[float]:
    """Few numbers with exactly the same sum, whatever the order of the blocks."""
    few: list[float] = []
    while rest := math.fsum([*sums, *(-number for number in few)]):
        few.append(rest)
        if not math.isfinite(rest):
            break
    return few
