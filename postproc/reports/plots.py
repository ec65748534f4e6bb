"""Plots of a report: gains, reliability, classes and confusions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postproc.evaluation.reliability import ReliabilityBins
from postproc.reports.numbers import ModelReport, ReportNumbers
from postproc.reports.svg import (
    AXIS_ROOM,
    MARGIN,
    WIDTH,
    Chart,
    Plot,
    Row,
    Scale,
    interval_plot,
    list_chart,
)
from postproc.reports.tables import percent, points

#: Classes that the plot of changes shows; the table beside it has all.
CLASSES_SHOWN = 12

STYLES = {"real gain": "good", "real loss": "bad"}


def gain_plot(report: ReportNumbers, *, key: str) -> Plot:
    """Forest plot: the gain of every model with its interval; filled marks are real."""
    rows, says = [], []
    for model in report.compared:
        comparison = model.comparison
        if comparison is None:
            continue
        low, high = comparison.gain_ci
        style = STYLES.get(model.verdict, "muted hollow")
        rows.append(Row(model.name, 100 * comparison.gain, 100 * low, 100 * high, style))
        says.append(
            f"{model.name}: {points(comparison.gain)}, {points(low)} to {points(high)}, "
            f"{model.verdict}"
        )
    limits = min(0, *(row.low for row in rows)), max(0, *(row.high for row in rows))
    chart, height = interval_plot(rows, limits, "gain in points of accuracy")
    title = f"Gain in accuracy over {report.baseline.name}, with 95 % intervals"
    return chart.plot(key, title, "; ".join(says), height)


def reliability_plot(report: ReportNumbers, model: ModelReport, *, key: str) -> Plot:
    """Reliability diagram: accuracy against confidence, of the baseline and of a model."""
    top, bottom = 22, 250
    chart = Chart(Scale(0, 1, 34, WIDTH - MARGIN), Scale(0, 1, bottom, top))
    chart.axis("confidence", top=top, bottom=bottom)
    chart.y_axis("accuracy")
    chart.line((0, 1), (0, 1), "muted dashed")
    shown = [(model, "accent", "disc")]
    if model.comparison is not None:
        shown.insert(0, (report.baseline, "muted", "square"))
    says = []
    for drawn, style, shape in shown:
        if drawn.labels_only:
            says.append(f"{drawn.name}: no confidence is known")
            continue
        bins = drawn.metrics.reliability
        chart.line(bins.confidence.tolist(), bins.accuracy.tolist(), f"{style} thin")
        for place in zip(bins.confidence.tolist(), bins.accuracy.tolist(), strict=True):
            chart.mark(*place, style, shape)
        says.append(f"{drawn.name}: {_bins(bins)}")
    return chart.plot(
        key,
        "Reliability diagram: accuracy of rows by confidence",
        "Confidence and accuracy in per cent, bin by bin. " + "; ".join(says),
        bottom + AXIS_ROOM,
    )


def class_plot(report: ReportNumbers, model: ModelReport, *, key: str) -> Plot:
    """Bars of the rows that a model fixed and broke, for the classes that changed most."""
    changes = report.class_changes(model.name)
    net, both = changes.fixed - changes.broken, changes.fixed + changes.broken
    order = np.lexsort((np.arange(len(net)), -both, -abs(net)))
    order = order[both[order] > 0][:CLASSES_SHOWN]
    order = order[np.argsort(-net[order], kind="stable")]
    fixed, broken = changes.fixed[order].tolist(), changes.broken[order].tolist()
    room = 0.12 * max(*fixed, *broken)  # for the counts beside the bars
    chart, height = _count_chart(
        [(report.classes[j],) for j in order],
        (-max(broken) - room, max(fixed) + room),
        "rows broken (left) and fixed (right)",
    )
    says = []
    for line, (j, up, down) in enumerate(zip(order, fixed, broken, strict=True)):
        y = chart.y(line)
        for count, style in ((up, "good"), (-down, "bad")):
            left, right = sorted((chart.x(0), chart.x(count)))
            width = round(right - left, 2)
            chart.add("rect", f"bar {style}", x=left, y=y - 5, width=width, height=10)
        chart.text(f"{up:,}", chart.x(up) + 5, y + 4, "start")
        chart.text(f"{down:,}", chart.x(-down) - 5, y + 4, "end")
        says.append(f"{report.classes[j]}: {up} fixed, {down} broken")
    chart.line((0, 0), (-0.75, len(order) - 0.7), "ink thin")
    return chart.plot(key, "Rows fixed and broken, by class", "; ".join(says), height)


def confusion_plot(report: ReportNumbers, model: ModelReport, *, key: str) -> Plot:
    """How often pairs of classes are confused, before (hollow) and after (filled)."""
    changes = report.confusions(model.name)
    names = [(report.classes[c.label], report.classes[c.predicted]) for c in changes]
    counts = [count for change in changes for count in (change.before, change.after)]
    chart, height = _count_chart(
        names, (min(counts), max(counts)), "rows confused before (hollow) and after (filled)"
    )
    says = []
    for line, (pair, change) in enumerate(zip(names, changes, strict=True)):
        style = "good" if change.after < change.before else "bad"
        chart.line((change.before, change.after), (line, line), style)
        chart.mark(change.before, line, f"{style} hollow")
        chart.mark(change.after, line, style)
        says.append(f"{' as '.join(pair)}: {change.before} before, {change.after} after")
    return chart.plot(key, "Confusions that changed most", "; ".join(says), height)


def _count_chart(
    names: Sequence[tuple[str, ...]], limits: tuple[float, float], label: str
) -> tuple[Chart, float]:
    """A chart of counts: whole ticks, those left of zero without their sign."""
    ticks = sorted({round(tick) for tick in Scale(*limits, 0, 1).ticks()})
    return list_chart(names, limits, label, ticks=ticks, text=lambda tick: f"{abs(tick):,.0f}")


def _bins(bins: ReliabilityBins) -> str:
    pairs = zip(bins.confidence, bins.accuracy, strict=True)
    return ", ".join(f"{percent(c)} and {percent(a)}" for c, a in pairs)
