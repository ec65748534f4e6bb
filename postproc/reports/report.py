"""Reports that compare models on the same labelled rows and say whether a gain is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.metrics import MeasureRows
from postproc.evaluation.paired import Comparison, holm
from postproc.evaluation.reliability import ReliabilityBins
from postproc.reports import text
from postproc.reports.html import report_page
from postproc.reports.measure import Entry, Found, pass_over
from postproc.reports.numbers import ModelReport, ReportNumbers
from postproc.reports.tables import tables
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import check_label_rows, fail, fail_type
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.names import FOLDS, check_unique, matching_order
from postproc.scores.predictions import Predictions
from postproc.scores.sources import as_source


class AccuracyReport(ReportNumbers):
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
    """

    def to_text(self, *, per_class: bool = False, width: int = 100) -> str:
        """Return tables for a terminal of `width` columns; see `to_dict` for `per_class`."""
        return text.to_text(tables(self, per_class=per_class), width=width)

    def to_markdown(self, *, per_class: bool = False) -> str:
        """Return Markdown tables; see `to_dict` for `per_class`."""
        return text.to_markdown(tables(self, per_class=per_class))

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

    def __rich__(self) -> Any:
        """Tables for a rich console."""
        return text.renderable(tables(self))


@takes_frames("predictions", labels={"labels": "predictions"})
def accuracy_report(
    predictions: Mapping[str, Any],
    labels: Any,
    *,
    baseline: str | None = None,
    kinds: Kind | Mapping[str, Kind] | None = None,
    classes: Sequence[str] | None = None,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> AccuracyReport:
    """Compare models on the same labelled rows.

    Accuracy comes with a 95 % Wilson interval. For each model the report counts the rows that it
    fixed and broke relative to the baseline. The gain, Tango's score interval for paired
    proportions and the exact p-value of McNemar's test, with Holm's correction for the number of
    models compared, follow from these counts.

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
        names or ids differ between the models, or the labels do not fit.

    Examples
    --------
    >>> old = [[0.75, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.25]]
    >>> new = [[0.75, 0.25], [0.25, 0.75], [0.25, 0.75], [0.75, 0.25]]
    >>> report = accuracy_report({"old": old, "new": new}, [0, 1, 1, 0])
    >>> report["new"].comparison, report["new"].verdict
    (Comparison(rows=4, fixed=1, broken=0), 'unclear')
    """
    names = _check_names(predictions, baseline)
    checked = [_check_model(name, predictions[name], kinds, names) for name in names]
    first = checked[0]
    y = check_label_rows(labels, n_classes=first.n_classes, n_rows=first.n_rows)
    if len(y) == 0:
        fail("labels", "one label or more", "0 labels")
    known_classes = (model.classes for model in checked if model.classes is not None)
    known_ids = (model.ids for model in checked if model.ids is not None)
    ids = next(known_ids, None)
    class_names = next(known_classes, None) if classes is None else tuple(map(str, classes))
    if class_names is not None and len(class_names) != first.n_classes:
        fail("classes", f"{first.n_classes} names, one a column", f"{len(class_names)} names")
    if class_names is not None:
        check_unique(class_names, "classes")

    entries = [_entry(model, first, y, class_names, ids, sizes) for model in checked]
    found = pass_over(entries, entries[0].part.labels, map_blocks, sizes)
    compared = [each.switches.compare(len(y)) for each in found if each.switches is not None]
    corrected = holm([comparison.p_value for comparison in compared])
    models = zip(checked, found, [None, *compared], [None, *corrected], strict=True)
    return AccuracyReport(
        models=tuple(_model_report(*model) for model in models),
        classes=class_names or tuple(str(j) for j in range(first.n_classes)),
        rows=len(y),
    )


def _model_report(
    model: Predictions, found: Found, comparison: Comparison | None, p_holm: float | None
) -> ModelReport:
    assert found.sums is not None  # there is at least one row
    metrics, confusions, only = found.sums.result(), found.sums.confusions, model.labels_only
    if only:
        nothing = ReliabilityBins(np.array([metrics.rows]), np.array([nan]), np.array([nan]))
        metrics = replace(metrics, top5=nan, log_loss=nan, brier=nan, reliability=nothing)
    return ModelReport(model.name, metrics, comparison, p_holm, confusions, found.switches, only)


def _check_names(predictions: object, baseline: str | None) -> list[str]:
    """Names of the models, the baseline's first."""
    if not isinstance(predictions, Mapping):
        rule = "a mapping of names to predictions"
        fail_type("predictions", rule, type(predictions).__name__)
    if not predictions:
        fail("predictions", "one model or more", "none")
    for name in predictions:
        if not isinstance(name, str):
            fail_type("predictions", "named by strings", repr(name))
    names = list(predictions)
    if baseline is None:
        return names
    if baseline not in names:
        fail("baseline", "one of " + ", ".join(map(repr, names)), repr(baseline))
    return [baseline, *(name for name in names if name != baseline)]


def _check_model(
    name: str, scores: Any, kinds: Kind | Mapping[str, Kind] | None, names: list[str]
) -> Predictions:
    if isinstance(kinds, Mapping):
        for known in kinds:
            if known not in names:
                fail("kinds", "of " + ", ".join(map(repr, names)), repr(known))
        kind = kinds.get(name)
    else:
        kind = kinds
    if not isinstance(scores, Predictions):
        return Predictions.check(scores, kind=kind, name=name)
    if kind is not None and kind != scores.kind:
        fail("kinds", f"{scores.kind} for {name!r}, as its predictions are", repr(kind))
    return replace(scores, name=name)


def _entry(
    model: Predictions,
    first: Predictions,
    labels: NDArray[Any],
    classes: tuple[str, ...] | None,
    ids: NDArray[np.str_] | None,
    sizes: Sizes,
) -> Entry:
    """One model to measure, its columns and rows matched by name."""
    if model.n_classes != first.n_classes:
        rule = f"an array of {first.n_classes} classes like `{first.name}`"
        fail(model.name, rule, f"{model.n_classes} columns")
    if model.n_rows != first.n_rows:
        fail(model.name, f"as long as `{first.name}` ({first.n_rows} rows)", f"{model.n_rows} rows")
    scores = model.align(classes=classes).scores
    rows = None
    if model.ids is not None and ids is not None:  # reading rows in their file's order is fast
        rows = matching_order(model.ids, ids, f"ids of {model.name}", others=FOLDS)
    if rows is None:
        own_labels = as_source(labels[:, None])  # a memory map is pickled by path
    else:
        own_labels = np.empty(len(labels), np.int64)
        own_labels[rows] = labels
    return Entry(MeasureRows(scores, own_labels, model.kind, model.name, sizes), rows)
