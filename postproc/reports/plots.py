"""Plots of a report: gains, reliability, classes and confusions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.reports.numbers import Compared, ModelReport, ReportNumbers
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
from postproc.reports.tables import interval, percent, points, texts_of

#: Classes that the plot of changes shows; the table beside it has all.
CLASSES_SHOWN = 12

#: Height of plots of one share against another.
SQUARE_HEIGHT = 286

STYLES = {"real gain": "good", "real loss": "bad"}


def gain_plot(report: Compared[Any], *, key: str) -> Plot | None:
    """Forest plot: the gain of every model with its interval; filled marks are real."""
    metric = report.first
    _, text = texts_of(metric)
    scale = 100 if metric.is_share else 1
    rows, says = [], []
    for model in report.compared:
        result = model.results[metric.name]
        if result.gain is None or result.gain_ci is None or math.isnan(result.gain_ci[0]):
            continue
        low, high = result.gain_ci
        style = STYLES.get(result.verdict, "muted hollow")
        rows.append(Row(model.name, scale * result.gain, scale * low, scale * high, style))
        says.append(
            f"{model.name}: {text(result.gain)}, {text(low)} to {text(high)}, {result.verdict}"
        )
    if not rows:
        return None
    limits = min(0, *(row.low for row in rows)), max(0, *(row.high for row in rows))
    if limits[0] == limits[1]:
        limits = (-1, 1)
    unit = f"points of {metric.heading}" if metric.is_share else metric.heading
    chart, height = interval_plot(rows, limits, f"gain in {unit}")
    title = f"Gain in {metric.heading} over {report.baseline.name}, with 95 % intervals"
    return chart.plot(key, title, "; ".join(says), height)


def curve_plots(report: ReportNumbers, model: ModelReport, *, key: str) -> list[Plot]:
    """ROC and precision-recall curves of two classes, of the baseline and of a model."""
    if model.curves is None:
        return []
    shown = [(model.name, model.curves, "accent")]
    if model is not report.baseline and report.baseline.curves is not None:
        shown.insert(0, (report.baseline.name, report.baseline.curves, "muted"))
    positive = f"class {report.classes[1]}"
    roc = _square("share of other rows taken", f"share of {positive} found")
    roc.line((0, 1), (0, 1), "muted dashed")
    precision = _square(f"share of {positive} found", "precision")
    for _, curves, style in shown:
        roc.line([0, *curves.false_positives], [0, *curves.recall], style)
        precision.line(curves.recall.tolist(), curves.precision.tolist(), style)
    half = "; ".join(
        f"{name}: {_at_half(c.recall, c.false_positives)} of the others, precision "
        f"{_at_half(c.recall, c.precision)}"
        for name, c, _ in shown
    )
    says = f"Where half of {positive} are found, in per cent: {half}"
    return [
        roc.plot(f"{key}-roc", f"ROC curve of {positive}", says, SQUARE_HEIGHT),
        precision.plot(
            f"{key}-precision", f"Precision-recall curve of {positive}", says, SQUARE_HEIGHT
        ),
    ]


def risk_plot(report: ReportNumbers, model: ModelReport, *, key: str) -> Plot:
    """Risk-coverage curve of a model, and that of the baseline."""
    shown = [(model, "accent")]
    if model is not report.baseline:
        shown.insert(0, (report.baseline, "muted"))
    shown = [(each, style) for each, style in shown if not each.labels_only]
    chart = _square("share of rows decided, most confident first", "share of them wrong")
    for each, style in shown:
        risk = each.metrics.risk
        chart.line(risk.coverage.tolist(), risk.risk.tolist(), style)
    areas = "; ".join(f"{each.name}: {percent(each.metrics.risk.area)}" for each, _ in shown)
    says = f"Area under the curve, the mean error over all shares, in per cent: {areas or '-'}"
    found = model.results.get("aurc")
    if found is not None and found.gain is not None and found.gain_ci is not None:
        within = interval(found.gain_ci, points).text
        says += f"; less by {points(found.gain)} ({within}) in paired rows: {found.verdict}"
    return chart.plot(f"{key}-risk", "Risk-coverage curve", says, SQUARE_HEIGHT)


def _at_half(recall: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    return percent(float(np.interp(0.5, recall, values)))


def _square(x: str, y: str) -> Chart:
    """A chart of two shares."""
    top, bottom = 22, SQUARE_HEIGHT - AXIS_ROOM
    chart = Chart(Scale(0, 1, 34, WIDTH - MARGIN), Scale(0, 1, bottom, top))
    chart.axis(x, top=top, bottom=bottom)
    chart.y_axis(y)
    return chart


def reliability_plot(report: ReportNumbers, model: ModelReport, *, key: str) -> Plot:
    """Reliability diagram of the confidence, or of two classes of the second's probability."""
    binary = model.metrics.positive is not None
    what, of_rows = ("confidence", "accuracy")
    title = "Reliability diagram: accuracy of rows by confidence"
    if binary:
        name = f"class {report.classes[1]}"
        what, of_rows = f"predicted probability of {name}", f"observed share of {name}"
        title = f"Reliability diagram: share of {name} by its probability"
    chart = _square(what, of_rows)
    chart.line((0, 1), (0, 1), "muted dashed")
    shown = [(model, "accent", "disc")]
    if model.comparison is not None:
        shown.insert(0, (report.baseline, "muted", "square"))
    says = []
    for drawn, style, shape in shown:
        if drawn.labels_only:
            says.append(f"{drawn.name}: no confidence is known")
            continue
        bins = drawn.metrics.positive or drawn.metrics.reliability
        chart.line(bins.confidence.tolist(), bins.accuracy.tolist(), f"{style} thin")
        pairs = list(zip(bins.confidence.tolist(), bins.accuracy.tolist(), strict=True))
        for place in pairs:
            chart.mark(*place, style, shape)
        shares = ", ".join(f"{percent(c)} and {percent(a)}" for c, a in pairs)
        says.append(f"{drawn.name}: {shares}")
    return chart.plot(
        key,
        title,
        f"{what.capitalize()} and {of_rows} in per cent, bin by bin. " + "; ".join(says),
        SQUARE_HEIGHT,
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
    chart.zero_line(len(order))
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
