"""The numbers of a report: what each model is worth, and what it changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.changes import (
    ClassChanges,
    ConfusionChange,
    Confusions,
    Switches,
    confusion_changes,
)
from postproc.evaluation.curves import Curves
from postproc.evaluation.influence import Estimate
from postproc.evaluation.paired import CONFIDENCE, Comparison
from postproc.evaluation.registry import Metric
from postproc.evaluation.sums import Metrics
from postproc.scores.checks import check_count

#: Confusions that tables list.
TOP_CONFUSIONS = 10


@dataclass(frozen=True)
class MetricResult:
    """One metric of one model; what is relative to the baseline is None for the baseline itself."""

    metric: Metric
    value: float
    ci: tuple[float, float]  # 95 %
    gain: float | None = None  # positive if better
    gain_ci: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None  # corrected for the number of models compared
    detectable: float | None = None  # gain that would be found with 80 % power
    slack: float = 0.0  # by which the value may be off, where scores were counted in a grid
    is_same: bool = False  # no row is counted otherwise than by the baseline

    @classmethod
    def of(
        cls, metric: Metric, value: Estimate, gain: Estimate | None, slack: float = 0.0
    ) -> MetricResult:
        """From an estimate of the value and one of the gain, with Holm's correction."""
        if gain is None:
            return cls(metric, value.value, value.interval, slack=slack)
        return cls(
            metric,
            value.value,
            value.interval,
            gain.value,
            gain.interval,
            gain.p_value,
            math.nan if gain.p_holm is None else gain.p_holm,
            gain.detectable,
            slack,
        )

    @property
    def verdict(self) -> str:
        """Whether the gain is real: its corrected p-value lies below 0.05."""
        if self.gain is None or self.p_holm is None:
            return "baseline"
        if self.is_same or (self.gain == 0 and self.gain_ci == (0.0, 0.0)):
            return "no change"
        if math.isnan(self.p_holm) or self.p_holm >= 1 - CONFIDENCE:
            return "unclear"
        return "real gain" if self.gain > 0 else "real loss"

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; what is not defined is None."""
        return {
            "value": known(self.value),
            "ci": _limits(self.ci),
            "gain": known(self.gain),
            "gain_ci": _limits(self.gain_ci),
            "p_value": known(self.p_value),
            "p_holm": known(self.p_holm),
            "detectable": known(self.detectable),
            "slack": self.slack,
        }


class PositiveShare(NamedTuple):
    """What share of the second of two classes a model predicts, and what share there is."""

    predicted: Estimate
    observed: Estimate
    difference: Estimate  # predicted less observed

    @property
    def verdict(self) -> str:
        """Whether the mean prediction differs from the share, by a t-test at 0.05."""
        p_value = self.difference.p_value
        if math.isnan(p_value) or p_value >= 1 - CONFIDENCE:
            return "no difference found"
        return "too high" if self.difference.value > 0 else "too low"

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; what is not defined is None."""
        return {
            "predicted": self.predicted.value,
            "observed": self.observed.value,
            "observed_ci": _limits(self.observed.interval),
            "difference": self.difference.value,
            "difference_ci": _limits(self.difference.interval),
            "p_value": known(self.difference.p_value),
        }


@dataclass(frozen=True)
class ModelReport:
    """One model of a report; what is relative to the baseline is None for the baseline itself."""

    name: str
    metrics: Metrics  # of rows that count once each
    comparison: Comparison | None  # rows fixed and broken relative to the baseline
    results: Mapping[str, MetricResult]  # by name: accuracy, and the metrics asked for
    confusions: Confusions = field(repr=False, compare=False)
    switches: Switches | None = field(repr=False, compare=False)
    curves: Curves | None = field(default=None, repr=False, compare=False)  # of two classes
    positive: PositiveShare | None = None  # of two classes
    labels_only: bool = False  # what needs probabilities is unknown, NaN

    @property
    def accuracy(self) -> MetricResult:
        """Accuracy, its gain over the baseline and the test of the gain."""
        return self.results["accuracy"]

    @property
    def p_holm(self) -> float | None:
        """The p-value of the gain in accuracy, corrected for the number of models compared."""
        return self.accuracy.p_holm

    @property
    def verdict(self) -> str:
        """Whether the gain in accuracy is real: its corrected p-value lies below 0.05."""
        return self.accuracy.verdict

    def value(self, name: str) -> float:
        """A metric by its name in `to_dict`, of weighted rows where weights are given."""
        if name in self.results:
            return self.results[name].value
        return float(getattr(self.metrics, name))

    def to_dict(self) -> dict[str, Any]:
        """All but the counts by class, as JSON types; shares are fractions."""
        comparison, accuracy = self.comparison, self.accuracy
        return {
            "name": self.name,
            "accuracy": accuracy.value,
            "accuracy_ci": _limits(accuracy.ci),
            "top5": known(self.value("top5")),
            "macro_f1": self.value("macro_f1"),
            "log_loss": known(self.value("log_loss")),
            "brier": known(self.value("brier")),
            "ece": known(self.metrics.ece),
            "gain": accuracy.gain,
            "gain_ci": _limits(accuracy.gain_ci),
            "fixed": comparison and comparison.fixed,
            "broken": comparison and comparison.broken,
            "p_value": known(accuracy.p_value),
            "p_holm": known(accuracy.p_holm),
            "risk_coverage_area": known(self.metrics.risk.area),
            "positive": None
            if self.positive is None or self.metrics.positive is None
            else {**self.positive.to_dict(), "ece": self.metrics.positive.ece},
            "metrics": {name: result.to_dict() for name, result in self.results.items()},
        }


class Judged(Protocol):
    """One model of any report."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def results(self) -> Mapping[str, MetricResult]:
        """Its metrics by name."""


M = TypeVar("M", bound=Judged)


@dataclass(frozen=True)
class Compared(Generic[M]):
    """Models on the same rows, the baseline first, and the metrics that they are judged by."""

    models: tuple[M, ...]
    classes: tuple[str, ...]
    rows: int
    asked: tuple[str, ...] = ("accuracy",)  # names of the metrics that tables show with intervals
    groups: int | None = None  # number of groups of rows, if rows do not stand alone
    weighted: bool = False

    #: How labels are decided where scores are equal, and whether accuracy has tables of its own.
    ties: ClassVar[str] = "ties: lowest class"
    is_counted: ClassVar[bool] = True

    @property
    def baseline(self) -> M:
        """The model the others are compared with."""
        return self.models[0]

    @property
    def compared(self) -> tuple[M, ...]:
        """The models compared with the baseline."""
        return self.models[1:]

    @property
    def first(self) -> Metric:
        """The metric that was asked for first: summaries and plots of gains are of it."""
        return self.baseline.results[self.asked[0]].metric

    @property
    def signature(self) -> str:
        """What another needs to get the same numbers: definitions, baseline, ties, rows."""
        results = self.baseline.results
        defined = "; ".join(f"{name}: {results[name].metric.definition}" for name in self.asked)
        return " | ".join(
            [
                f"postproc {version('postproc')}",
                defined,
                f"baseline {self.baseline.name}",
                self.ties,
                "seed: none needed",
                f"n = {self.rows}",
                "groups: none" if self.groups is None else f"groups: {self.groups}",
                f"row weights: {'yes' if self.weighted else 'none'}",
            ]
        )

    def __getitem__(self, name: str) -> M:
        """Return the model with this name."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


@dataclass(frozen=True)
class ReportNumbers(Compared[ModelReport]):
    """What `AccuracyReport` holds, apart from how it is shown."""

    def class_changes(self, name: str) -> ClassChanges:
        """Return the metrics of every class for one model, and the rows it fixed and broke.

        Raises
        ------
        KeyError
            If no model has this name.
        """
        model = self[name]
        nothing = np.zeros(len(self.classes), np.int64)
        fixed, broken = (
            (nothing, nothing) if model.switches is None else model.switches.of_classes()
        )
        return ClassChanges(
            metrics=model.confusions.class_metrics(),
            before=self.baseline.confusions.class_metrics(),
            fixed=fixed,
            broken=broken,
        )

    def confusions(self, name: str, *, top: int = TOP_CONFUSIONS) -> list[ConfusionChange]:
        """Return the pairs of classes whose confusion changed most relative to the baseline.

        For the baseline itself, return its most frequent confusions.

        Raises
        ------
        KeyError
            If no model has this name.
        TypeError, ValueError
            If `top` is not an integer >= 1.
        """
        top = check_count(top, "top", low=1)
        model = self[name]
        base = None if model.comparison is None else self.baseline.confusions
        return confusion_changes(base, model.confusions, top)

    def to_dict(self, *, per_class: bool = False) -> dict[str, Any]:
        """Return the report as JSON types; shares are fractions.

        Parameters
        ----------
        per_class : bool
            Add to every model `per_class` (class, support, precision, recall, f1, fixed, broken)
            and `confusions` (label, predicted, before, after).
        """
        models = [model.to_dict() for model in self.models]
        if per_class:
            for model in models:
                model["per_class"] = self._class_dicts(model["name"])
                model["confusions"] = [
                    {
                        **change._asdict(),
                        "label": self.classes[change.label],
                        "predicted": self.classes[change.predicted],
                    }
                    for change in self.confusions(model["name"])
                ]
        return {
            "rows": self.rows,
            "classes": len(self.classes),
            "baseline": self.baseline.name,
            "models": models,
            "groups": self.groups,
            "signature": self.signature,
        }

    def _class_dicts(self, name: str) -> list[dict[str, Any]]:
        changes = self.class_changes(name)
        names = ("support", "precision", "recall", "f1")
        columns = {each: getattr(changes.metrics, each) for each in names}
        if self[name].comparison is not None:
            columns |= {"fixed": changes.fixed, "broken": changes.broken}
        return lines_of("class", self.classes, columns)


def known(value: float | None) -> float | None:
    """A number, None if it is NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(value)


def _limits(limits: tuple[float, float] | None) -> list[float | None] | None:
    """Both limits of an interval, None if they are not defined."""
    if limits is None or math.isnan(limits[0]):
        return None
    return [known(limit) for limit in limits]


def lines_of(
    kind: str, names: Sequence[str], columns: Mapping[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    """Columns of classes or labels line by line, as JSON types."""
    values = [c.tolist() if c.dtype.kind == "i" else map(known, c) for c in columns.values()]
    lines = zip(names, *values, strict=True)
    return [dict(zip((kind, *columns), line, strict=True)) for line in lines]
