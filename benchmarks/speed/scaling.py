"""How the cost of CAN grows: python -m benchmarks.speed.scaling [--quick] [--plot FOLDER].

For ambiguous rows, reference rows, classes and iterations in turn, the others held fixed, the
seconds of `alternating_normalization` are measured at five sizes, and the exponent of a power law
is fitted to them in logarithms. Cost is linear where the exponent is 1. Iterations count as d - 1:
the first needs column sums only.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.speed.can import data
from benchmarks.speed.timing import HEADING, Figure, seconds
from postproc import alternating_normalization


@dataclass(frozen=True)
class Sizes:
    """One problem: ambiguous rows k, reference rows n, classes C, iterations d."""

    rows: int = 2000
    reference: int = 2000
    classes: int = 200
    iterations: int = 3


#: What grows, and its values; the rest are those of `Sizes`.
SWEEPS = {
    "rows": (500, 1000, 2000, 4000, 8000),
    "reference": (500, 1000, 2000, 4000, 8000),
    "classes": (50, 100, 200, 400, 800),
    "iterations": (2, 3, 5, 9, 17),
}
TITLES = {
    "rows": "ambiguous rows",
    "reference": "reference rows",
    "classes": "classes",
    "iterations": "iterations d - 1",
}


@dataclass(frozen=True)
class Sweep:
    """Seconds at growing sizes, and the power law through them."""

    name: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def fit(self) -> tuple[float, float]:
        """Exponent and logarithm of the factor."""
        slope, height = np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)
        return float(slope), float(height)

    @property
    def exponents(self) -> list[float]:
        """Exponents between neighbours."""
        return list(np.diff(np.log(self.seconds)) / np.diff(np.log(self.sizes)))


def sweep(name: str, *, rounds: int, shrink: int = 1) -> Sweep:
    """Measure one sweep; sizes but iterations are divided by `shrink`."""
    base = Sizes()
    base = Sizes(base.rows // shrink, base.reference // shrink, base.classes // shrink)
    values = [v if name == "iterations" else v // shrink for v in SWEEPS[name]]
    took: list[list[float]] = [[] for _ in values]
    problems = [replace(base, **{name: value}) for value in values]
    for _ in range(rounds):  # round after round, so that a slow minute hits all sizes alike
        for times, sizes in zip(took, problems, strict=True):
            rows, reference, prior = data(sizes.reference, sizes.rows, sizes.classes, "float32")
            times.append(
                seconds(
                    lambda a=rows, b=reference, q=prior, d=sizes.iterations: (
                        alternating_normalization(a, b, q, iterations=d)
                    )
                )
            )
    shown = tuple(v - 1 if name == "iterations" else v for v in values)
    return Sweep(name, shown, tuple(statistics.median(times) for times in took))


def sweeps(*, quick: bool) -> Iterator[Sweep]:
    """All sweeps."""
    for name in SWEEPS:
        yield sweep(name, rounds=2 if quick else 7, shrink=5 if quick else 1)


def figures(*, quick: bool) -> Iterator[Figure]:
    """The exponents."""
    return map(figure, sweeps(quick=quick))


def figure(found: Sweep) -> Figure:
    """The exponent of one sweep, and the least and largest between neighbours."""
    between = found.exponents
    times = ", ".join(f"{took:.3g}" for took in found.seconds)
    return Figure(
        f"CAN: exponent of the cost in {TITLES[found.name]}",
        found.fit[0],
        (min(between), max(between)),
        "<= 1.1",
        f"{', '.join(map(str, found.sizes))}: {times} s",
    )


def plot(found: list[Sweep], path: Path) -> None:
    """Seconds against size, one panel for each sweep, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FuncFormatter, LogLocator

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "postproc", "font.size": 10}):
        canvas = Canvas(figsize=(8, 6), layout="constrained")
        for axes, one in zip(canvas.subplots(2, 2).flat, found, strict=True):
            slope, height = one.fit
            sizes = np.array(one.sizes, dtype=float)
            axes.loglog(sizes, np.exp(height) * sizes**slope, color="#999999", linewidth=1)
            axes.loglog(sizes, one.seconds, "o", color="#0072b2")
            axes.set_title(f"{TITLES[one.name]}: exponent {slope:.2f}", loc="left", fontsize=11)
            axes.set_xticks(sizes, [f"{size:,}" for size in one.sizes])
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.minorticks_off()
            axes.set_ylabel("seconds")
            axes.grid(alpha=0.3)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        canvas.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the exponents, and draw the plot where a folder is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scaling")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="write scaling.svg there")
    given = parser.parse_args()
    found = list(sweeps(quick=given.quick))
    print("\n".join([HEADING, *(figure(one).line() for one in found)]))
    if given.plot is not None:
        plot(found, given.plot / "scaling.svg")


if __name__ == "__main__":
    main()
