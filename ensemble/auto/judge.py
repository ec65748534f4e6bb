"""What the steps of `auto` are judged by: a metric, and paired gains in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.rehearsal import PairedGain, paired_gain
from postproc.calibration.affine import Floats, Ints
from postproc.evaluation.label_metrics import Measured
from postproc.evaluation.registry import Metric, find_metric

#: What a metric sees of predictions: decided classes (n,), or probabilities (n, C).
Outputs = NDArray[Any]


@dataclass(frozen=True)
class Judge:
    """Measures outputs by a metric."""

    metric: Metric
    n_classes: int
    classes: Ints | None = None  # where classes stand in another order: their numbers, (C,)

    @classmethod
    def of(cls, name: str, n_classes: int) -> Judge:
        """By the metric of a name, which must exist for that many classes."""
        metric = find_metric(name)
        metric.check_task("binary" if n_classes == 2 else "multiclass")
        return cls(metric, n_classes)

    @property
    def reads_probabilities(self) -> bool:
        """Whether more than the predicted class counts."""
        return self.metric.needs != "labels"

    def outputs(self, scores: Floats) -> Outputs:
        """What the metric sees of probabilities, or of other scores if classes suffice, (n, C)."""
        return scores if self.reads_probabilities else scores.argmax(axis=1)

    def log_outputs(self, logs: Floats) -> Outputs:
        """The same of log-probabilities."""
        return np.exp(logs) if self.reads_probabilities else logs.argmax(axis=1)

    def measure(self, outputs: Outputs, y: Ints, weights: Floats | None = None) -> Measured:
        """Value and influences (n,)."""
        if self.classes is not None:
            y = self.classes[y]
            outputs = (
                outputs[:, np.argsort(self.classes)]
                if self.reads_probabilities
                else self.classes[outputs]
            )
        if self.reads_probabilities:
            return self.metric.measure(y, outputs, weights)
        return self.metric.measure_decided(y, outputs, self.n_classes, weights)

    def score(self, outputs: Outputs, y: Ints) -> float:
        """The value, higher if better."""
        return self.metric.goodness(self.measure(outputs, y).value)

    def gain(
        self, new: Outputs, old: Outputs, y: Ints, weights: Floats | None = None
    ) -> PairedGain:
        """Gain of `new` over `old` on the same, perhaps weighted rows; positive is better."""
        if self.metric.name == "accuracy":
            return paired_gain(new, old, y, weights)
        found, base = self.measure(new, y, weights), self.measure(old, y, weights)
        estimate = self.metric.gain(found, base, weights=weights)
        low, high = estimate.interval
        if math.isnan(high - low):  # not defined: nothing can be said for it
            return PairedGain(0.0, 0.0)
        # Few rows of rare classes can make most of the error, so the quantile is Student's.
        return PairedGain(estimate.value, (high - low) / 2 / 1.96, self.widest)

    @property
    def widest(self) -> float:
        """The largest gain that is possible."""
        return float(self.metric.bounds[1] - self.metric.bounds[0])

    def differences(
        self, new: Outputs, old: Outputs, y: Ints, weights: Floats | None = None
    ) -> Floats:
        """What each row adds to the gain, less the gain, (n,)."""
        found, base = self.measure(new, y, weights), self.measure(old, y, weights)
        sign = 1.0 if self.metric.higher else -1.0
        return np.asarray(sign * (found.influence - base.influence))

    def against(self, new: Outputs, old: Outputs, y: Ints) -> tuple[float, float]:
        """Gain, and the variance of one row: for accuracy the share of rows fixed or broken."""
        if self.metric.name == "accuracy":
            now_right, right = new == y, old == y
            return float(np.mean(now_right) - np.mean(right)), float(np.mean(now_right != right))
        found = self.gain(new, old, y)
        return found.gain, found.std_error**2 * len(y)
