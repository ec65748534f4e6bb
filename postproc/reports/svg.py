"""Plots as plain elements, which the macro `plot` of the templates writes as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

#: Width of a plot in pixels: it fits a phone without being scaled down.
WIDTH = 324
#: Height of one line of a plot that lists things: a name with its mark below.
LINE_HEIGHT = 32
MARGIN = 10
#: Room below the axis for tick labels and the axis label.
AXIS_ROOM = 36
#: Most steps between the ticks of an axis.
MOST_TICKS = 6
#: Approximate width of a digit of the numbers beside a name.
DIGIT = 5.6

#: Outlines of marks around the origin.
SHAPES = {
    "disc": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "square": "M-3-3h6v6h-6z",
    "diamond": "M0-5l5 5-5 5-5-5z",
    "left": "M-5 0l8-5v10z",
    "right": "M5 0l-8-5v10z",
    "badge": "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0z",
}


class Element(NamedTuple):
    """An SVG element with its text, if any."""

    tag: str
    attributes: dict[str, Any]
    text: str = ""


class Name(NamedTuple):
    """The name of a line, cut by the page to its width; a pair is joined by an arrow."""

    parts: tuple[str, ...]
    y: float
    width: float


class Plot(NamedTuple):
    """A plot; title and description tell screen readers what it shows."""

    key: str
    title: str
    description: str
    height: float
    elements: list[Element]
    names: list[Name]
    width: int = WIDTH


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """Round numbers, or powers of ten, between the ends, up to one more than MOST_TICKS."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            apart = 1 + (last - first) // (MOST_TICKS + 1)
            return [10.0**power for power in range(first, last + 1, apart)]
        reach = self.high - self.low
        power = 10.0 ** math.floor(math.log10(reach / MOST_TICKS))
        step = next(m * power for m in (1, 2, 5, 10) if m * power * MOST_TICKS >= reach)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(number * step, 10) for number in range(first, last + 1)]


class Chart:
    """Elements drawn on two axes; positions are values on these."""

    def __init__(self, x: Scale, y: Scale) -> None:
        self.x = x
        self.y = y
        self.elements: list[Element] = []
        self.names: list[Name] = []

    def add(self, tag: str, style: str, text: str = "", **attributes: Any) -> None:
        """Add an element at pixels."""
        self.elements.append(Element(tag, {"class": style, **attributes}, text))

    def axis(
        self,
        label: str,
        *,
        top: float,
        bottom: float,
        ticks: Iterable[float] | None = None,
        text: Callable[[float], str] = "{:g}".format,
    ) -> None:
        """Draw the grid, tick labels and label of the x axis."""
        for tick in self.x.ticks() if ticks is None else ticks:
            at = self.x(tick)
            self.add("line", "grid", x1=at, x2=at, y1=top, y2=bottom)
            self.text(text(tick), at, bottom + 14)
        self.add("line", "grid", x1=self.x.start, x2=self.x.end, y1=bottom, y2=bottom)
        self.text(label, (self.x.start + self.x.end) / 2, bottom + 30)

    def y_axis(self, label: str, *, top: float = 0.0) -> None:
        """Draw the grid, tick labels and label of the y axis."""
        for tick in self.y.ticks():
            at = self.y(tick)
            self.add("line", "grid", x1=self.x.start, x2=self.x.end, y1=at, y2=at)
            self.text(f"{tick:g}", self.x.start - 6, at + 3, "end")
        self.text(label, MARGIN, top + 12, "start")

    def text(self, text: str, x: float, y: float, anchor: str = "middle") -> None:
        """Write small letters at a pixel."""
        self.add("text", "", text, x=x, y=y, **{"text-anchor": anchor})

    def line(self, x: Sequence[float], y: Sequence[float], style: str) -> None:
        """Draw a line through points."""
        points = " ".join(f"{self.x(a)},{self.y(b)}" for a, b in zip(x, y, strict=True))
        self.add("polyline", f"line {style}", points=points)

    def zero_line(self, n_lines: int) -> None:
        """Draw the line at 0 through a list of lines, but for their names."""
        for line in range(n_lines):
            self.line((0, 0), (line - 0.2, line + 0.3), "ink thin")

    def mark(self, x: float, y: float, style: str, shape: str = "disc") -> None:
        """Draw a mark."""
        place = f"translate({self.x(x)} {self.y(y)})"
        self.add("path", f"mark {style}", d=SHAPES[shape], transform=place)

    def plot(self, key: str, title: str, description: str, height: float) -> Plot:
        """The finished plot; `key` is the prefix of its ids."""
        return Plot(key, title, description, round(height, 2), self.elements, self.names)


def list_chart(
    names: Sequence[tuple[str, ...]],
    limits: tuple[float, float],
    label: str,
    *,
    numbers: Sequence[str] = (),
    band: tuple[float, float] | None = None,
    **axis: Any,
) -> tuple[Chart, float]:
    """A chart with one line for each name, perhaps with numbers to the right; and its height."""
    pad = 0.04 * (limits[1] - limits[0])
    x = Scale(limits[0] - pad, limits[1] + pad, MARGIN, WIDTH - MARGIN)
    chart = Chart(x, Scale(0, 1, LINE_HEIGHT - 10, 2 * LINE_HEIGHT - 10))
    bottom = LINE_HEIGHT * len(names) + 2
    if band is not None:
        left, right = (x(min(max(end, x.low), x.high)) for end in band)
        chart.add("rect", "band", x=left, y=0, width=round(right - left, 2), height=bottom)
    chart.axis(label, top=0, bottom=bottom, **axis)
    room = DIGIT * max(map(len, numbers), default=0)
    for line, parts in enumerate(names):
        top = LINE_HEIGHT * line
        chart.names.append(Name(parts, top, WIDTH - 2 * MARGIN - room - 8 * bool(numbers)))
        if numbers:
            chart.text(numbers[line], WIDTH - MARGIN, top + 12, "end")
    return chart, bottom + AXIS_ROOM


class Row(NamedTuple):
    """One line of an interval plot: a name, a mark with its interval, perhaps its numbers."""

    name: str
    at: float
    low: float
    high: float
    style: str  # classes of the mark and its line
    numbers: str = ""
    shape: str = "disc"


def interval_plot(
    rows: Sequence[Row],
    limits: tuple[float, float],
    label: str,
    *,
    zero: bool = True,
    **options: Any,
) -> tuple[Chart, float]:
    """A chart of intervals; those that leave the limits are cut, and their marks point outwards."""
    numbers = [row.numbers for row in rows if row.numbers]
    chart, height = list_chart(
        [(row.name,) for row in rows], limits, label, numbers=numbers, **options
    )
    if zero:
        chart.zero_line(len(rows))
    floor, top = limits
    for line, row in enumerate(rows):
        if row.high > floor and row.low < top:
            chart.line((max(row.low, floor), min(row.high, top)), (line, line), row.style)
        shape = row.shape
        if row.at < floor:
            shape = "left"
        elif row.at > top:
            shape = "right"
        chart.mark(min(max(row.at, floor), top), line, row.style, shape)
    return chart, height
