"""Reports that compare models on the same labelled rows and say whether a gain is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.moments import Units
from postproc.evaluation.registry import Metric, find_metric
from postproc.reports import text
from postproc.reports.checks import check_models, check_weights
from postproc.reports.html import report_page
from postproc.reports.numbers import ModelReport, ReportNumbers
from postproc.reports.results import Aligned, model_reports
from postproc.reports.shown import ShownReport
from postproc.reports.tables import Table, tables
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import check_groups, check_label_rows, fail, fail_type
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.names import COMMON, FOLDS, check_unique, matching_order
from postproc.scores.predictions import Predictions
from postproc.scores.sources import as_source


class AccuracyReport(ShownReport[ModelReport], ReportNumbers):
    """Models on the same labelled rows, the baseline first; made by `accuracy_report`.

    It holds counts and nothing for single rows.

    Attributes
    ----------
    models : tuple of ModelReport
        The baseline and the models compared with it.
    classes : tuple of C str
        Class names; the class numbers if no names are known.
    rows : int
        Number of rows n.
    asked : tuple of str
        Names of the metrics that are shown with intervals.
    groups : int or None
        Number of groups, if rows do not stand alone.
    weighted : bool
        Whether rows have weights.
    """

    def tables(self, *, per_class: bool = False) -> list[Table]:
        """Return all tables; see `to_dict` for `per_class`."""
        return tables(self, per_class=per_class)

    def to_csv(self) -> str:
        """Return comma-separated values, one line per model, shares as fractions."""
        return text.to_csv(self)

    def to_html(self, *, title: str = "Accuracy report") -> str:
        """Return one self-contained HTML page with tables and plots.

        Raises
        ------
        ImportError
            If Jinja2 is missing.
        """
        return report_page(self, title=title)


@takes_frames("predictions", labels={"labels": "predictions"})
def accuracy_report(
    predictions: Mapping[str, Any],
    labels: Any,
    *,
    baseline: str | None = None,
    kinds: Kind | Mapping[str, Kind] | None = None,
    classes: Sequence[str] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    groups: Any = None,
    row_weights: Any = None,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> AccuracyReport:
    """Compare models on the same labelled rows.

    Accuracy comes with a 95 % Wilson interval. For each model the report counts the rows that it
    fixed and broke relative to the baseline. The gain, Tango's score interval for paired
    proportions and the exact p-value of McNemar's test, with Holm's correction for the number of
    models compared, follow from these counts.

    Intervals and tests of other metrics, of rows in groups and of weighted rows follow from the
    influence of each row on the metric: p-values are those of a t-test, corrected metric by metric.

    Parameters
    ----------
    predictions : mapping of names to Predictions or arrays or tensors of shape (n, C)
        Scores of each model, possibly memory-mapped; they are read in blocks. Columns and rows
        are matched by class names and ids if the predictions carry them.
    labels : array_like of shape (n,)
        Classes in 0..C-1, in the order of `classes` and of the baseline's rows; possibly
        memory-mapped.
    baseline : str, optional
        The model that the others are compared with; the first by default.
    kinds : {"logits", "probs"} or mapping of names to them, optional
        Kinds of the arrays; by default each is detected from the whole array.
    classes : sequence of C str, optional
        Class names; by default those that the predictions carry.
    metrics : sequence of str or Metric, optional
        Metrics to show with intervals and gains: accuracy, balanced_accuracy, macro_f1, micro_f1,
        f1, mcc, kappa, quadratic_kappa, log_loss, brier, auc, average_precision, or topK. By
        default accuracy, and of two classes the AUC.
    groups : array_like of shape (n,), optional
        What each row belongs to: rows of one patient or document vary together, and only groups
        are independent.
    row_weights : array_like of shape (n,), optional
        What each row counts, >= 0. Counts of rows (fixed and broken, by class) and the calibration
        error stay those of rows that count once.
    map_blocks : callable
        Maps a function over row slices and yields its results in order, as `map` does; may show
        progress or run on other machines.

    Returns
    -------
    AccuracyReport
        The baseline first, then the other models in the order given.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If there are no predictions, a model is unknown, scores fail `check_scores`, shapes, class
        names or ids differ between the models, the labels do not fit, or a metric is unknown or
        says nothing of these labels.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988). Comparing the areas under two or more correlated receiver
    operating characteristic curves. Biometrics 44, 837-845. Efron, Tibshirani (1993). An
    Introduction to the Bootstrap, chapter 22 (influence functions).

    Examples
    --------
    >>> old = [[0.75, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.25]]
    >>> new = [[0.75, 0.25], [0.25, 0.75], [0.25, 0.75], [0.75, 0.25]]
    >>> report = accuracy_report({"old": old, "new": new}, [0, 1, 1, 0])
    >>> report["new"].comparison, report["new"].verdict
    (Comparison(rows=4, fixed=1, broken=0), 'unclear')
    """
    checked = check_models(predictions, baseline, kinds)
    first = checked[0]
    known_classes = (model.classes for model in checked if model.classes is not None)
    known_ids = (model.ids for model in checked if model.ids is not None)
    ids = next(known_ids, None)
    for model in checked:
        _check_rows(model, first, ids)
    y = check_label_rows(labels, n_classes=first.n_classes, n_rows=first.n_rows)
    if len(y) == 0:
        fail("labels", "one label or more", "0 labels")
    class_names = next(known_classes, None) if classes is None else tuple(map(str, classes))
    if class_names is not None and len(class_names) != first.n_classes:
        fail("classes", f"{first.n_classes} names, one a column", f"{len(class_names)} names")
    if class_names is not None:
        check_unique(class_names, "classes")

    if metrics is None:
        only = any(model.labels_only for model in checked)
        ranks = first.n_classes == 2 and not only and y.min() != y.max()
        metrics = ("accuracy", "auc") if ranks else ("accuracy",)
    wanted = _check_metrics(metrics, first.n_classes)
    units = Units(
        None if row_weights is None else check_weights(row_weights, len(y)),
        None if groups is None else check_groups(groups, len(y)),
    )
    models = [_align(model, first, y, class_names, ids, units) for model in checked]
    return AccuracyReport(
        models=model_reports(models, models[0].labels, wanted, units, map_blocks, sizes),
        classes=class_names or tuple(str(j) for j in range(first.n_classes)),
        rows=len(y),
        asked=tuple(metric.name for metric in wanted),
        groups=None if units.groups is None else int(units.groups.max()) + 1,
        weighted=units.weights is not None,
    )


def _check_metrics(metrics: object, n_classes: int) -> list[Metric]:
    """The metrics by their names, each once and of a task with so many classes."""
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        fail_type("metrics", "a sequence of names", repr(metrics))
    found = [each if isinstance(each, Metric) else find_metric(each) for each in metrics]
    check_unique([metric.name for metric in found], "metrics")
    for metric in found:
        metric.check_task("binary" if n_classes == 2 else "multiclass")
    return found


def _check_rows(model: Predictions, first: Predictions, ids: NDArray[np.str_] | None) -> None:
    """Check that a model is as long as the first; the error names the ids that it lacks."""
    if model.n_rows == first.n_rows:
        return
    if model.ids is not None and ids is not None:
        matching_order(model.ids, ids, f"ids of {model.name}", mend=COMMON, others=FOLDS)
    fail(model.name, f"as long as `{first.name}` ({first.n_rows} rows)", f"{model.n_rows} rows")


def _align(
    model: Predictions,
    first: Predictions,
    labels: NDArray[Any],
    classes: tuple[str, ...] | None,
    ids: NDArray[np.str_] | None,
    units: Units,
) -> Aligned:
    """One model to measure, its columns and rows matched by name."""
    if model.n_classes != first.n_classes:
        if model.classes is not None and classes is not None:  # the error names the classes
            matching_order(model.classes, classes, f"class names of {model.name}")
        rule = f"an array of {first.n_classes} classes like `{first.name}`"
        fail(model.name, rule, f"{model.n_classes} columns")
    scores, only = model.align(classes=classes).scores, model.labels_only
    rows = None
    if model.ids is not None and ids is not None:  # reading rows in their file's order is fast
        rows = matching_order(model.ids, ids, f"ids of {model.name}", mend=COMMON, others=FOLDS)
    if rows is None:
        own_labels = as_source(labels[:, None])  # a memory map is pickled by path
        return Aligned(scores, model.kind, model.name, own_labels, units, None, only)
    own_labels, own_units = np.empty(len(labels), np.int64), units.at(rows)
    own_labels[rows] = labels
    return Aligned(scores, model.kind, model.name, own_labels, own_units, rows, only)
