"""Plot mean gains of a benchmark: python -m benchmarks.gains.plot CELLS.csv -o gains.svg.

CELLS.csv comes from `postproc bench RUNDIR... --csv CELLS.csv`. A dot is the mean gain over the
cells of a shift; the cross is the worst cell of all: what a method may cost.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

#: Colours that colour-blind readers tell apart (Okabe and Ito), and marks for those who print.
STYLES = (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "D"), ("#cc79a7", "^"))
TITLES = {"member": "One model at a time", "ensemble": "All models together"}
BASELINES = {
    "member": "points of accuracy over the model's own predictions",
    "ensemble": "points of accuracy over the best single model",
}

Gains = dict[str, dict[str, list[float]]]


def read(path: Path) -> dict[str, Gains]:
    """Gains of every cell in points, by scope, method and shift; failed cells are left out."""
    found: dict[str, Gains] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["gain"]:
                gains = found[line["scope"]][line["method"]][line["shift"]]
                gains.append(100 * float(line["gain"]))
    return found


def mean(shifts: dict[str, list[float]]) -> float:
    """Mean over shifts of the mean over cells."""
    return float(np.mean([np.mean(gains) for gains in shifts.values()]))


def plot(found: dict[str, Gains], path: Path) -> None:
    """One panel a scope, one line a method, the best on top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    scopes = [scope for scope in TITLES if scope in found]
    heights = [len(found[scope]) for scope in scopes]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "postproc", "font.size": 10}):
        figure = Figure(figsize=(8, 0.27 * sum(heights) + 1.9), layout="constrained")
        panels = figure.subplots(len(scopes), 1, height_ratios=heights, squeeze=False)
        for axes, scope in zip(panels[:, 0], scopes, strict=True):
            methods = sorted(found[scope], key=lambda name: mean(found[scope][name]))
            shifts = list(next(iter(found[scope].values())))
            for place, method in enumerate(methods):
                gains = found[scope][method]
                worst = min(min(values) for values in gains.values())
                axes.plot(worst, place, "x", color="#d55e00", label="worst cell", clip_on=False)
                for shift, (colour, mark) in zip(shifts, STYLES, strict=False):
                    at = float(np.mean(gains[shift]))
                    axes.plot(at, place, mark, color=colour, markersize=6, label=shift)
            axes.axvline(0, color="#444444", linewidth=1)
            axes.set_xscale("symlog", linthresh=1, linscale=0.8)
            ticks = [-30, -10, -3, -1, 0, 1, 3, 10]
            low, high = axes.get_xlim()
            shown = [tick for tick in ticks if low <= tick <= high]
            axes.set_xticks(shown, [f"{tick:+d}" if tick else "0" for tick in shown])
            axes.minorticks_off()
            axes.set_yticks(range(len(methods)), methods)
            axes.set_ylim(-0.7, len(methods) - 0.3)
            axes.grid(axis="both", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_title(TITLES[scope], loc="left", fontsize=11, fontweight="bold")
            axes.set_xlabel(BASELINES[scope])
            for side in ("top", "right", "left"):
                axes.spines[side].set_visible(False)
            axes.tick_params(left=False)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        figure.legend(once.values(), once, loc="outside lower center", ncols=len(once))
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gains.plot")
    parser.add_argument("cells", type=Path, metavar="CELLS.csv")
    parser.add_argument("-o", "--output", type=Path, default=Path("gains.svg"))
    given = parser.parse_args()
    plot(read(given.cells), given.output)


if __name__ == "__main__":
    main()
