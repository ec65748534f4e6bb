"""Reports on multi-label predictions: labels do not exclude each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.influence import corrected
from postproc.evaluation.label_metrics import Measured
from postproc.evaluation.moments import Units
from postproc.evaluation.per_class import ClassMetrics, metrics_of_counts
from postproc.evaluation.registry import Metric, find_metric
from postproc.reports import plots, text
from postproc.reports.checks import check_models, check_weights
from postproc.reports.html import render_page, summary_of
from postproc.reports.numbers import MetricResult, lines_of
from postproc.reports.shown import ShownReport
from postproc.reports.tables import Cell, Table, count, metric_table, named, number, percent, points
from postproc.scores.arrays import as_numpy
from postproc.scores.checks import check_groups, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import check_label_matrix
from postproc.scores.names import check_unique
from postproc.scores.predictions import Predictions

#: What reports show if nothing else is asked for.
METRICS = (
    "micro_f1", "macro_f1", "average_precision", "hamming_loss", "accuracy", "log_loss",
)  # fmt: skip

#: What metrics of the registry are called, and mean, where labels do not exclude each other.
MEANINGS = {
    "accuracy": ("exact match", "share of rows whose labels are all right"),
    "micro_f1": ("micro-F1", "F1 of the counts of all labels together"),
    "macro_f1": ("macro-F1", "mean F1 of the labels, 0 where one is neither given nor decided"),
    "average_precision": ("mAP", "no interpolation, mean of the labels with rows of both kinds"),
    "auc": ("AUC", "area under the ROC curve, mean of the labels with rows of both kinds"),
    "log_loss": ("log-loss", "nats a label, probabilities at least 1.2e-38"),
    "brier": ("Brier", "squared distance to 0 or 1, mean of the labels"),
}


@dataclass(frozen=True)
class MultilabelModel:
    """One model of a multi-label report."""

    name: str
    results: Mapping[str, MetricResult]
    labels: ClassMetrics = field(repr=False, compare=False)  # of each label, at 1/2
    average_precision: NDArray[np.float64] = field(repr=False, compare=False)  # (m,), NaN unknown

    def to_dict(self) -> dict[str, Any]:
        """All but the metrics of each label, as JSON types; shares are fractions."""
        results = {name: result.to_dict() for name, result in self.results.items()}
        return {"name": self.name, "metrics": results}


class MultilabelReport(ShownReport[MultilabelModel]):
    """Models on the same rows and labels, the baseline first; made by `multilabel_report`.

    Attributes
    ----------
    models : tuple of MultilabelModel
        The baseline and the models compared with it.
    classes : tuple of m str
        Names of the labels; their numbers if no names are known.
    rows : int
        Number of rows n.
    asked : tuple of str
        Names of the metrics.
    groups : int or None
        Number of groups, if rows do not stand alone.
    weighted : bool
        Whether rows have weights.
    """

    ties: ClassVar[str] = "decided: labels of probability 1/2 or more"
    is_counted: ClassVar[bool] = False

    def to_dict(self, *, per_class: bool = False) -> dict[str, Any]:
        """Return the report as JSON types; `per_class` adds the metrics of each label."""
        models = [model.to_dict() for model in self.models]
        if per_class:
            for shown, model in zip(models, self.models, strict=True):
                names = ("support", "predicted", "precision", "recall", "f1")
                columns = {name: getattr(model.labels, name) for name in names}
                columns["average_precision"] = model.average_precision
                shown["per_label"] = lines_of("label", self.classes, columns)
        return {
            "rows": self.rows,
            "classes": len(self.classes),
            "task": "multilabel",
            "baseline": self.baseline.name,
            "models": models,
            "groups": self.groups,
            "signature": self.signature,
        }

    def tables(self, *, per_class: bool = False) -> list[Table]:
        """All tables; with `per_class` also the labels of every model."""
        n_labels = len(self.classes)
        title = f"{self.rows:,} rows, {n_labels:,} label{'' if n_labels == 1 else 's'}"
        found = [metric_table(self)._replace(title=title)]
        if per_class:
            found += [self._label_table(model) for model in self.compared or self.models]
        return [*found, Table("", (), (), self.signature)]

    def to_csv(self) -> str:
        """Return comma-separated values, one line per model and metric, shares as fractions."""
        lines: list[dict[str, Any]] = []
        for model in self.models:
            for name, result in model.results.items():
                found = result.to_dict()
                ends = {key: found.pop(key) or (None, None) for key in ("ci", "gain_ci")}
                line = {"name": model.name, "metric": name, **found}
                line |= {"low": ends["ci"][0], "high": ends["ci"][1]}
                line |= {"gain_low": ends["gain_ci"][0], "gain_high": ends["gain_ci"][1]}
                lines.append({**line, "verdict": result.verdict, "signature": self.signature})
        return text.csv_text(lines)

    def to_html(self, *, title: str = "Multi-label report") -> str:
        """Return one self-contained HTML page; ImportError without Jinja2."""
        return render_page(
            "multilabel.html",
            title=title,
            report=self,
            summary=summary_of(self),
            metrics=metric_table(self, wide=True),
            gain_plot=plots.gain_plot(self, key="gains") if self.compared else None,
            labels=[self._label_table(model) for model in self.compared or self.models],
        )

    def _label_table(self, model: MultilabelModel) -> Table:
        """Every label of one model, with its changes relative to the baseline."""
        found, base = model.labels, self.baseline
        columns: tuple[str, ...] = (
            "label", "support", "decided", "precision", "recall", "F1", "AP",
        )  # fmt: skip
        shares = (found.precision, found.recall, found.f1, model.average_precision)
        note = "Precision, recall, F1 and average precision in per cent."
        compared = model is not base
        if compared:
            columns += ("F1 change", "AP change")
            note += f" Changes in points relative to {base.name}."
        rows: list[tuple[Cell, ...]] = []
        for j, name in enumerate(self.classes):
            cells = [named(name), count(found.support[j]), count(found.predicted[j])]
            cells += [number(share[j], percent) for share in shares]
            if compared:
                cells.append(number(found.f1[j] - base.labels.f1[j], points))
                gained = model.average_precision[j] - base.average_precision[j]
                cells.append(number(gained, points))
            rows.append(tuple(cells))
        return Table(f"Labels: {model.name}", columns, tuple(rows), note)


@takes_frames("predictions", labels={"labels": "predictions"})
def multilabel_report(
    predictions: Mapping[str, Any],
    labels: Any,
    *,
    baseline: str | None = None,
    kinds: Kind | Mapping[str, Kind] | None = None,
    classes: Sequence[str] | None = None,
    metrics: Sequence[str | Metric] = METRICS,
    groups: Any = None,
    row_weights: Any = None,
) -> MultilabelReport:
    """Compare models whose labels do not exclude each other, on the same rows.

    Labels are decided at a probability of 1/2. Intervals and tests follow from the influence of
    each row on a metric, so that the labels of a row need not be independent. One model at a time
    is held in memory.

    Parameters
    ----------
    predictions : mapping of names to Predictions or arrays or tensors of shape (n, m)
        Scores of each model: one column a label. Columns and rows are matched by names and ids if
        the predictions carry them.
    labels : array_like of shape (n, m)
        Zeros and ones, in the order of `classes` and of the baseline's rows.
    baseline : str, optional
        The model that the others are compared with; the first by default.
    kinds : {"logits", "probs"} or mapping of names to them, optional
        Kinds of the arrays; by default each is detected from the whole array.
    classes : sequence of m str, optional
        Names of the labels; by default those that the predictions carry.
    metrics : sequence of str or Metric
        accuracy (of whole rows), macro_f1, micro_f1, hamming_loss, log_loss, brier, auc or
        average_precision.
    groups : array_like of shape (n,), optional
        What each row belongs to; only groups are independent.
    row_weights : array_like of shape (n,), optional
        What each row counts, >= 0; counts of labels stay those of rows that count once.

    Returns
    -------
    MultilabelReport
        The baseline first, then the other models in the order given.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If scores, labels, names or metrics are not valid or do not fit together.

    Examples
    --------
    >>> old, new = [[0.9, 0.4], [0.2, 0.4]], [[0.9, 0.7], [0.2, 0.4]]
    >>> report = multilabel_report({"old": old, "new": new}, [[1, 1], [0, 0]])
    >>> [round(model.results["micro_f1"].value, 3) for model in report.models]
    [0.667, 1.0]
    """
    checked = check_models(predictions, baseline, kinds, multilabel=True)
    first = checked[0]
    if first.n_rows == 0:
        fail("labels", "one label or more", "0 labels")
    known_classes = (model.classes for model in checked if model.classes is not None)
    names = next(known_classes, None) if classes is None else tuple(map(str, classes))
    ids = next((model.ids for model in checked if model.ids is not None), None)
    aligned = [model.align(classes=names, ids=ids, like=first.name) for model in checked]
    for model in aligned:
        shape = (first.n_rows, first.n_classes)
        if (model.n_rows, model.n_classes) != shape:
            got = f"shape {(model.n_rows, model.n_classes)}"
            fail(model.name, f"of shape {shape} like `{first.name}`", got)
    y = check_label_matrix(labels, aligned[0])
    wanted = [each if isinstance(each, Metric) else find_metric(each) for each in metrics]
    check_unique([metric.name for metric in wanted], "metrics")
    for at, metric in enumerate(wanted):
        metric.check_task("multilabel")
        heading, definition = MEANINGS.get(metric.name, (metric.heading, metric.definition))
        wanted[at] = replace(metric, heading=heading, definition=definition)
        if metric.several and not ((y != y[0]).any()):
            fail("labels", f"zeros and ones of a label or more for {metric.name}", "one value each")
    units = Units(
        None if row_weights is None else check_weights(row_weights, len(y)),
        None if groups is None else check_groups(groups, len(y)),
    )
    return MultilabelReport(
        models=_measured(aligned, y, wanted, units),
        classes=names or tuple(map(str, range(first.n_classes))),
        rows=len(y),
        asked=tuple(metric.name for metric in wanted),
        groups=None if units.groups is None else int(units.groups.max()) + 1,
        weighted=units.weights is not None,
    )


def _measured(
    models: Sequence[Predictions], labels: NDArray[np.int8], metrics: Sequence[Metric], units: Units
) -> tuple[MultilabelModel, ...]:
    """Measure aligned models, the baseline first."""
    found: list[dict[str, Measured]] = []
    of_labels = []
    for model in models:
        every = slice(0, model.n_rows)
        probs = as_numpy(model.probabilities(every))
        # Logits order rows even where their probabilities round to the same 0 or 1.
        ranked = as_numpy(model.scores[every, :]) if model.kind == "logits" else probs
        of = {"scores": ranked}
        found.append(
            {
                each.name: each.measure(labels, of.get(each.needs, probs), units.weights)
                for each in metrics
            }
        )
        of_labels.append((_counts(labels, probs >= 0.5), _precisions(labels, ranked)))
    results: list[dict[str, MetricResult]] = [{} for _ in models]
    how = {"weights": units.weights, "groups": units.groups}
    for metric in metrics:
        own = [each[metric.name] for each in found]
        gains = corrected([metric.gain(each, own[0], **how) for each in own[1:]])
        for number_of, gain in enumerate([None, *gains]):
            value = metric.estimate(own[number_of], **how)
            results[number_of][metric.name] = MetricResult.of(metric, value, gain)
    return tuple(
        MultilabelModel(model.name, result, *each)
        for model, result, each in zip(models, results, of_labels, strict=True)
    )


def _counts(labels: NDArray[np.int8], decided: NDArray[np.bool_]) -> ClassMetrics:
    """Metrics of every label, shape (m,), of zeros and ones (n, m)."""
    both = ((labels == 1) & decided).sum(axis=0)
    return metrics_of_counts(labels.sum(axis=0, dtype=np.int64), decided.sum(axis=0), both)


def _precisions(labels: NDArray[np.int8], probs: NDArray[Any]) -> NDArray[np.float64]:
    """Average precision of every label, shape (m,)."""
    metric = find_metric("average_precision")
    columns = range(labels.shape[1])
    return np.array([metric.measure(labels[:, [j]], probs[:, [j]]).value for j in columns])
