"""The numbers of a report: what each model is worth, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.changes import (
    ClassChanges,
    ConfusionChange,
    Confusions,
    Switches,
    confusion_changes,
)
from postproc.evaluation.paired import CONFIDENCE, Comparison
from postproc.evaluation.sums import Metrics
from postproc.scores.checks import check_count

#: Confusions that tables list.
TOP_CONFUSIONS = 10


@dataclass(frozen=True)
class ModelReport:
    """One model of a report; what is relative to the baseline is None for the baseline itself."""

    name: str
    metrics: Metrics
    comparison: Comparison | None  # rows fixed and broken relative to the baseline
    p_holm: float | None  # McNemar's test, corrected for the number of models compared
    confusions: Confusions = field(repr=False, compare=False)
    switches: Switches | None = field(repr=False, compare=False)
    labels_only: bool = False  # what needs probabilities is unknown, NaN

    @property
    def verdict(self) -> str:
        """Whether the gain is real: its corrected p-value lies below 0.05."""
        if self.comparison is None or self.p_holm is None:
            return "baseline"
        if self.comparison.fixed == self.comparison.broken == 0:
            return "no change"
        if self.p_holm >= 1 - CONFIDENCE:
            return "unclear"
        return "real gain" if self.comparison.gain > 0 else "real loss"

    def to_dict(self) -> dict[str, Any]:
        """All but the counts by class, as JSON types; shares are fractions."""
        metrics, comparison = self.metrics, self.comparison
        return {
            "name": self.name,
            "accuracy": metrics.accuracy,
            "accuracy_ci": list(metrics.accuracy_ci),
            "top5": None if self.labels_only else metrics.top5,
            "macro_f1": metrics.macro_f1,
            "log_loss": None if self.labels_only else metrics.log_loss,
            "brier": None if self.labels_only else metrics.brier,
            "ece": None if self.labels_only else metrics.ece,
            "gain": comparison and comparison.gain,
            "gain_ci": comparison and list(comparison.gain_ci),
            "fixed": comparison and comparison.fixed,
            "broken": comparison and comparison.broken,
            "p_value": comparison and comparison.p_value,
            "p_holm": self.p_holm,
        }


@dataclass(frozen=True)
class ReportNumbers:
    """What `AccuracyReport` holds, apart from how it is shown."""

    models: tuple[ModelReport, ...]
    classes: tuple[str, ...]
    rows: int

    @property
    def baseline(self) -> ModelReport:
        """The model the others are compared with."""
        return self.models[0]

    @property
    def compared(self) -> tuple[ModelReport, ...]:
        """The models compared with the baseline."""
        return self.models[1:]

    def __getitem__(self, name: str) -> ModelReport:
        """Return the model with this name."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

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
        }

    def _class_dicts(self, name: str) -> list[dict[str, Any]]:
        changes = self.class_changes(name)
        columns: dict[str, list[Any]] = {
            "class": list(self.classes),
            "support": changes.metrics.support.tolist(),
            "precision": _nullable(changes.metrics.precision),
            "recall": _nullable(changes.metrics.recall),
            "f1": _nullable(changes.metrics.f1),
        }
        if self[name].comparison is not None:
            columns["fixed"] = changes.fixed.tolist()
            columns["broken"] = changes.broken.tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
