"""Plots of a report: gains, reliability, classes and confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postproc.evaluation.reliability import ReliabilityBins
from postproc.reports.svg import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LABEL_ROOM,
    MUTED,
    PAPER,
    WIDTH,
    line_axes,
    page_style,
    shortened,
    strip,
    text_width,
    to_svg,
)
from postproc.reports.tables import percent, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from postproc.reports.report import AccuracyReport, ModelReport

#: Stands between a class and what it was taken for.
ARROW = " \N{RIGHTWARDS ARROW} "
#: Classes that the plot of changes shows; the table beside it has all.
CLASSES_SHOWN = 12


def gain_plot(report: AccuracyReport, *, key: str) -> str:
    """Forest plot: the gain of every model with its interval; filled marks are real."""
    with page_style():
        models = [(model, model.comparison) for model in report.compared]
        figure, axes = line_axes([model.name for model in report.compared])
        says = []
        for line, (model, comparison) in enumerate(models):
            if comparison is None:
                continue
            colour = {"real gain": GOOD, "real loss": BAD}.get(model.verdict, MUTED)
            gain, (low, high) = 100 * comparison.gain, (100 * x for x in comparison.gain_ci)
            axes.plot([low, high], [line, line], color=colour, linewidth=2, solid_capstyle="butt")
            is_real = model.verdict.startswith("real")
            axes.plot(
                [gain],
                [line],
                marker="o",
                markersize=8,
                color=colour,
                markerfacecolor=colour if is_real else PAPER,
                markeredgewidth=2,
            )
            says.append(
                f"{model.name}: {points(comparison.gain)}, {points(comparison.gain_ci[0])} to "
                f"{points(comparison.gain_ci[1])}, {model.verdict}"
            )
        axes.axvline(0, color=INK, linewidth=1)
        axes.margins(x=0.06)
        axes.set_xlabel("gain in points of accuracy")
        return to_svg(
            figure,
            key,
            f"Gain in accuracy against {report.baseline.name}, with 95 % intervals",
            "; ".join(says),
        )


def reliability_plot(report: AccuracyReport, model: ModelReport, *, key: str) -> str:
    """Reliability diagram: accuracy over confidence, of the baseline and of a model."""
    from matplotlib.figure import Figure

    with page_style():
        figure = Figure(figsize=(WIDTH, 0.8 * WIDTH))
        axes = figure.add_axes((0.12, 0.14, 0.85, 0.83))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        says = []
        shown = [(model, ACCENT, "o")]
        if model.comparison is not None:
            shown.insert(0, (report.baseline, MUTED, "s"))
        for drawn, colour, marker in shown:
            bins = drawn.metrics.reliability
            axes.plot(
                bins.confidence,
                bins.accuracy,
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.5,
            )
            says.append(f"{drawn.name}: {_bins(bins)}")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="confidence", ylabel="accuracy")
        axes.grid(visible=True)
        strip(axes)
        return to_svg(
            figure,
            key,
            "Reliability diagram: accuracy of rows by confidence",
            "Confidence and accuracy in per cent, bin by bin. " + "; ".join(says),
        )


def class_plot(report: AccuracyReport, model: ModelReport, *, key: str) -> str:
    """Bars of the rows that a model fixed and broke, of the classes that changed most."""
    changes = report.class_changes(model.name)
    net = changes.fixed - changes.broken
    order = np.lexsort((np.arange(len(net)), -(changes.fixed + changes.broken), -abs(net)))
    order = order[(changes.fixed + changes.broken)[order] > 0][:CLASSES_SHOWN]
    order = order[np.argsort(-net[order], kind="stable")]
    names = [report.classes[j] for j in order]
    with page_style():
        figure, axes = line_axes(names)
        says = []
        for line, j in enumerate(order):
            fixed, broken = int(changes.fixed[j]), int(changes.broken[j])
            axes.barh(line, fixed, height=0.3, color=GOOD)
            axes.barh(line, -broken, height=0.3, color=BAD)
            for count, at, side in ((fixed, 5, "left"), (broken, -5, "right")):
                axes.annotate(
                    f"{count:,}",
                    (count if at > 0 else -count, line),
                    xytext=(at, 0),
                    textcoords="offset points",
                    ha=side,
                    va="center",
                    fontsize=9,
                    color=MUTED,
                )
            says.append(f"{report.classes[j]}: {fixed} fixed, {broken} broken")
        axes.axvline(0, color=INK, linewidth=1)
        axes.margins(x=0.14)
        axes.set_xlabel("rows broken (left) and fixed (right)")
        _count_rows(axes)
        return to_svg(figure, key, "Rows fixed and broken, by class", "; ".join(says))


def confusion_plot(report: AccuracyReport, model: ModelReport, *, key: str) -> str:
    """How often pairs of classes are confused, before (hollow) and after (filled)."""
    changes = report.confusions(model.name)
    with page_style():
        names = [(report.classes[c.label], report.classes[c.predicted]) for c in changes]
        figure, axes = line_axes([_pair(*pair) for pair in names])
        says = []
        for line, (pair, change) in enumerate(zip(names, changes, strict=True)):
            colour = GOOD if change.after < change.before else BAD
            axes.plot(
                [change.before, change.after],
                [line, line],
                color=colour,
                linewidth=2,
                solid_capstyle="butt",
            )
            for count, face in ((change.before, PAPER), (change.after, colour)):
                axes.plot(
                    [count],
                    [line],
                    marker="o",
                    markersize=7,
                    color=colour,
                    markerfacecolor=face,
                    markeredgewidth=2,
                )
            says.append(f"{ARROW.join(pair)}: {change.before} before, {change.after} after")
        axes.margins(x=0.06)
        axes.set_xlabel("rows confused before (hollow) and after (filled)")
        _count_rows(axes)
        return to_svg(figure, key, "Confusions that changed most", "; ".join(says))


def _count_rows(axes: Axes) -> None:
    """Ticks at whole numbers; what lies to the left of zero is a count too."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")


def _pair(label: str, predicted: str) -> str:
    """A class and what it was taken for; both stay in sight where they are long."""
    half = (LABEL_ROOM - text_width(ARROW)) / 2
    spare = [max(0.0, half - text_width(name)) for name in (predicted, label)]
    return shortened(label, half + spare[0]) + ARROW + shortened(predicted, half + spare[1])


def _bins(bins: ReliabilityBins) -> str:
    pairs = zip(bins.confidence, bins.accuracy, strict=True)
    return ", ".join(f"{percent(c)} and {percent(a)}" for c, a in pairs)
