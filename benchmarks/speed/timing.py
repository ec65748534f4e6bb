"""Timing: alternate the contestants in one run, so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    name : str
        What is measured.
    value : float
        Median of the ratio over the rounds.
    spread : tuple of float
        Least and largest ratio.
    wanted : str
        The bound, such as ">= 100".
    detail : str
        Times behind the ratio.
    """

    name: str
    value: float
    spread: tuple[float, float]
    wanted: str
    detail: str

    @property
    def reached(self) -> bool:
        """Whether the median keeps the bound."""
        sign, bound = self.wanted.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    def line(self) -> str:
        """The line of a Markdown table."""
        low, high = self.spread
        verdict = "yes" if self.reached else "**no**"
        return (
            f"| {self.name} | {self.value:.3g} | {low:.3g} to {high:.3g} | {self.wanted} | "
            f"{verdict} | {self.detail} |"
        )


HEADING = "| figure | median | spread | wanted | reached | behind it |\n|---|---|---|---|---|---|"


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(
    name: str,
    numerator: Callable[[], object],
    denominator: Callable[[], object],
    wanted: str,
    *,
    rounds: int = 5,
    scale: float = 1.0,
    labels: tuple[str, str] = ("", ""),
) -> Figure:
    """Time two functions in turns; the figure is scale × time of the first / time of the second."""
    numerator(), denominator()  # warm caches and threads
    above, below = [], []
    for _ in range(rounds):
        above.append(seconds(numerator))
        below.append(seconds(denominator))
    ratios = [scale * a / b for a, b in zip(above, below, strict=True)]
    detail = (
        f"{labels[0]} {statistics.median(above):.4g} s, "
        f"{labels[1]} {statistics.median(below):.4g} s"
    )
    return Figure(name, statistics.median(ratios), (min(ratios), max(ratios)), wanted, detail)
