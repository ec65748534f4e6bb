"""A benchmark in a few tables, for a terminal and Markdown, and all its cells as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from ensemble.bench.methods import BASELINE, METHODS
from ensemble.bench.results import (
    LOSS,
    Estimate,
    Result,
    contrast,
    gain_estimate,
    losing_cells,
    worst_cell,
)
from postproc.reports.tables import NOTHING, Cell, Table, percent, points

#: The ensemble that others are compared with, too: it costs next to nothing.
REFERENCE = "calibrated"

#: Draws below which the t interval is wide and its reach mostly chance, and how many are usual.
FEW_DRAWS = 10
USUAL_DRAWS = 20


def summary_tables(results: Sequence[Result]) -> list[Table]:
    """One table of methods on one member, one of those on all; what is not there is left out."""
    found = []
    for scope, title, note in (
        ("member", "One member", "Gain over the member's own predictions"),
        (
            "ensemble",
            "All members",
            f"Gain over {BASELINE}, the member that is best on val",
        ),
    ):
        own = [result for result in results if result.scope == scope]
        if own:
            found.append(_table(own, title, note))
    return found


def rough_intervals(draws: int) -> list[str]:
    """Say that a spread over few draws is hardly known; one draw has an interval of its own."""
    if not 1 < draws < FEW_DRAWS:
        return []
    return [f"{draws} draws: intervals are rough; {USUAL_DRAWS} or more are usual (--draws)."]


def to_csv(results: Sequence[Result]) -> str:
    """One line a cell, shares as fractions; what is not known is empty."""
    file = io.StringIO()
    lines = []
    for result in results:
        line = result.to_dict()
        line["gain_low"], line["gain_high"] = line.pop("gain_ci")
        line["error"] = result.error
        lines.append(line)
    if lines:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return file.getvalue()


def _table(results: Sequence[Result], title: str, note: str) -> Table:
    shifts = list(dict.fromkeys(result.shift for result in results))
    there = {result.method for result in results}
    scope = results[0].scope
    # Results come in the order of the work; bounds stand last.
    listed = sorted((m for m in METHODS if m.scope == scope), key=lambda method: method.bound)
    names = [method.name for method in listed if method.name in there]
    bounds = {method.name for method in listed if method.bound}
    reference = [result for result in results if result.method == REFERENCE]
    compared = bool(reference) and scope == "ensemble"
    columns = ["method", *shifts, *([f"over {REFERENCE}"] if compared else [])]
    columns += ["worst", "losing", "worst cell"]
    rows = [_baseline_row(results, shifts, len(columns))]
    for name in names:
        own = [result for result in results if result.method == name]
        cells = [Cell(name + " *" if name in bounds else name, name)]
        for shift in shifts:
            cells += [_gain(gain_estimate(r for r in own if r.shift == shift))]
        if compared:
            same = name == REFERENCE
            cells.append(Cell(NOTHING, None) if same else _gain(contrast(own, reference)))
        rows.append((*cells, *_worst(own)))
    tasks = {result.task for result in results}
    models = {(result.task, result.model) for result in results}
    draws = max((len(result.n) for result in results), default=0)
    what = f"{len(models)} member{_s(len(models))} of " if scope == "member" else ""
    notes = [
        f"{note}, in points of accuracy, mean and reach of the 95 % interval for one target; "
        f"{draws} draw{_s(draws)} for each shift. Losing: cells below {100 * LOSS:+.1f}.",
        *rough_intervals(draws),
    ]
    if bounds.intersection(names):
        notes.append("* looks at the target's labels, which no method can.")
    failed = sum(result.error is not None for result in results)
    if failed:
        notes.append(f"{failed} cell{_s(failed)} failed and do{'es' * (failed == 1)} not count.")
    heading = f"{title}: {what}{len(tasks)} task{_s(len(tasks))}"
    return Table(heading, tuple(columns), tuple(rows), " ".join(notes))


def _baseline_row(results: Sequence[Result], shifts: Sequence[str], width: int) -> tuple[Cell, ...]:
    """Mean accuracy of the baseline on all cells of a shift."""
    cells = [Cell("baseline, %", None)]
    for shift in shifts:
        # A cell's baseline is the same for every method: each cell counts once.
        own = {r.cell: r for r in results if r.shift == shift and r.error is None}
        shares = [sum(r.baseline) / sum(r.n) for r in own.values()]
        mean = sum(shares) / len(shares) if shares else math.nan
        cells.append(Cell(percent(mean), mean) if shares else Cell(NOTHING, None))
    return (*cells, *[Cell("", None)] * (width - len(cells)))


def _gain(estimate: Estimate) -> Cell:
    """A mean and how far its interval reaches, both limits where they are not symmetric."""
    mean, low, high = estimate
    if math.isnan(mean):
        return Cell(NOTHING, None)
    if math.isnan(low):
        return Cell(points(mean), mean)
    if abs((high - mean) - (mean - low)) < 1e-9:
        return Cell(f"{points(mean)} ±{percent(high - mean)}", mean)
    return Cell(f"{points(mean)} ({points(low)} to {points(high)})", mean)


def _worst(results: Sequence[Result]) -> tuple[Cell, Cell, Cell]:
    worst = worst_cell(results)
    if worst is None:
        return (Cell(NOTHING, None),) * 3
    where = ", ".join(name for name in (worst.task, worst.model, worst.shift))
    if worst.scope == "ensemble":
        where = f"{worst.task}, {worst.shift}"
    losing = len(losing_cells(results))
    return Cell(points(worst.gain), worst.gain), Cell(str(losing), losing), Cell(where, where)


def _s(number: int) -> str:
    return "" if number == 1 else "s"
