"""Reports that compare models on the same labelled rows and say whether a gain is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from postproc.evaluation.metrics import MeasureRows
from postproc.evaluation.paired import CONFIDENCE, Comparison, holm
from postproc.evaluation.sums import Metrics
from postproc.reports.measure import Entry, Found, pass_over
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import check_count, check_label_rows, fail, fail_type
from postproc.scores.kinds import Kind
from postproc.scores.names import check_unique, matching_order
from postproc.scores.predictions import Predictions
from postproc.scores.sources import as_source

#: Confusions that tables list.
TOP_CONFUSIONS = 10


@dataclass(frozen=True)
class ModelReport:
    """One model of a report.

    Attributes
    ----------
    name : str
        What the report calls the model.
    metrics : Metrics
        What its predictions are worth.
    comparison : Comparison, optional
        Rows fixed and broken against the baseline; None for the baseline itself.
    p_holm : float, optional
        The p-value of McNemar's test, corrected for the number of models compared.
    confusions : Confusions
        Rows by label and predicted class.
    switches : Switches, optional
        Rows fixed and broken by label; None for the baseline.
    """

    name: str
    metrics: Metrics
    comparison: Comparison | None
    p_holm: float | None
    confusions: Confusions = field(repr=False, compare=False)
    switches: Switches | None = field(repr=False, compare=False)

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
        """All that is not counted by class, as JSON's own types; shares are fractions."""
        metrics, comparison = self.metrics, self.comparison
        return {
            "name": self.name,
            "accuracy": metrics.accuracy,
            "accuracy_ci": list(metrics.accuracy_ci),
            "top5": metrics.top5,
            "macro_f1": metrics.macro_f1,
            "log_loss": metrics.log_loss,
            "brier": metrics.brier,
            "ece": metrics.ece,
            "gain": None if comparison is None else comparison.gain,
            "gain_ci": None if comparison is None else list(comparison.gain_ci),
            "fixed": None if comparison is None else comparison.fixed,
            "broken": None if comparison is None else comparison.broken,
            "p_value": None if comparison is None else comparison.p_value,
            "p_holm": self.p_holm,
        }


@dataclass(frozen=True)
class AccuracyReport:
    """Models on the same labelled rows, the baseline first; made by `accuracy_report`.

    It holds counts and nothing for single rows.

    Attributes
    ----------
    models : tuple of ModelReport
        The baseline and the models compared with it.
    classes : tuple of C str
        Class names; their numbers where none are known.
    rows : int
        Number of rows n.
    """

    models: tuple[ModelReport, ...]
    classes: tuple[str, ...]
    rows: int

    @property
    def baseline(self) -> ModelReport:
        """The model that the others are compared with."""
        return self.models[0]

    @property
    def compared(self) -> tuple[ModelReport, ...]:
        """The models that are compared with the baseline."""
        return self.models[1:]

    def __getitem__(self, name: str) -> ModelReport:
        """Return the model of this name."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

    def class_changes(self, name: str) -> ClassChanges:
        """Metrics of every class for one model, and where the rows it fixed and broke lie.

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
        """Pairs of classes whose confusion changed most between the baseline and a model.

        For the baseline itself: its most frequent confusions.

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
        """Return the report as JSON's own types; shares are fractions.

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

    def to_text(self, *, per_class: bool = False, width: int = 100) -> str:
        """Return tables for a terminal of `width` columns; see `to_dict` for `per_class`."""
        from postproc.reports.tables import tables
        from postproc.reports.text import to_text

        return to_text(tables(self, per_class=per_class), width=width)

    def to_markdown(self, *, per_class: bool = False) -> str:
        """Return Markdown tables; see `to_dict` for `per_class`."""
        from postproc.reports.tables import tables
        from postproc.reports.text import to_markdown

        return to_markdown(tables(self, per_class=per_class))

    def to_csv(self) -> str:
        """Return a comma-separated table, one line a model, shares as fractions."""
        from postproc.reports.text import to_csv

        return to_csv(self)

    def to_html(self, *, title: str = "Accuracy report") -> str:
        """Return one self-contained HTML page with tables and plots.

        Raises
        ------
        ImportError
            If Jinja2 or matplotlib is missing.
        """
        from postproc.reports.html import to_html

        return to_html(self, title=title)

    def __rich__(self) -> Any:
        """Tables for a rich console."""
        from postproc.reports.tables import tables
        from postproc.reports.text import renderable

        return renderable(tables(self))

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

    Accuracy comes with a 95 % Wilson interval. Against the baseline the report counts the rows
    that a model fixed and broke, and from them alone takes the gain with Tango's score interval
    for paired proportions, the exact p-value of McNemar's test, and Holm's correction of it for
    the number of models compared.

    Parameters
    ----------
    predictions : mapping of names to Predictions or arrays or tensors of shape (n, C)
        The models' scores, perhaps memory-mapped: they are read in blocks. Where predictions
        carry class names or ids, columns and rows are matched by them.
    labels : array_like of shape (n,)
        Classes in 0..C-1, in the order of `classes` and of the baseline's rows; perhaps
        memory-mapped, they are read in blocks, too.
    baseline : str, optional
        The model that the others are compared with; the first by default.
    kinds : {"logits", "probs"} or mapping of names to them, optional
        Declared kinds of arrays; without them each kind is detected from the whole array.
    classes : sequence of C str, optional
        Class names; those that the predictions carry by default.
    map_blocks : callable
        Takes a function of row slices and the slices, and gives its results in order; as `map`
        does, or with progress, or elsewhere.

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
    models = zip(names, found, [None, *compared], [None, *corrected], strict=True)
    return AccuracyReport(
        models=tuple(_model_report(*model) for model in models),
        classes=class_names or tuple(str(j) for j in range(first.n_classes)),
        rows=len(y),
    )


def _model_report(
    name: str, found: Found, comparison: Comparison | None, p_holm: float | None
) -> ModelReport:
    assert found.sums is not None  # of all rows there are some
    metrics, confusions = found.sums.result(), found.sums.confusions
    return ModelReport(name, metrics, comparison, p_holm, confusions, found.switches)


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
    """What measures one model, with its columns and rows matched by name."""
    if model.n_classes != first.n_classes:
        rule = f"an array of {first.n_classes} classes like `{first.name}`"
        fail(model.name, rule, f"{model.n_classes} columns")
    if model.n_rows != first.n_rows:
        fail(model.name, f"as long as `{first.name}` ({first.n_rows} rows)", f"{model.n_rows} rows")
    scores = model.align(classes=classes).scores
    rows = None
    if model.ids is not None and ids is not None:  # reading rows in their file's order is fast
        rows = matching_order(model.ids, ids, f"ids of {model.name}")
    if rows is None:
        of_file = as_source(labels[:, None])  # a memory map is pickled by path
    else:
        of_file = np.empty(len(labels), np.int64)
        of_file[rows] = labels
    return Entry(MeasureRows(scores, of_file, model.kind, model.name, sizes), rows)


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
