"""Plots of a report as SVG that takes its colours from the page and tells what it shows."""

from __future__ import annotations

import io
import re
import warnings
from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width
from xml.etree import ElementTree

import numpy as np

from postproc.reliability import ReliabilityBins
from postproc.report_text import percent, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from postproc.report import AccuracyReport, ModelReport

#: Width in inches; at 72 units an inch a plot fits a phone without being scaled down.
WIDTH = 4.5
#: Height of one line of a plot that lists things: a label and its mark.
LINE_HEIGHT = 0.44
#: Size of labels, and the room for one, in units.
FONT_SIZE = 10
LABEL_ROOM = 0.94 * 72 * WIDTH
#: Stands for the rest of a label that is cut.
CUT = "\N{HORIZONTAL ELLIPSIS}"
#: Stands between a class and what it was taken for.
ARROW = " \N{RIGHTWARDS ARROW} "
#: Classes that the plot of changes shows; the table beside it has all.
CLASSES_SHOWN = 12

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

# Colours that matplotlib draws with, and the page's own colours that take their place.
INK, MUTED, GRID, ACCENT, GOOD, BAD, PAPER = (f"#0{j}0{j}0{j}" for j in range(1, 8))
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    PAPER: "var(--paper)",
}
STYLE: Any = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",  # letters stay letters: they can be selected, and read aloud
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def gain_plot(report: AccuracyReport, *, key: str) -> str:
    """Forest plot: the gain of every model with its interval; filled marks are real."""
    with _style():
        models = [(model, model.comparison) for model in report.compared]
        figure, axes = _lines([model.name for model in report.compared])
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
        return _svg(
            figure,
            key,
            f"Gain in accuracy against {report.baseline.name}, with 95 % intervals",
            "; ".join(says),
        )


def reliability_plot(report: AccuracyReport, model: ModelReport, *, key: str) -> str:
    """Reliability diagram: accuracy over confidence, of the baseline and of a model."""
    from matplotlib.figure import Figure

    with _style():
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
        _strip(axes)
        return _svg(
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
    with _style():
        figure, axes = _lines(names)
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
        return _svg(figure, key, "Rows fixed and broken, by class", "; ".join(says))


def confusion_plot(report: AccuracyReport, model: ModelReport, *, key: str) -> str:
    """How often pairs of classes are confused, before (hollow) and after (filled)."""
    changes = report.confusions(model.name)
    with _style():
        names = [(report.classes[c.label], report.classes[c.predicted]) for c in changes]
        figure, axes = _lines([_pair(*pair) for pair in names])
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
        return _svg(figure, key, "Confusions that changed most", "; ".join(says))


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        # The page's fonts draw the letters; what matplotlib's own font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _lines(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes with one line for each name, its label above it so that any name has room."""
    from matplotlib.figure import Figure

    above, below = 0.05, 0.5
    height = LINE_HEIGHT * max(1, len(names)) + above + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.03, below / height, 0.94, 1 - (above + below) / height))
    axes.set_ylim(len(names) - 0.6, -0.6)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x")
    for line, name in enumerate(names):
        axes.text(
            0,
            line - 0.2,
            _label(name),
            transform=axes.get_yaxis_transform(),
            va="bottom",
        )
    _strip(axes)
    return figure, axes


def _strip(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=5)


def _count_rows(axes: Axes) -> None:
    """Ticks at whole numbers; what lies to the left of zero is a count too."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")


def _pair(label: str, predicted: str) -> str:
    """A class and what it was taken for; both stay in sight where they are long."""
    half = (LABEL_ROOM - _width(ARROW)) / 2
    spare = [max(0.0, half - _width(name)) for name in (predicted, label)]
    return _label(label, half + spare[0]) + ARROW + _label(predicted, half + spare[1])


def _label(name: str, room: float = LABEL_ROOM) -> str:
    """A name on one line, cut to the room, without what XML cannot hold."""
    text = "".join(letter if letter.isprintable() else " " for letter in " ".join(name.split()))
    if _width(text) <= room:
        return text
    fits = bisect_right(range(len(text)), room, key=lambda length: _width(text[:length] + CUT))
    return text[: max(0, fits - 1)] + CUT


def _width(text: str) -> float:
    """Width in units of matplotlib's font, which is wider than those of most pages."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # It has no letters as wide as they are high and takes a narrower sign in their place.
    return float(width) + FONT_SIZE * sum(east_asian_width(letter) in "WF" for letter in text) / 2


def _bins(bins: ReliabilityBins) -> str:
    pairs = zip(bins.confidence, bins.accuracy, strict=True)
    return ", ".join(f"{percent(c)} and {percent(a)}" for c, a in pairs)


def _svg(figure: Figure, key: str, title: str, description: str) -> str:
    """Figure as an SVG element for a page: own ids, colours of the page, a text alternative."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(file.getvalue())
    for part in ("metadata", "defs"):
        found = root.find(f"{{{SVG}}}{part}")
        # The first definitions are a style sheet, which would rule the whole page.
        if found is not None and (part == "metadata" or found.find(f"{{{SVG}}}style") is not None):
            root.remove(found)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _for_page(name, value, key))
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    for at, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{key}-{tag}"})
        element.text = "".join(letter if letter.isprintable() else " " for letter in text)
        root.insert(at, element)
    return ElementTree.tostring(root, encoding="unicode")


def _for_page(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == f"{{{XLINK}}}href":
        return value.replace("#", f"#{key}-")
    value = value.replace("url(#", f"url(#{key}-")
    return re.sub(r"#(0\d)\1\1", lambda found: PAGE_COLOURS.get(found[0], found[0]), value)
