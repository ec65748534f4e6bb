"""Tables of a report."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from postproc.evaluation.changes import ClassChanges, ConfusionChange
from postproc.reports.numbers import ModelReport, ReportNumbers

#: Top-5 accuracy says nothing where there are no more classes.
LEAST_CLASSES_FOR_TOP5 = 6

#: Stands where there is no number: the baseline's gain, a precision without predictions.
NOTHING = "-"


class Cell(NamedTuple):
    """One cell of a table: its text, and what it sorts by (None sorts last)."""

    text: str
    value: float | str | None


class Table(NamedTuple):
    """One table for every format; the first `n_texts` columns hold text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    n_texts: int = 1


def tables(report: ReportNumbers, *, per_class: bool = False) -> list[Table]:
    """All tables of a report, with `per_class` those of every model's classes and confusions."""
    found = [score_table(report)]
    if report.compared:
        found.append(gain_table(report))
    if per_class:
        for model in report.compared or report.models:
            found.append(class_table(report, model))
            found.append(confusion_table(report, model))
    return found


def score_table(report: ReportNumbers) -> Table:
    """What each model is worth by itself."""
    has_top5 = len(report.classes) >= LEAST_CLASSES_FOR_TOP5
    columns = [
        "model",
        "accuracy",
        "95 % interval",
        "top-5",
        "macro-F1",
        "log-loss",
        "Brier",
        "ECE",
    ]
    rows = []
    for model in report.models:
        metrics = model.metrics
        cells = [
            Cell(model.name, model.name),
            Cell(percent(metrics.accuracy), metrics.accuracy),
            interval(metrics.accuracy_ci, percent),
            Cell(percent(metrics.top5), metrics.top5),
            Cell(percent(metrics.macro_f1), metrics.macro_f1),
            Cell(f"{metrics.log_loss:.4f}", metrics.log_loss),
            Cell(f"{metrics.brier:.4f}", metrics.brier),
            Cell(percent(metrics.ece), metrics.ece),
        ]
        rows.append(tuple(cells if has_top5 else cells[:3] + cells[4:]))
    return Table(
        f"{report.rows:,} rows, {len(report.classes):,} classes",
        tuple(columns if has_top5 else columns[:3] + columns[4:]),
        tuple(rows),
        "Shares and ECE, the calibration error, in per cent; log-loss in nats.",
    )


def gain_table(report: ReportNumbers) -> Table:
    """What each model gained against the baseline, and whether that is real."""
    rows = []
    for model in report.compared:
        comparison = model.comparison
        if comparison is None or model.p_holm is None:
            continue
        rows.append(
            (
                Cell(model.name, model.name),
                Cell(points(comparison.gain), comparison.gain),
                interval(comparison.gain_ci, points),
                Cell(f"{comparison.fixed:,}", comparison.fixed),
                Cell(f"{comparison.broken:,}", comparison.broken),
                Cell(p_text(comparison.p_value), comparison.p_value),
                Cell(p_text(model.p_holm), model.p_holm),
                Cell(model.verdict, model.verdict),
            )
        )
    return Table(
        f"Against {report.baseline.name}",
        ("model", "gain", "95 % interval", "fixed", "broken", "p", "p (Holm)", "verdict"),
        tuple(rows),
        "Gain in points of accuracy; p of the exact McNemar test, corrected by Holm for "
        f"{len(rows)} comparison{'s' if len(rows) > 1 else ''}. A gain or loss is called real "
        "where the corrected p lies below 0.05.",
    )


def class_table(report: ReportNumbers, model: ModelReport) -> Table:
    """Every class of one model, with what changed against the baseline."""
    changes = report.class_changes(model.name)
    return Table(
        f"Classes: {model.name}",
        ("class", "support", "precision", "recall", "F1")
        + (("F1 change", "fixed", "broken") if model.comparison is not None else ()),
        tuple(
            _class_row(name, changes, j, compared=model.comparison is not None)
            for j, name in enumerate(report.classes)
        ),
        "Precision, recall and F1 in per cent."
        + (f" Changes against {report.baseline.name}." if model.comparison is not None else ""),
    )


def _class_row(name: str, changes: ClassChanges, j: int, *, compared: bool) -> tuple[Cell, ...]:
    metrics = changes.metrics
    cells = (
        Cell(name, name),
        Cell(f"{metrics.support[j]:,}", int(metrics.support[j])),
        *(_share(values[j]) for values in (metrics.precision, metrics.recall, metrics.f1)),
    )
    if not compared:
        return cells
    gain = float(metrics.f1[j] - changes.before.f1[j])
    return (
        *cells,
        Cell(NOTHING, None) if math.isnan(gain) else Cell(points(gain), gain),
        Cell(f"{changes.fixed[j]:,}", int(changes.fixed[j])),
        Cell(f"{changes.broken[j]:,}", int(changes.broken[j])),
    )


def confusion_table(report: ReportNumbers, model: ModelReport) -> Table:
    """The confusions of classes that changed most, or the most frequent ones of the baseline."""
    if model.comparison is None:
        return Table(
            f"Most frequent confusions: {model.name}",
            ("label", "predicted", "rows"),
            tuple(
                (*_names(report, change), Cell(f"{change.after:,}", change.after))
                for change in report.confusions(model.name)
            ),
            n_texts=2,
        )
    return Table(
        f"Confusions that changed most: {model.name}",
        ("label", "predicted", "before", "after", "change"),
        tuple(
            (
                *_names(report, change),
                Cell(f"{change.before:,}", change.before),
                Cell(f"{change.after:,}", change.after),
                Cell(f"{change.after - change.before:+,}", change.after - change.before),
            )
            for change in report.confusions(model.name)
        ),
        f"Rows of a class taken for another, by {report.baseline.name} and by {model.name}.",
        n_texts=2,
    )


def _names(report: ReportNumbers, change: ConfusionChange) -> tuple[Cell, Cell]:
    label, predicted = report.classes[change.label], report.classes[change.predicted]
    return Cell(label, label), Cell(predicted, predicted)


def percent(share: float) -> str:
    """A share in per cent with two digits."""
    return f"{100 * share:.2f}"


def points(difference: float) -> str:
    """A difference of shares in signed points."""
    return f"{100 * difference:+z.2f}"


def p_text(p: float) -> str:
    """A p-value with four digits; what they cannot show is below 0.0001."""
    return f"{p:.4f}" if p >= 1e-4 else "<0.0001"


def interval(limits: tuple[float, float], text: Callable[[float], str]) -> Cell:
    """Both limits in one cell, which sorts by the lower one."""
    return Cell(f"{text(limits[0])} to {text(limits[1])}", limits[0])


def _share(value: float) -> Cell:
    return Cell(NOTHING, None) if math.isnan(value) else Cell(percent(value), float(value))
