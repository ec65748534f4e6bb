"""A benchmark in a few tables, for a terminal and Markdown, and all its cells as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from ensemble.bench.board import Board, boards
from ensemble.bench.methods import BASELINE, METHODS
from ensemble.bench.results import LOSS, Estimate, Result, contrast, gain_estimate
from ensemble.bench.tables import REFERENCE, counted, gain_text
from postproc.reports.tables import NOTHING, Cell, Table, count, named, number, percent, points
from postproc.reports.text import csv_text

#: With fewer draws the width of an interval is mostly chance; and the usual number of draws.
FEW_DRAWS = 10
USUAL_DRAWS = 20

TITLES = {"member": "One member", "ensemble": "All members"}
NOTES = {
    "member": "Gain over the member's own predictions",
    "ensemble": f"Gain over {BASELINE}, the member that is best on val",
}


def summary_tables(results: Sequence[Result]) -> list[Table]:
    """One table of methods on one member, one of those on all, if there are any."""
    return [_table(board) for board in boards(results)]


def rough_intervals(draws: int) -> list[str]:
    """A note that few draws give rough intervals; one draw has an interval of its own."""
    if not 1 < draws < FEW_DRAWS:
        return []
    return [f"{draws} draws: intervals are rough; {USUAL_DRAWS} or more are usual (--draws)."]


def to_csv(results: Sequence[Result]) -> str:
    """One line per cell, shares as fractions; unknown values are empty."""
    lines = []
    for result in results:
        line = result.to_dict()
        line["gain_low"], line["gain_high"] = line.pop("gain_ci")
        line["error"] = result.error
        lines.append(line)
    return csv_text(lines)


def _table(board: Board) -> Table:
    shifts = list(dict.fromkeys(result.shift for result in board.results))
    tried = {result.method for result in board.results}
    # Results come in the order of the work; bounds come last.
    listed = sorted((m for m in METHODS if m.scope == board.scope), key=lambda m: m.bound)
    methods = [method for method in listed if method.name in tried]
    reference = board.cells(REFERENCE)
    compared = REFERENCE in tried and board.scope == "ensemble"
    columns = ["method", *shifts, *([f"over {REFERENCE}"] if compared else [])]
    columns += ["worst", "losing", "worst cell"]
    first = [Cell("baseline, %", None)]
    first += [number(board.baseline_score(shift), percent) for shift in shifts]
    rows = [(*first, *[Cell("", None)] * (len(columns) - len(first)))]
    for method in methods:
        own = board.cells(method.name)
        cells = [Cell(method.name + " *" * method.bound, method.name)]
        cells += [_gain(gain_estimate(r for r in own if r.shift == shift)) for shift in shifts]
        if compared:
            same = method.name == REFERENCE
            cells.append(Cell(NOTHING, None) if same else _gain(contrast(own, reference)))
        rows.append((*cells, *_worst(board, method.name)))
    models = counted(len({(r.task, r.model) for r in board.results}), "member")
    what = f"{models} of " if board.scope == "member" else ""
    notes = [
        f"{NOTES[board.scope]}, in points of {board.metric}: mean and half-width of the 95 % "
        f"interval for one target; {counted(board.n_draws, 'draw')} per shift. Losing: cells below "
        f"{100 * LOSS:+.1f}.",
        *rough_intervals(board.n_draws),
    ]
    if any(method.bound for method in methods):
        notes.append("* uses the target's labels, which no method can do in practice.")
    if failed := len(board.results) - len(board.known):
        notes.append(f"Not counted: {counted(failed, 'failed cell')}.")
    tasks = counted(len({result.task for result in board.results}), "task")
    heading = f"{TITLES[board.scope]}: {what}{tasks}"
    return Table(heading, tuple(columns), tuple(rows), " ".join(notes))


def _gain(estimate: Estimate) -> Cell:
    return number(estimate.mean, lambda _: gain_text(estimate))


def _worst(board: Board, method: str) -> tuple[Cell, Cell, Cell]:
    harm = board.harm(method)
    if harm is None:
        return (Cell(NOTHING, None),) * 3
    worst = harm.worst
    model = () if worst.scope == "ensemble" else (worst.model,)
    where = ", ".join((worst.task, *model, worst.shift))
    return number(worst.gain, points), count(harm.n_losses), named(where)
