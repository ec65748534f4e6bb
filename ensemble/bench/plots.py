"""Plots of a benchmark: gains, ranks, and gains over time."""

from __future__ import annotations

from cmath import exp
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from ensemble.bench.results import Estimate
from ensemble.bench.tables import Cost, gain_text
from postproc.reports.svg import AXIS_ROOM, MARGIN, WIDTH, Chart, Plot, Row, Scale, interval_plot
from postproc.reports.tables import interval, points

#: Gain in points that an axis reaches at least, to either side.
LEAST_REACH = 0.5
#: A bound above this multiple of the largest gain is drawn at the edge.
BOUND_TO_GAIN = 1.5
#: Appended to the name of a method that looks at labels of the target.
BOUND = " (bound)"
#: Shorter times, which cannot be measured, are drawn as this many seconds.
LEAST_SECONDS = 1e-4
#: Distance in pixels that numbered marks keep from each other.
APART = 17.0


class Gain(NamedTuple):
    """One line of a gain plot."""

    method: str
    estimate: Estimate
    is_bound: bool = False


def gain_plot(gains: Sequence[Gain], *, title: str, key: str, metric: str = "accuracy") -> Plot:
    """Forest plot: the gain of every method with its interval; filled marks exclude zero."""
    rows, says = [], []
    for gain in gains:
        name = gain.method + BOUND * gain.is_bound
        mean, low, high = (100 * value for value in gain.estimate)
        is_sure = gain.estimate.is_sure
        style = "muted hollow" if not is_sure else "good" if mean > 0 else "bad"
        shape = "diamond" if gain.is_bound else "disc"
        rows.append(Row(name, mean, low, high, style, gain_text(gain.estimate), shape))
        says.append(
            f"{name}: {points(gain.estimate.mean)}, {interval(gain.estimate.interval, points).text}"
        )
    chart, height = interval_plot(rows, gain_limits(gains), f"gain in points of {metric}")
    return chart.plot(key, title, "; ".join(says), height)


def gain_limits(gains: Sequence[Gain]) -> tuple[float, float]:
    """Ends of an axis of gains, in points, chosen so that extremes do not squeeze the rest.

    All gains of methods that are not bounds fit. Losses fit up to the size of the largest gain or,
    if most methods lose, up to twice the median loss; bounds fit up to 1.5 times the largest gain.
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
) -> Plot:
    """Mean ranks, best first, each with a bar of half the critical difference to either side."""
    half, best = difference / 2, min(ranks)
    rows = [
        Row(
            method,
            rank,
            rank - half,
            rank + half,
            "accent" if rank - best <= difference else "muted",
            f"{rank:.2f}",
        )
        for method, rank in zip(methods, ranks, strict=True)
    ]
    chart, height = interval_plot(
        rows,
        (best - half, max(ranks) + half),
        "mean rank (1 is best)",
        zero=False,
        band=(best - half, best + half),
        # Bars reach beyond the ranks that exist; ticks do not.
        ticks=range(1, len(ranks) + 1, 1 + len(ranks) // 7),
    )
    says = "; ".join(f"{row.name}: {row.numbers}" for row in rows)
    return chart.plot(key, f"Mean ranks; critical difference {difference:.2f}", says, height)


def time_plot(costs: Sequence[Cost], *, title: str, key: str, metric: str = "accuracy") -> Plot:
    """Scatter of gain over seconds on a logarithmic axis; marks are numbered in the order given."""
    top, bottom = 24.0, 200.0 + 8.0 * len(costs)
    seconds = [max(cost.seconds, LEAST_SECONDS) for cost in costs]
    low, high = gain_limits([Gain(cost.method, Estimate(*[cost.gain] * 3)) for cost in costs])
    pad = 0.06 * (high - low)
    # Whole decades, so that there are always two ticks to read the scale by.
    first = 10.0 ** np.floor(np.log10(min(seconds) / 1.2))
    last = 10.0 ** np.ceil(np.log10(max(seconds) * 1.2))
    chart = Chart(
        Scale(first, last, 34, WIDTH - 2 * MARGIN, is_log=True),
        Scale(low - pad, high + pad, bottom, top),
    )
    chart.axis("seconds (fit and one target)", top=top, bottom=bottom)
    chart.y_axis(f"gain in points of {metric}")
    chart.line((first, last), (0, 0), "ink thin")
    shown = [max(100 * cost.gain, low) for cost in costs]
    marks = [
        complex(chart.x(second), chart.y(gain)) for second, gain in zip(seconds, shown, strict=True)
    ]
    places = spread(marks, APART, complex(chart.x.start, top), complex(WIDTH - MARGIN, bottom))
    for mark, place in zip(marks, places, strict=True):
        if mark != place:
            chart.add("line", "lead", x1=mark.real, y1=mark.imag, x2=place.real, y2=place.imag)
            chart.add("circle", "lead", cx=mark.real, cy=mark.imag, r=2)
    for number, (place, cost) in enumerate(zip(places, costs, strict=True), 1):
        style = "accent hollow badge" if 100 * cost.gain < low else "accent badge"
        chart.add("circle", style, cx=place.real, cy=place.imag, r=8)
        chart.text(str(number), place.real, place.imag + 3.5)
    says = "; ".join(
        f"{cost.method}: {points(cost.gain)} in {cost.seconds:.3g} s" for cost in costs
    )
    return chart.plot(key, title, says, bottom + AXIS_ROOM)


def spread(marks: Sequence[complex], apart: float, low: complex, high: complex) -> list[complex]:
    """Move each mark that is too close to one before it to a free place near by, within a box."""
    places: list[complex] = []
    for mark in marks:
        for turn in count():  # along a spiral around the mark
            step = 0.15 * apart * turn**0.5 * exp(2.4j * turn)
            place = complex(round(mark.real + step.real, 2), round(mark.imag + step.imag, 2))
            inside = low.real <= place.real <= high.real and low.imag <= place.imag <= high.imag
            if (turn == 0 or inside) and all(abs(place - other) >= apart for other in places):
                places.append(place)
                break
    return places
