"""The HTML page of a benchmark: who gains, where it harms, and what cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ensemble.bench import plots, tables
from ensemble.bench.board import BOUNDS, LEAST_BLOCKS, Board, Ranking, boards
from ensemble.bench.results import LOSS, Result
from ensemble.bench.statistics import FriedmanTest, friedman, least_p, nemenyi_difference
from ensemble.bench.summary import rough_intervals
from postproc.evaluation.paired import CONFIDENCE
from postproc.reports.html import NINETY_FIVE, render_page
from postproc.reports.tables import interval, p_text, percent, points

#: The one method that promises to do nothing where nothing is shown to help.
CAREFUL = "auto"
#: Up to so many tasks are shown at once.
TASKS_OPEN = 2
HEADINGS = {"member": "One member at a time", "ensemble": "All members together"}
ON = {"member": "On one member at a time", "ensemble": "With all members together"}
BASELINES = {"member": "the member’s own predictions", "ensemble": "the best single member"}


def bench_page(results: Sequence[Result], settings: Mapping[str, Any], *, title: str) -> str:
    """Return the page of a benchmark: one file that needs nothing else.

    Parameters
    ----------
    results : sequence of Result
        All cells, failed ones too.
    settings : mapping
        How they were made, by name; shown as it is, but for `skipped`, a mapping from run
        directories that were left out to the reason, and `warnings`, a list of sentences.
    title : str
        Heading of the page.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ImportError
        If Jinja2 or matplotlib is missing.
    ValueError
        If cells have different numbers of draws.
    """
    arranged = boards(results)
    apart = ("skipped", "warnings")
    shown = {name: value for name, value in settings.items() if name not in apart}
    errors = tables.error_table(results)
    skipped = tables.skipped_table(settings.get("skipped") or {})
    tasks = list(dict.fromkeys(task for board in arranged for task in board.tasks))
    return render_page(
        "bench.html",
        title=title,
        summary=summary(arranged, n_failed=sum(r.error is not None for r in results)),
        warnings=settings.get("warnings", ()),
        rough=rough_intervals(max(map(_n_draws, arranged), default=0)),
        is_picked=any(len(board.contenders) > 1 for board in arranged),
        sections=[_section(board) for board in arranged],
        tasks=[_task(arranged, task, number) for number, task in enumerate(tasks)],
        is_open=len(tasks) <= TASKS_OPEN,
        steps=tables.STEPS,
        errors=errors if errors.rows else None,
        skipped=skipped if skipped.rows else None,
        settings=tables.setting_table(shown) if shown else None,
    )


def summary(arranged: Sequence[Board], *, n_failed: int = 0) -> list[str]:
    """What came out, in sentences.

    Parameters
    ----------
    arranged : sequence of Board
        One board for each scope.
    n_failed : int
        Number of cells without numbers.

    Returns
    -------
    list of str
        Paragraphs.
    """
    if not arranged:
        return ["No method gave a number on any task."]
    said = [_best(board) for board in arranged]
    said += [_careful(board) for board in arranged if CAREFUL in board.methods]
    if n_failed:
        said.append(f"{_count(n_failed, 'cell')} failed and {_verb(n_failed)} listed below.")
    return said


def _best(board: Board) -> str:
    """The method of the largest mean gain, whether that is shown, and where it harms."""
    on, over = ON[board.scope], BASELINES[board.scope]
    complete = [name for name in board.contenders if board.is_complete_everywhere(name)]
    if not complete:
        return f"{on}, no method has numbers in every cell: none is called best."
    best, *_ = complete
    mean, harm = board.overall(best), board.harm(best)
    assert harm is not None  # a complete method has numbers
    within = f"{NINETY_FIVE} interval {interval(mean.interval, points).text}"
    numbers = f"{points(mean.mean)} points over {over} ({within}; {_extent(board)})"
    if mean.low > 0:
        first = f"{on}, {best} gains most: {numbers}."
    else:
        first = f"{on}, no method is shown to gain; {best} comes closest: {numbers}."
    cells = _count(harm.n_cells, "cell")
    return (
        f"{first} It loses more than {-100 * LOSS:g} points in {harm.n_losses} of {cells}, and "
        f"in {harm.n_sure_losses} the whole interval lies below zero."
    )


def _careful(board: Board) -> str:
    """Whether `auto` is ever worse than doing nothing."""
    harm = board.harm(CAREFUL)
    assert harm is not None  # only asked of methods with numbers
    on, over = ON[board.scope], BASELINES[board.scope]
    within = interval(harm.worst.gain_ci, points).text
    where = f"{points(harm.worst.gain)} points ({within}), on {tables.place(harm.worst)}"
    cells = _count(harm.n_cells, "cell")
    if harm.n_sure_losses:
        return (
            f"{on}, {CAREFUL} is worse than {over} beyond its interval in "
            f"{harm.n_sure_losses} of {cells}; its worst: {where}."
        )
    return (
        f"{on}, {CAREFUL} is worse than {over} beyond its interval in none of {cells}; its least "
        f"gain: {where}."
    )


def _section(board: Board) -> dict[str, Any]:
    """What the page tells of one scope."""
    key = board.scope
    ranking = board.ranking()
    section: dict[str, Any] = {
        "key": key,
        "heading": HEADINGS[key],
        "baseline": BASELINES[key],
        "extent": _extent(board),
        "accuracy": percent(board.baseline_accuracy),
        "has_bounds": bool(BOUNDS & set(board.methods)),
        "has_gaps": not all(map(board.is_complete_everywhere, board.methods)),
        "maps": tables.heat_maps(board),
        "time_plot": _time_plot(board),
        "harm": tables.harm_table(board),
        "ranking": None,
    }
    n_blocks = len(board.tasks) * len(board.shifts)
    if ranking is None:
        section["unranked"] = (
            f"Ranks are left out: they need three blocks or more (tasks by shifts), there "
            f"{_verb(n_blocks)} {n_blocks}."
            if n_blocks < LEAST_BLOCKS
            else "Ranks are left out: there is no method with numbers in every cell to rank."
        )
        return section
    test = friedman(ranking.scores)
    n_blocks, n_methods = ranking.scores.shape
    difference = nemenyi_difference(n_methods, n_blocks)
    section["ranking"] = {
        "plot": plots.rank_plot(
            ranking.methods, ranking.ranks.tolist(), difference, key=f"{key}-ranks"
        ),
        "difference": f"{difference:.2f}",
        "test": _friedman_text(test),
        "blocks": _blocks_text(board, ranking),
        "left_out": ", ".join(ranking.left_out),
        "tests": tables.rank_table(board, ranking),
        "limits": _limits_text(n_blocks, n_methods - 1),
    }
    return section


def _blocks_text(board: Board, ranking: Ranking) -> str:
    over = " over the members and shifts" if board.scope == "member" else " over the shifts"
    if ranking.by_task:
        return f"{len(board.tasks)} blocks: the tasks, gains averaged{over}."
    over = ", gains averaged over the members" if board.scope == "member" else ""
    text = f"{len(ranking.scores)} blocks: tasks by shifts{over}."
    if len(board.shifts) > 1:
        text += (
            " Shifts of one task share its rows, so that blocks are not independent and the "
            "tests claim too much: read them as a description."
        )
    return text


def _friedman_text(test: FriedmanTest) -> str:
    p, p_f = (p_text(value).removeprefix("<") for value in (test.p_value, test.p_value_f))
    sign, sign_f = ("<" if value < 1e-4 else "=" for value in (test.p_value, test.p_value_f))
    verdict = "are told apart" if test.p_value_f < 1 - CONFIDENCE else "are not told apart"
    return (
        f"Friedman’s test: χ² = {test.chi2:.1f}, p {sign} {p}; as Iman and Davenport have it, "
        f"p {sign_f} {p_f}: the methods {verdict}."
    )


def _limits_text(n_blocks: int, n_tests: int) -> str:
    """Whether the corrected test can find anything with so few blocks."""
    least = least_p(n_blocks, n_tests)
    if least < 1 - CONFIDENCE:
        return ""
    return (
        f"With {n_blocks} blocks and {_count(n_tests, 'test')} the corrected p cannot fall below "
        f"{least:.2f}, so that this table can confirm nothing: it takes more tasks."
    )


def _time_plot(board: Board) -> str | None:
    seconds = {m: board.seconds(m) for m in board.methods if m not in BOUNDS}
    costs = [
        plots.Cost(method, value, board.overall(method).mean)
        for method, value in seconds.items()
        if value is not None
    ]
    if not costs:
        return None
    title = f"{HEADINGS[board.scope]}: mean gain over seconds"
    return plots.time_plot(costs, title=title, key=f"{board.scope}-time")


def _task(arranged: Sequence[Board], task: str, number: int) -> dict[str, Any]:
    """The gain plots of one task, by scope and shift."""
    parts = []
    for board in arranged:
        drawn = []
        for at, shift in enumerate(board.shifts):
            found = ((m, board.gain(m, tasks=[task], shifts=[shift])) for m in board.methods)
            gains = [plots.Gain(m, e, m in BOUNDS) for m, e in found if not math.isnan(e.mean)]
            if gains:
                gains.sort(key=lambda gain: -gain.estimate.mean)
                name = tables.shift_title(shift)
                svg = plots.gain_plot(
                    gains,
                    title=f"{task}, {HEADINGS[board.scope].lower()}, {name}: gains",
                    key=f"t{number}-{board.scope}-{at}",
                )
                drawn.append({"svg": svg, "shift": name})
        if drawn:
            models = len({r.model for r in board.results if r.task == task and r.error is None})
            over = f", mean of {models} members" if models > 1 else ""
            parts.append(
                {"heading": f"{HEADINGS[board.scope]}{over}", "plots": drawn, "scope": board.scope}
            )
    return {"key": f"t{number}", "name": task, "parts": parts}


def _extent(board: Board) -> str:
    """How much a board rests on."""
    parts = [_count(len(board.tasks), "task"), _count(len(board.shifts), "shift")]
    if board.scope == "member":
        parts.insert(1, _count(board.n_models, "member"))
    return f"{', '.join(parts)}, {_count(_n_draws(board), 'draw')}"


def _n_draws(board: Board) -> int:
    return len(next(r.n for r in board.results if r.error is None))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"
