"""Tables of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from postproc.evaluation.registry import Metric
from postproc.reports.numbers import Compared, ModelReport, ReportNumbers

#: With fewer classes top-5 accuracy is trivial.
LEAST_CLASSES_FOR_TOP5 = 6

#: Stands for an unknown number: the gain of the baseline, a precision without predictions.
NOTHING = "-"


class Cell(NamedTuple):
    """One cell of a table: its text and its sort key (None sorts last)."""

    text: str
    value: float | str | None


class Table(NamedTuple):
    """One table for every format; the first `n_texts` columns hold text, the others numbers.

    A table without columns is its note alone.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    n_texts: int = 1


def percent(share: float) -> str:
    """A share in per cent with two digits."""
    return f"{100 * share:.2f}"


def points(difference: float) -> str:
    """A difference of shares in signed points."""
    return f"{100 * difference:+z.2f}"


def p_text(p: float) -> str:
    """A p-value with four digits, or "<0.0001"."""
    return f"{p:.4f}" if p >= 1e-4 else "<0.0001"


def four_digits(value: float) -> str:
    """A number with four digits after the point."""
    return f"{value:.4f}"


def named(text: str) -> Cell:
    """A cell of text."""
    return Cell(text, text)


def number(value: float, text: Callable[[float], str]) -> Cell:
    """A cell of a number; NaN is unknown."""
    return Cell(NOTHING, None) if math.isnan(value) else Cell(text(value), float(value))


def count(value: int) -> Cell:
    """A cell of a count."""
    return Cell(f"{value:,}", int(value))


def interval(limits: tuple[float, float], text: Callable[[float], str]) -> Cell:
    """Both limits in one cell, which sorts by the lower one; NaN is unknown."""
    if math.isnan(limits[0]):
        return Cell(NOTHING, None)
    return Cell(f"{text(limits[0])} to {text(limits[1])}", limits[0])


def tables(report: ReportNumbers, *, per_class: bool = False) -> list[Table]:
    """All tables of a report; with `per_class` also classes and confusions of every model."""
    found = [score_table(report)]
    if report.compared and "accuracy" in report.asked:
        found.append(gain_table(report))
    if more_metrics(report):
        found.append(metric_table(report))
    found += [calibration] if (calibration := positive_table(report)) else []
    if per_class:
        for model in report.compared or report.models:
            found += [class_table(report, model), confusion_table(report, model)]
    return [*found, Table("", (), (), report.signature)]


#: Metrics after the accuracy: heading, attribute, text.
METRICS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("top-5", "top5", percent),
    ("macro-F1", "macro_f1", percent),
    ("log-loss", "log_loss", four_digits),
    ("Brier", "brier", four_digits),
    ("ECE", "ece", percent),
)


def score_table(report: ReportNumbers) -> Table:
    """Metrics of every model."""
    shown = METRICS if len(report.classes) >= LEAST_CLASSES_FOR_TOP5 else METRICS[1:]
    rows = (
        (
            named(model.name),
            number(model.accuracy.value, percent),
            interval(model.accuracy.ci, percent),
            *(number(model.value(key), text) for _, key, text in shown),
        )
        for model in report.models
    )
    note = "Shares and ECE (expected calibration error) in per cent; log-loss in nats."
    if report.weighted:
        note += " All but ECE of weighted rows."
    chances = [
        percent(m.metrics.reliability.ece_by_chance) for m in report.models if not m.labels_only
    ]
    if chances:
        low, high = min(chances, key=float), max(chances, key=float)
        about = low if low == high else f"{low} to {high}"
        note += f" Calibrated models with these confidences would have an ECE of {about} by chance."
    return Table(
        f"{report.rows:,} rows{_groups(report)}, {len(report.classes):,} classes",
        ("model", "accuracy", "95 % interval", *(heading for heading, _, _ in shown)),
        tuple(rows),
        note,
    )


def gain_table(report: ReportNumbers) -> Table:
    """Gain of each model over the baseline, and whether it is real."""
    rows = tuple(
        (
            named(model.name),
            _number(model.accuracy.gain, points),
            _interval(model.accuracy.gain_ci, points),
            count(model.comparison.fixed),
            count(model.comparison.broken),
            _number(model.accuracy.p_value, p_text),
            _number(model.p_holm, p_text),
            named(model.verdict),
        )
        for model in report.compared
        if model.comparison is not None
    )
    is_exact = report.groups is None and not report.weighted
    note = (
        f"Gain in points of accuracy; p of the {'exact McNemar test' if is_exact else 't-test'}, "
        f"corrected by Holm for {len(rows)} comparison{'s' if len(rows) > 1 else ''}. A gain or "
        "loss is called real if the corrected p is below 0.05."
    )
    return Table(
        f"Against {report.baseline.name}",
        ("model", "gain", "95 % interval", "fixed", "broken", "p", "p (Holm)", "verdict"),
        rows,
        " ".join([note, *_detectable(report, ["accuracy"])]),
    )


def positive_table(report: ReportNumbers) -> Table | None:
    """Whether probabilities of two classes meet the share of the second; None if only ranked."""
    base, rows = report.baseline, []
    if base.positive is None or all(base.results[n].metric.needs == "scores" for n in report.asked):
        return None
    for model in report.models:
        found, bins = model.positive, model.metrics.positive
        if found is not None and bins is not None:
            rows.append(
                (
                    named(model.name),
                    number(found.predicted.value, percent),
                    number(found.difference.value, points),
                    interval(found.difference.interval, points),
                    named(found.verdict),
                    number(bins.ece, percent),
                )
            )
    name, observed = f"class {report.classes[1]}", base.positive.observed
    return Table(
        f"Calibration of {name}, which {percent(observed.value)} % of the rows are "
        f"({interval(observed.interval, percent).text})",
        ("model", "mean prediction", "difference", "95 % interval", "verdict", "ECE"),
        tuple(rows),
        f"Mean probability of {name} in per cent, its difference from the share of rows in points; "
        f"called too high or too low if p of the t-test is below 0.05. ECE by the probability of "
        f"{name}, 15 bins of equal mass.",
    )


def more_metrics(report: Compared[Any]) -> list[str]:
    """Names of the metrics asked for besides accuracy where it has tables of its own."""
    return [name for name in report.asked if name != "accuracy" or not report.is_counted]


def metric_table(report: Compared[Any], *, wide: bool = False) -> Table:
    """Metrics of every model with intervals, and gains over the baseline; if `wide` with p."""
    columns: tuple[str, ...] = ("metric", "model", "value", "95 % interval")
    if report.compared:
        columns += ("gain", "95 % interval", *["p (Holm)"] * wide, "verdict")
    rows = []
    for name in more_metrics(report):
        for model in report.models:
            result = model.results[name]
            of_value, of_gain = texts_of(result.metric)
            cells = [
                named(result.metric.heading),
                named(model.name),
                number(result.value, of_value),
                interval(result.ci, of_value),
            ]
            if report.compared:
                cells += [
                    _number(result.gain, of_gain),
                    _interval(result.gain_ci, of_gain),
                    *[_number(result.p_holm, p_text)] * wide,
                    named(result.verdict),
                ]
            rows.append(tuple(cells))
    return Table(
        f"Metrics with intervals{_groups(report)}",
        columns,
        tuple(rows),
        _metric_note(report),
        n_texts=2,
    )


def texts_of(metric: Metric) -> tuple[Callable[[float], str], Callable[[float], str]]:
    """How values of a metric and gains in it are written."""
    return (percent, points) if metric.is_share else (four_digits, "{:+z.4f}".format)


def _metric_note(report: Compared[Any]) -> str:
    names = more_metrics(report)
    known = [report.baseline.results[name].metric for name in names]
    notes = []
    if any(metric.is_share for metric in known):
        notes.append("Shares in per cent, their gains in points.")
    if report.compared:
        n = len(report.compared)
        notes.append(
            f"Gains are over {report.baseline.name}, positive where better; p of the t-test, "
            f"corrected by Holm for {n} comparison{'s' if n > 1 else ''} in each metric."
        )
    notes += _detectable(report, names)
    for name in names:
        slack = max(model.results[name].slack for model in report.models)
        if slack > 0:
            heading = report.baseline.results[name].metric.heading
            notes.append(f"{heading} is of scores in a grid, to within {100 * slack:.2g} points.")
    return " ".join(notes)


def _detectable(report: Compared[Any], names: Sequence[str]) -> list[str]:
    """A sentence on the gains that these rows could show; none where nothing can be said."""
    found = []
    for name in names:
        metric = report.baseline.results[name].metric
        sizes = [model.results[name].detectable for model in report.compared]
        able = sorted(size for size in sizes if size is not None and size > 0)
        if able:
            shown = [f"{100 * s:.2f}" if metric.is_share else f"{s:.4f}" for s in able]
            ends = dict.fromkeys([shown[0], shown[-1]])
            unit = " points" if metric.is_share else ""
            found.append(f"{' to '.join(ends)}{unit} of {metric.heading}")
    return [f"Gains that these rows can show (power 0.8): {', '.join(found)}."] if found else []


def _groups(report: Compared[Any]) -> str:
    return "" if report.groups is None else f" in {report.groups:,} groups"


def _number(value: float | None, text: Callable[[float], str]) -> Cell:
    return number(math.nan if value is None else value, text)


def _interval(limits: tuple[float, float] | None, text: Callable[[float], str]) -> Cell:
    return interval(limits or (math.nan, math.nan), text)


def class_table(report: ReportNumbers, model: ModelReport) -> Table:
    """Every class of one model, with its changes relative to the baseline."""
    changes = report.class_changes(model.name)
    columns: tuple[str, ...] = ("class", "support", "precision", "recall", "F1")
    note = "Precision, recall and F1 in per cent."
    compared = model.comparison is not None
    if compared:
        columns += ("F1 change", "fixed", "broken")
        note += f" Changes relative to {report.baseline.name}."
    found, rows = changes.metrics, []
    for j, name in enumerate(report.classes):
        shares = (found.precision[j], found.recall[j], found.f1[j])
        cells = [named(name), count(found.support[j]), *(number(v, percent) for v in shares)]
        if compared:
            cells.append(number(found.f1[j] - changes.before.f1[j], points))
            cells += [count(changes.fixed[j]), count(changes.broken[j])]
        rows.append(tuple(cells))
    return Table(f"Classes: {model.name}", columns, tuple(rows), note)


def confusion_table(report: ReportNumbers, model: ModelReport) -> Table:
    """The confusions that changed most, or the most frequent ones of the baseline."""
    compared = model.comparison is not None
    rows = []
    for change in report.confusions(model.name):
        cells = [named(report.classes[j]) for j in (change.label, change.predicted)]
        if compared:
            moved = change.after - change.before
            cells += [count(change.before), count(change.after), Cell(f"{moved:+,}", moved)]
        else:
            cells.append(count(change.after))
        rows.append(tuple(cells))
    if not compared:
        title, columns = "Most frequent confusions", ("label", "predicted", "rows")
        return Table(f"{title}: {model.name}", columns, tuple(rows), n_texts=2)
    return Table(
        f"Confusions that changed most: {model.name}",
        ("label", "predicted", "before", "after", "change"),
        tuple(rows),
        f"Rows of a class predicted as another, by {report.baseline.name} and by {model.name}.",
        n_texts=2,
    )
