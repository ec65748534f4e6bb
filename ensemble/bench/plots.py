"""Plots of a benchmark: gains, ranks, and gains over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ensemble.bench.labels import Box, place_labels
from ensemble.bench.results import Estimate, Floats
from postproc.reports.svg import (
    ACCENT,
    BAD,
    GOOD,
    GRID,
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
    from matplotlib.figure import Figure

#: Gain in points down to which an axis reaches at least, and up to which.
LEAST_REACH = 0.5
#: A bound that is more than so many times the largest gain is drawn at the edge.
BOUND_TO_GAIN = 1.5
#: Size of small letters.
SMALL = 9
#: Room for the name of a method beside its mark, in units.
NAME_ROOM = 110.0
#: A name that is farther from its mark than this has a line to it, in units.
FAR = 7.0
#: Shown after the name of a method that nobody can have.
BOUND = " (bound)"
#: Seconds that are too few to be measured are drawn as this many.
LEAST_SECONDS = 1e-4


class Gain(NamedTuple):
    """One line of a gain plot."""

    method: str
    estimate: Estimate
    is_bound: bool = False


class Cost(NamedTuple):
    """One mark of a plot of gain over time."""

    method: str
    seconds: float
    gain: float


def gain_plot(gains: Sequence[Gain], *, title: str, key: str) -> str:
    """Forest plot: the gain of every method with its interval; filled marks exclude zero.

    Parameters
    ----------
    gains : sequence of Gain
        The lines, from top to bottom, gains as fractions.
    title : str
        What the plot shows, for those who cannot see it.
    key : str
        Prefix of its ids.

    Returns
    -------
    str
        An SVG element.
    """
    with page_style():
        number_room = max(text_width(_number(gain.estimate), SMALL) for gain in gains)
        names = [gain.method + BOUND * gain.is_bound for gain in gains]
        figure, axes = line_axes(names, room=LABEL_ROOM - number_room - 12)
        low, high = gain_limits(gains)
        for line, gain in enumerate(gains):
            _gain_line(axes, line, gain, low, high)
        axes.axvline(0, color=INK, linewidth=1)
        pad = 0.04 * (high - low)
        axes.set_xlim(low - pad, high + pad)
        axes.set_xlabel("gain in points of accuracy")
        says = "; ".join(
            f"{name}: {points(gain.estimate.mean)}, {_limits(gain.estimate)}"
            for name, gain in zip(names, gains, strict=True)
        )
        return to_svg(figure, key, title, says)


def _gain_line(axes: Axes, line: int, gain: Gain, floor: float, top: float) -> None:
    mean, low, high = (100 * value for value in gain.estimate)
    is_sure = low > 0 or high < 0
    colour = MUTED if not is_sure else GOOD if mean > 0 else BAD
    if high > floor and low < top:
        ends = np.clip([low, high], floor, top)
        axes.plot(ends, [line, line], color=colour, linewidth=2, solid_capstyle="butt")
    edge = "<" if mean < floor else ">" if mean > top else None
    axes.plot(
        [min(max(mean, floor), top)],
        [line],
        marker=edge or ("D" if gain.is_bound else "o"),
        markersize=7,
        color=colour,
        markerfacecolor=colour if is_sure else PAPER,
        markeredgewidth=2,
    )
    axes.text(
        1,
        line - 0.2,
        _number(gain.estimate),
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=MUTED,
    )


def gain_limits(gains: Sequence[Gain]) -> tuple[float, float]:
    """Ends of an axis of gains, in points, so that extremes do not squeeze the rest.

    All gains of methods that are not bounds fit in; losses do to the size of the largest gain, and
    where most methods lose, to twice what the middle one loses; bounds do to half as much again as
    the largest gain. Marks beyond an end belong on it.

    Parameters
    ----------
    gains : sequence of Gain
        What the axis is to show.

    Returns
    -------
    tuple of float
        Lower and upper end.
    """
    rows = np.array([100 * np.array(gain.estimate) for gain in gains])
    is_bound = np.array([gain.is_bound for gain in gains])
    real = rows[~is_bound] if not is_bound.all() else rows
    top = max(LEAST_REACH, float(np.nanmax(real[:, [0, 2]])))
    floor = min(-top, 2 * float(np.median(real[:, 0])))
    high = min(BOUND_TO_GAIN * top, max(top, float(np.nanmax(rows[:, [0, 2]]))))
    return max(min(-LEAST_REACH, float(np.nanmin(rows[:, [0, 1]]))), floor), high


def rank_plot(
    methods: Sequence[str], ranks: Sequence[float], difference: float, *, key: str
) -> str:
    """Mean ranks with bars half a critical difference to either side; those that overlap may tie.

    Parameters
    ----------
    methods : sequence of str
        Names, best first.
    ranks : sequence of float
        Their mean ranks.
    difference : float
        Nemenyi's critical difference.
    key : str
        Prefix of the ids.

    Returns
    -------
    str
        An SVG element.
    """
    half = difference / 2
    with page_style():
        figure, axes = line_axes(methods, room=LABEL_ROOM - 40)
        best = min(ranks)
        axes.axvspan(best - half, best + half, color=GRID, alpha=0.45, linewidth=0)
        for line, rank in enumerate(ranks):
            colour = ACCENT if rank - best <= difference else MUTED
            ends = [rank - half, rank + half]
            axes.plot(ends, [line, line], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([rank], [line], marker="o", markersize=7, color=colour)
            axes.text(
                1,
                line - 0.2,
                f"{rank:.2f}",
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="bottom",
                fontsize=SMALL,
                color=MUTED,
            )
        axes.margins(x=0.04)
        # Bars reach beyond the ranks that there are; ticks do not.
        axes.set_xticks(np.arange(1, len(ranks) + 1, 1 + len(ranks) // 7))
        axes.set_xlabel("mean rank (1 is best)")
        says = "; ".join(f"{m}: {r:.2f}" for m, r in zip(methods, ranks, strict=True))
        return to_svg(figure, key, f"Mean ranks; critical difference {difference:.2f}", says)


def time_plot(costs: Sequence[Cost], *, title: str, key: str) -> str:
    """Scatter of gain over seconds on a logarithmic axis, each mark with its name.

    Parameters
    ----------
    costs : sequence of Cost
        Seconds, and gains as fractions.
    title : str
        What the plot shows, for those who cannot see it.
    key : str
        Prefix of its ids.

    Returns
    -------
    str
        An SVG element.
    """
    from matplotlib.figure import Figure

    with page_style():
        height = 2.4 + 0.16 * len(costs)
        figure = Figure(figsize=(WIDTH, height))
        within = Box(0.45, 0.5, WIDTH - 0.2, height - 0.3)
        axes = figure.add_axes(
            (
                within.left / WIDTH,
                within.bottom / height,
                (within.right - within.left) / WIDTH,
                (within.top - within.bottom) / height,
            )
        )
        seconds = np.array([max(cost.seconds, LEAST_SECONDS) for cost in costs])
        low, high = gain_limits([Gain(cost.method, Estimate(*[cost.gain] * 3)) for cost in costs])
        gains = np.array([100 * cost.gain for cost in costs])
        axes.set_xscale("log")
        # Whole decades, so that there are always two ticks to read the scale by.
        axes.set_xlim(
            10 ** np.floor(np.log10(seconds.min() / 1.2)),
            10 ** np.ceil(np.log10(seconds.max() * 1.2)),
        )
        pad = 0.06 * (high - low)
        axes.set_ylim(low - pad, high + pad)
        for second, gain in zip(seconds, gains, strict=True):
            axes.plot(
                [second],
                [max(gain, low)],
                marker="v" if gain < low else "o",
                markersize=6,
                color=ACCENT,
                zorder=3,
            )
        axes.axhline(0, color=INK, linewidth=1)
        axes.grid(visible=True)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("seconds (fit and one target)")
        axes.text(
            0,
            1.02,
            "gain in points of accuracy",
            transform=axes.transAxes,
            fontsize=SMALL,
            color=MUTED,
        )
        strip(axes)
        names = [
            cost.method + f" {gain:+z.1f}" * bool(gain < low)
            for cost, gain in zip(costs, gains, strict=True)
        ]
        _name_marks(figure, axes, names, np.column_stack((seconds, np.maximum(gains, low))), within)
        says = "; ".join(
            f"{cost.method}: {points(cost.gain)} in {cost.seconds:.3g} s" for cost in costs
        )
        return to_svg(figure, key, title, says)


def _name_marks(
    figure: Figure, axes: Axes, names: Sequence[str], places: Floats, inches: Box
) -> None:
    """Write names beside their marks, with a line to each name that had to move away."""
    from matplotlib.transforms import Affine2D

    within = Box(*(72 * edge for edge in inches))
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across = np.log(places[:, 0] / left) / np.log(right / left)
    up = (places[:, 1] - bottom) / (top - bottom)
    marks = np.column_stack(
        (
            within.left + across * (within.right - within.left),
            within.bottom + up * (within.top - within.bottom),
        )
    )
    shown = [shortened(name, NAME_ROOM, size=SMALL) for name in names]
    sizes = [(text_width(name, SMALL), 1.15 * SMALL) for name in shown]
    zero = within.bottom - bottom / (top - bottom) * (within.top - within.bottom)
    line = Box(within.left, zero - 1, within.right, zero + 1)
    boxes = place_labels(marks, sizes, within, avoid=[line])
    units = Affine2D().scale(1 / 72) + figure.dpi_scale_trans
    for name, (x, y), box in zip(shown, marks, boxes, strict=True):
        axes.text(
            box.left, box.bottom + 0.3 * SMALL, name, transform=units, fontsize=SMALL, zorder=4
        )
        end = box.nearest(x, y)
        if np.hypot(end[0] - x, end[1] - y) > FAR:
            axes.plot(
                [x, end[0]], [y, end[1]], color=MUTED, linewidth=0.7, transform=units, zorder=2
            )


def _number(estimate: Estimate) -> str:
    """A gain and how far its interval reaches, both limits where they are not symmetric."""
    mean, low, high = estimate
    if abs((high - mean) - (mean - low)) < 1e-9:
        return f"{points(mean)} ± {percent(high - mean)}"
    return f"{points(mean)} ({_limits(estimate)})"


def _limits(estimate: Estimate) -> str:
    return f"{points(estimate.low)} to {points(estimate.high)}"
