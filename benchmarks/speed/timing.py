"""Timing: alternate the contestants in one run, so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.speed.child import Run


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
    memory : str
        Peak memory of both, where it was measured.
    """

    name: str
    value: float
    spread: tuple[float, float]
    wanted: str
    detail: str
    memory: str = ""

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
            f"{verdict} | {self.detail} | {self.memory} |"
        )


HEADING = (
    "| figure | median | spread | wanted | reached | behind it | peak memory |\n"
    "|---|---|---|---|---|---|---|"
)


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_bytes(function: Callable[[], object]) -> int:
    """Most memory that Python and NumPy held at once for one call, beyond what was there before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def in_bytes(n_bytes: float) -> str:
    """Bytes in a unit that suits them."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


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
    peaks = peak_bytes(numerator), peak_bytes(denominator)  # also warms caches and threads
    above, below = [], []
    for _ in range(rounds):
        above.append(seconds(numerator))
        below.append(seconds(denominator))
    ratios = [scale * a / b for a, b in zip(above, below, strict=True)]
    detail = (
        f"{labels[0]} {statistics.median(above):.4g} s, "
        f"{labels[1]} {statistics.median(below):.4g} s"
    )
    memory = f"{labels[0]} {in_bytes(peaks[0])}, {labels[1]} {in_bytes(peaks[1])}"
    middle, spread = statistics.median(ratios), (min(ratios), max(ratios))
    return Figure(name, middle, spread, wanted, detail, memory)


def of_runs(
    name: str,
    ours: Callable[[], Run],
    theirs: Callable[[], Run],
    compare: Callable[[float, float], float],
    wanted: str,
    *,
    rounds: int,
    labels: tuple[str, str],
) -> Figure:
    """Run two commands in turns; `compare` makes the figure of the seconds of both."""
    ours(), theirs()  # warm the caches of the file system
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    values = [compare(a.seconds, b.seconds) for a, b in pairs]
    middle = [
        (
            statistics.median(pair[side].seconds for pair in pairs),
            max(pair[side].peak for pair in pairs),
        )
        for side in (0, 1)
    ]
    detail, memory = (
        ", ".join(f"{label} {text}" for label, text in zip(labels, texts, strict=True))
        for texts in (
            [f"{took:.4g} s" for took, _ in middle],
            [in_bytes(peak) for _, peak in middle],
        )
    )
    return Figure(
        name, statistics.median(values), (min(values), max(values)), wanted, detail, memory
    )
