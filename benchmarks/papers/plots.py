"""Plots of the simulation as SVG: small multiples in colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.papers.reference_study import ReferenceCell
from benchmarks.papers.simulation import ALL, BUCKETS, GIVEN, PRIORS, SITUATIONS, Cell
from postproc.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours, with a mark each so that colour is never alone.
STYLES = (
    ("#0072B2", "o"),
    ("#E69F00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#333333", "v"),
)
STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "postproc",  # the same numbers give the same file
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
}
#: Situation and truth of the plots against α and d.
SHOWN, SHOWN_TRUTH = "biased", "uniform"

#: A line of a panel: its name, places on the x axis, gains and half intervals in points.
Line = tuple[str, list[float], list[float], list[float]]


def settings_plot(cells: Sequence[Cell], given: str, path: Path) -> None:
    """Gain on ambiguous rows against d, a line for each α, a panel for each number of classes."""
    own = [
        c
        for c in cells
        if (c.situation, c.truth, c.given, c.bucket) == (SHOWN, SHOWN_TRUTH, given, ALL)
    ]
    panels = []
    for n_classes in dict.fromkeys(c.classes for c in own):
        here = [c for c in own if c.classes == n_classes]
        places = list(dict.fromkeys(c.iterations for c in here))
        lines = []
        for number, alpha in enumerate(dict.fromkeys(c.alpha for c in here)):
            along = [c for c in here if c.alpha == alpha]
            at = [places.index(c.iterations) + 0.07 * (number - 2) for c in along]
            lines.append(_line(f"α = {alpha:g}", at, along))
        panels.append((f"{n_classes} classes", lines))

    def finish(axes: Axes) -> None:
        axes.set_xticks(range(len(places)), [str(place) for place in places])

    columns = min(4, len(panels))
    _save(panels, columns, "iterations d", path, finish)


def buckets_plot(cells: Sequence[Cell], path: Path, truth: str = "skewed") -> None:
    """Gain at α = 1 and d = 1 against C, a line for each bucket of entropy, by situation."""
    names = [s.name for s in SITUATIONS if len(s.alphas) > 1]
    panels = []
    for given in GIVEN:
        for name in names:
            key = (name, truth, given, 1.0, 1)
            own = [
                c
                for c in cells
                if (c.situation, c.truth, c.given, c.alpha, c.iterations) == key and c.bucket != ALL
            ]
            classes = list(dict.fromkeys(c.classes for c in own))
            lines = []
            for number, bucket in enumerate(BUCKETS):
                along = [c for c in own if c.bucket == bucket]
                at = [classes.index(c.classes) + 0.12 * (number - 1) for c in along]
                lines.append(_line(f"entropy {bucket}", at, along))
            panels.append((f"{name}\n{given}", lines))

    def finish(axes: Axes) -> None:
        axes.set_xticks(range(len(classes)), [str(c) for c in classes])

    _save(panels, len(names), "classes", path, finish, sharey="row")


def reference_plot(cells: Sequence[ReferenceCell], path: Path) -> None:
    """Gain against confident rows a class in the reference, a line for each bias."""
    panels = []
    for truth in PRIORS:
        for n_classes in dict.fromkeys(c.classes for c in cells):
            own = [c for c in cells if (c.truth, c.classes) == (truth, n_classes)]
            sizes = list(dict.fromkeys(c.rows_a_class for c in own))
            lines = []
            for number, bias in enumerate(dict.fromkeys(c.bias for c in own)):
                along = [c for c in own if c.bias == bias]
                at = [sizes.index(c.rows_a_class) + 0.08 * (number - 1) for c in along]
                lines.append(_line(f"bias σ = {bias:g}", at, along))
            panels.append((f"{n_classes} classes, {truth}", lines))

    def finish(axes: Axes) -> None:
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])

    columns = len(panels) // 2
    _save(panels, columns, "confident rows a class", path, finish)


def draw_all(cells: Sequence[Cell], reference: Sequence[ReferenceCell], folder: Path) -> list[Path]:
    """Draw every plot into a folder; the paths."""
    paths = [folder / f"settings_{given.partition(' ')[0]}.svg" for given in GIVEN]
    for given, path in zip(GIVEN, paths, strict=True):
        settings_plot(cells, given, path)
    paths += [folder / "buckets.svg", folder / "reference.svg"]
    buckets_plot(cells, paths[2])
    reference_plot(reference, paths[3])
    return paths


def _line(name: str, at: list[float], along: Sequence[Cell | ReferenceCell]) -> Line:
    halves = [50 * (c.high - c.low) for c in along]
    return name, at, [100 * c.gain for c in along], halves


def _save(
    panels: Sequence[tuple[str, Sequence[Line]]],
    columns: int,
    label: str,
    path: Path,
    finish: Callable[[Axes], None],
    sharey: bool | Literal["row"] = True,
) -> None:
    """Draw panels on common axes, with one legend, and write the file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        lines_of_panels = -(-len(panels) // columns)
        height = 2.35 * lines_of_panels + 0.55
        figure = Figure(figsize=(2.55 * columns, height), layout="constrained")
        grid = figure.subplots(
            lines_of_panels, columns, sharex=True, sharey=sharey, squeeze=False
        ).ravel()
        for axes, (title, lines) in zip(grid, panels, strict=False):
            axes.axhline(0, color="#333333", linewidth=1)
            for (colour, marker), (name, at, gains, halves) in zip(STYLES, lines, strict=False):
                axes.errorbar(
                    at,
                    gains,
                    yerr=halves,
                    color=colour,
                    marker=marker,
                    markersize=4.5,
                    linewidth=1.3,
                    elinewidth=0.9,
                    label=name,
                )
            axes.set_title(title)
            axes.tick_params(labelbottom=True)
            finish(axes)
        handles, names = grid[0].get_legend_handles_labels()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel(label, fontsize=10)
        figure.supylabel("gain on ambiguous rows, points", fontsize=10)
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        with atomic_path(path, overwrite=True) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
