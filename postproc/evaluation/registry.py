"""The metrics by name: what each needs, which way is better, its value and influences."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation import label_metrics, multilabel_metrics, ranking, row_losses
from postproc.evaluation.influence import Estimate, spread_of
from postproc.evaluation.label_metrics import Measured
from postproc.scores.checks import fail, meant

Needs = Literal["labels", "probabilities", "scores", "confidence"]
TaskName = Literal["multiclass", "binary", "multilabel"]

#: The names of `METRICS` and the patterns beyond them, for help and messages.
MORE_NAMES = ("topK", "cost:FILE")


@dataclass(frozen=True)
class Metric:
    """One metric of predictions; made by `find_metric` or `cost_metric`.

    `function` depends on what the metric needs: decided labels (see `label_metrics`), row values
    of probabilities whose mean is the metric (`row_losses`), the ranking of scores, or that of the
    confidence in decided classes (`ranking`).
    """

    name: str  # as --metric takes it and JSON shows it
    heading: str  # in tables
    definition: str  # what another needs to get the same number
    needs: Needs
    function: Callable[..., Any] = field(repr=False, compare=False)
    higher: bool = True  # whether higher is better
    bounds: tuple[float, float] = (0.0, 1.0)  # of the values that are possible
    several: bool = False  # whether it says nothing where all labels are of one class
    tasks: frozenset[str] = frozenset(("multiclass", "binary"))
    of_matrix: Callable[..., Measured] | None = field(default=None, repr=False, compare=False)
    #: The function for predicted labels, of a metric that decides probabilities itself.
    of_labels: Callable[..., Any] | None = field(default=None, repr=False, compare=False)

    @property
    def is_share(self) -> bool:
        """Whether it is shown in per cent, its gains in points."""
        return self.bounds == (0.0, 1.0)

    def measure(
        self, labels: NDArray[Any], probs: NDArray[Any], weights: NDArray[Any] | None = None
    ) -> Measured:
        """Value and influences (n,) of probabilities (n, C).

        Labels are classes (n,), or zeros and ones (n, m) of a multi-label task, whose labels are
        decided at 1/2; `weights` (n,) are >= 0.
        """
        if self.needs == "labels":
            decided = probs >= 0.5 if labels.ndim == 2 else probs.argmax(axis=1)
            return self.measure_decided(labels, decided, probs.shape[1], weights)
        shares = _shares(weights, len(labels))
        if self.needs == "scores":
            return ranking.mean_of_columns(self.function, labels, probs, shares)
        if self.needs == "confidence":
            return ranking.of_confidence(self.function, labels, probs, shares)
        rows = self.function(labels, probs)
        value = float(shares @ rows)
        return Measured(value, rows - value)

    def measure_decided(
        self,
        labels: NDArray[Any],
        decided: NDArray[Any],
        n_classes: int,
        weights: NDArray[Any] | None = None,
    ) -> Measured:
        """Value and influences (n,) of decided classes (n,), or of zeros and ones (n, m)."""
        if self.needs != "labels":
            fail("metric", "one of decided labels", f"{self.name}, which needs {self.needs}")
        shares = _shares(weights, len(labels))
        if labels.ndim == 2:
            self.check_task("multilabel")
            assert self.of_matrix is not None  # as tasks say
            return self.of_matrix(labels, decided, shares)
        found: Measured = self.function(labels, decided, shares, n_classes)
        return found

    def estimate(
        self,
        found: Measured,
        *,
        weights: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Estimate:
        """The value with its standard error, for weights (n,) and groups 0..G-1 (n,)."""
        spread = spread_of(found.value, found.influence, weights=weights, groups=groups)
        return spread.estimate(self.bounds)

    def gain(
        self,
        new: Measured,
        base: Measured,
        *,
        weights: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Estimate:
        """What a model gains over another on the same rows; positive is better."""
        sign = 1 if self.higher else -1
        moved = sign * (new.influence - base.influence)
        value = sign * (new.value - base.value)
        return spread_of(value, moved, weights=weights, groups=groups).estimate()

    def goodness(self, value: float) -> float:
        """A value with its sign turned where less is better; what is not defined is worst."""
        return -math.inf if math.isnan(value) else value if self.higher else -value

    def check_task(self, task: TaskName) -> None:
        """ValueError if the metric does not exist for a task."""
        if task not in self.tasks:
            known = METRICS | OF_ONE_TASK
            able = ", ".join(name for name, each in known.items() if task in each.tasks)
            fail("metric", f"one of {able} for {task} predictions", self.name)


def find_metric(name: str) -> Metric:
    """The metric of a name: one of `METRICS`, or topK; ValueError for any other."""
    for known in (METRICS, OF_ONE_TASK):
        if name in known:
            return known[name]
    match = re.fullmatch(r"top([1-9][0-9]{0,5})", str(name))
    if match is None:
        names = [*METRICS, "f1", *MORE_NAMES]
        fail("metric", f"one of {', '.join(names)}", repr(name), meant(name, names))
    k = int(match[1])
    return Metric(
        name=name,
        heading=f"top-{k}",
        definition=f"label among the first {k} by score, then by class",
        needs="probabilities",
        function=partial(row_losses.top_k_hits, k=k),
        tasks=frozenset(("multiclass",)),
    )


def label_metric(name: str, task: TaskName) -> Metric:
    """The metric of a name, which must be one of what a task decides; ValueError for others."""
    metric = find_metric(name)
    if metric.needs != "labels":
        known = (METRICS | OF_ONE_TASK).values()
        able = ", ".join(
            each.name for each in known if each.needs == "labels" and task in each.tasks
        )
        what = "labels" if task == "multilabel" else "classes"
        fail("metric", f"one of predicted {what} ({able})", name)
    metric.check_task(task)
    return metric


def cost_metric(costs: Any, *, name: str = "cost") -> Metric:
    """The mean cost of decisions by a table (C, C), or (C, C + 1) where the last is to abstain.

    Rows are true classes, columns decisions. Probabilities are decided at least expected cost.
    """
    table = np.asarray(costs, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or table.shape[1] - len(table) not in (0, 1):
        rule = "a table of a row and a column for each class, or one column more for abstaining"
        fail(name, rule, f"shape {table.shape}")
    if not np.isfinite(table).all():
        fail(name, "finite costs", repr(float(table[~np.isfinite(table)][0])))
    return Metric(
        name=name,
        heading="cost",
        definition="mean cost of the decisions of least expected cost, or of predicted labels",
        needs="probabilities",
        function=partial(row_losses.costs_of_decisions, costs=table),
        of_labels=partial(row_losses.costs_of_labels, costs=table),
        higher=False,
        bounds=(-np.inf, np.inf),
    )


def _shares(weights: NDArray[Any] | None, n_rows: int) -> NDArray[np.float64]:
    """Weights that sum to 1."""
    if weights is None:
        return np.full(n_rows, 1 / n_rows)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _metrics(metrics: Sequence[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_ALL = frozenset(("multiclass", "binary", "multilabel"))
_AGREEMENT = (-1.0, 1.0)

#: All metrics but those with a parameter, in the order of the help.
METRICS: dict[str, Metric] = _metrics(
    [
        Metric(
            "accuracy", "accuracy", "share of rows that are right", "labels",
            label_metrics.accuracy, tasks=_ALL, of_matrix=multilabel_metrics.subset_accuracy,
        ),
        Metric(
            "balanced_accuracy", "balanced accuracy", "mean recall of the classes among the labels",
            "labels", label_metrics.balanced_accuracy, several=True,
        ),
        Metric(
            "macro_f1", "macro-F1", "mean F1 of the classes among labels or predictions", "labels",
            label_metrics.macro_f1, several=True, tasks=_ALL, of_matrix=multilabel_metrics.macro_f1,
        ),
        Metric(
            "micro_f1", "micro-F1", "F1 of all classes' counts together", "labels",
            label_metrics.accuracy, tasks=_ALL, of_matrix=multilabel_metrics.micro_f1,
        ),
        Metric(
            "mcc", "MCC", "Matthews correlation coefficient of all classes", "labels",
            label_metrics.mcc, bounds=_AGREEMENT, several=True,
        ),
        Metric(
            "kappa", "kappa", "Cohen's kappa", "labels", label_metrics.kappa, bounds=_AGREEMENT,
            several=True,
        ),
        Metric(
            "quadratic_kappa", "quad. kappa",
            "Cohen's kappa with squared distances of the classes in their order", "labels",
            label_metrics.quadratic_kappa, bounds=_AGREEMENT, several=True,
        ),
        Metric(
            "log_loss", "log-loss", "nats, probabilities at least 1.2e-38", "probabilities",
            row_losses.log_losses, higher=False, bounds=(0.0, np.inf), tasks=_ALL,
        ),
        Metric(
            "brier", "Brier", "squared distance to the one-hot label, summed over classes",
            "probabilities", row_losses.briers, higher=False, bounds=(0.0, np.inf), tasks=_ALL,
        ),
        Metric(
            "auc", "AUC",
            "area under the ROC curve, tied scores count half, mean of each class against the rest "
            "(of two: the second)",
            "scores", ranking.auc, several=True, tasks=_ALL,
        ),
        Metric(
            "average_precision", "AP",
            "no interpolation, tied scores at once, mean of each class against the rest (of two: "
            "the second)", "scores",
            ranking.average_precision, several=True, tasks=_ALL,
        ),
        Metric(
            "aurc", "AURC", "risk-coverage area: mean over the rows of the share of wrong rows "
            "among those as confident or more", "confidence", ranking.risk_coverage_area,
            higher=False,
        ),
    ]
)  # fmt: skip

#: Means over the rows of two classes that together say whether the share of the second is met.
CALIBRATION_IN_THE_LARGE = tuple(
    Metric(
        name, f"{name} share", f"{name} share of the second of two classes", "probabilities",
        function, bounds=bounds, tasks=frozenset(("binary",)),
    )
    for name, function, bounds in (
        ("predicted", row_losses.predicted_shares, (0.0, 1.0)),
        ("observed", row_losses.observed_shares, (0.0, 1.0)),
        ("difference", row_losses.share_differences, (-np.inf, np.inf)),
    )
)  # fmt: skip

#: Metrics of one task alone: of two classes, and of labels that do not exclude each other.
OF_ONE_TASK: dict[str, Metric] = _metrics(
    [
        Metric(
            "f1", "F1", "F1 of the second of two classes, the positive one", "labels",
            label_metrics.f1, tasks=frozenset(("binary",)),
        ),
        Metric(
            "hamming_loss", "Hamming", "share of labels that are wrong", "labels",
            label_metrics.accuracy, higher=False, tasks=frozenset(("multilabel",)),
            of_matrix=multilabel_metrics.hamming_loss,
        ),
    ]
)  # fmt: skip
