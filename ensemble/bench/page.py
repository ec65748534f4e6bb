"""The HTML page of a benchmark: what gains, what does harm, and what the data cannot show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ensemble.bench import plots, tables
from ensemble.bench.board import BOUNDS, LEAST_BLOCKS, Board, Ranking, boards
from ensemble.bench.results import LOSS, Result
from ensemble.bench.statistics import FriedmanTest, friedman, least_p, nemenyi_difference
from ensemble.bench.summary import rough_intervals
from ensemble.bench.tables import counted
from postproc.evaluation.paired import CONFIDENCE
from postproc.reports.html import NINETY_FIVE, render_page
from postproc.reports.svg import Plot
from postproc.reports.tables import interval, p_text, percent, points

#: The method that promises to do nothing unless a gain is significant.
CAREFUL = "auto"
#: With at most this many tasks, all are shown unfolded.
TASKS_OPEN = 2
HEADINGS = {"member": "One member at a time", "ensemble": "All members together"}
ON = {"member": "On one member at a time", "ensemble": "With all members together"}
BASELINES = {"member": "the member’s own predictions", "ensemble": "the best single member"}


def bench_page(results: Sequence[Result], settings: Mapping[str, Any], *, title: str) -> str:
    """The page of all cells, failed ones included; ImportError without Jinja2.

    Settings are shown as they are, except `skipped`, which maps skipped run directories to the
    reason, and `warnings`, a list of sentences.
    """
    arranged = [board for board in boards(results) if board.known]
    shown = {k: value for k, value in settings.items() if k not in ("skipped", "warnings")}
    errors = tables.error_table(results)
    skipped = tables.skipped_table(settings.get("skipped") or {})
    tasks = list(dict.fromkeys(task for board in arranged for task in board.tasks))
    return render_page(
        "bench.html",
        title=title,
        summary=summary(arranged, n_failed=sum(r.error is not None for r in results)),
        warnings=settings.get("warnings", ()),
        rough=rough_intervals(max((board.n_draws for board in arranged), default=0)),
        is_picked=any(len(board.contenders) > 1 for board in arranged),
        sections=[_section(board) for board in arranged],
        tasks=[_task(arranged, task, f"t{number}") for number, task in enumerate(tasks)],
        is_open=len(tasks) <= TASKS_OPEN,
        steps=tables.STEPS,
        errors=errors if errors.rows else None,
        skipped=skipped if skipped.rows else None,
        settings=tables.setting_table(shown) if shown else None,
    )


def summary(arranged: Sequence[Board], *, n_failed: int = 0) -> list[str]:
    """The outcome, a paragraph for each scope and each promise."""
    if not arranged:
        return ["No method gave a number on any task."]
    said = [_best(board) for board in arranged]
    said += [_careful(board) for board in arranged if CAREFUL in board.methods]
    if n_failed:
        said.append(f"{counted(n_failed, 'cell')} failed; see the end of the page.")
    return said


def _best(board: Board) -> str:
    """The method of the largest mean gain, whether it is significant, and where it does harm."""
    on, over = ON[board.scope], BASELINES[board.scope]
    full = [name for name in board.contenders if board.is_complete_everywhere(name)]
    if not full:
        return f"{on}, no method has numbers in every cell, so none is called best."
    best, *_ = full
    mean, harm = board.overall(best), board.harm(best)
    assert harm is not None  # a method without numbers is in no board
    within = f"{NINETY_FIVE} interval {interval(mean.interval, points).text}"
    numbers = f"{points(mean.mean)} points over {over} ({within}; {_extent(board)})"
    if mean.low > 0:
        first = f"{on}, {best} gains most: {numbers}."
    else:
        first = f"{on}, no method gains significantly; {best} comes closest: {numbers}."
    return (
        f"{first} Cells with a loss of more than {-100 * LOSS:g} points: {harm.n_losses} of "
        f"{harm.n_cells}; with a significant loss: {harm.n_sure_losses}."
    )


def _careful(board: Board) -> str:
    """Whether `auto` is ever significantly worse than doing nothing."""
    harm = board.harm(CAREFUL)
    assert harm is not None  # a method without numbers is in no board
    within = interval(harm.worst.gain_ci, points).text
    where = f"{points(harm.worst.gain)} points ({within}), on {tables.place(harm.worst)}"
    times = harm.n_sure_losses or "none"
    last = "worst" if harm.n_sure_losses else "smallest gain"
    return (
        f"{ON[board.scope]}, {CAREFUL} is significantly worse than {BASELINES[board.scope]} in "
        f"{times} of {counted(harm.n_cells, 'cell')}; its {last}: {where}."
    )


def _section(board: Board) -> dict[str, Any]:
    """What the page shows of one scope."""
    key, score = board.scope, board.baseline_score()
    costs = [
        tables.Cost(method, seconds, board.overall(method).mean)
        for method in board.methods
        if method not in BOUNDS and (seconds := board.seconds(method)) is not None
    ]
    title = f"{HEADINGS[key]}: mean gain over seconds"
    return {
        "key": key,
        "heading": HEADINGS[key],
        "baseline": BASELINES[key],
        "extent": _extent(board),
        "metric": board.metric,
        "score": f"{score:.4f}" if board.metric_is_rate else f"{percent(score)}\u00a0%",
        "has_bounds": bool(BOUNDS & set(board.methods)),
        "has_gaps": not all(map(board.is_complete_everywhere, board.methods)),
        "maps": tables.heat_maps(board),
        "harm": tables.harm_table(board),
        "time_plot": plots.time_plot(costs, title=title, key=f"{key}-time", metric=board.metric)
        if costs
        else None,
        "times": tables.time_table(costs),
        **_ranks(board),
    }


def _ranks(board: Board) -> dict[str, Any]:
    """The ranking of a scope, or why there is none."""
    ranking = board.ranking()
    if ranking is None:
        n_blocks = len(board.tasks) * len(board.shifts)
        reason = (
            f"they need three blocks or more (tasks by shifts), got {n_blocks}."
            if n_blocks < LEAST_BLOCKS
            else "no method to be ranked has numbers in every cell."
        )
        return {"ranking": None, "unranked": f"Ranks are omitted: {reason}"}
    n_blocks, n_methods = ranking.scores.shape
    difference = nemenyi_difference(n_methods, n_blocks)
    names, ranks, key = ranking.methods, ranking.ranks.tolist(), f"{board.scope}-ranks"
    parts = {
        "plot": plots.rank_plot(names, ranks, difference, key=key),
        "difference": f"{difference:.2f}",
        "test": _friedman_text(friedman(ranking.scores)),
        "blocks": _blocks_text(board, ranking),
        "tests": tables.rank_table(board, ranking),
        "limits": _limits_text(n_blocks, n_methods - 1),
    }
    return {"ranking": parts}


def _blocks_text(board: Board, ranking: Ranking) -> str:
    over = ["the members"] if board.scope == "member" else []
    over += ["the shifts"] if ranking.by_task else []
    averaged = f", gains averaged over {' and '.join(over)}" if over else ""
    if ranking.by_task:
        return f"{counted(len(board.tasks), 'block')}, the tasks{averaged}."
    text = f"{counted(len(ranking.scores), 'block')}, tasks by shifts{averaged}."
    if len(board.shifts) > 1:
        text += (
            " Shifts of one task share its rows, so blocks are not independent and the p-values "
            "are too small: take them as a description."
        )
    return text


def _friedman_text(test: FriedmanTest) -> str:
    p, p_f = (
        p_text(value).replace("<", "< ") if value < 1e-4 else f"= {p_text(value)}"
        for value in (test.p_value, test.p_value_f)
    )
    verdict = "differ" if test.p_value_f < 1 - CONFIDENCE else "do not differ"
    return (
        f"Friedman’s test: χ² = {test.chi2:.1f}, p {p}; with Iman and Davenport’s correction, "
        f"p {p_f}: the methods {verdict} significantly."
    )


def _limits_text(n_blocks: int, n_tests: int) -> str:
    """A note if so few blocks cannot give a significant result."""
    least = least_p(n_blocks, n_tests)
    if least < 1 - CONFIDENCE:
        return ""
    return (
        f"With {n_blocks} blocks and {counted(n_tests, 'test')} the corrected p cannot fall below "
        f"{least:.2f}: no difference in this table can be significant without more tasks."
    )


def _task(arranged: Sequence[Board], task: str, key: str) -> dict[str, Any]:
    """The gain plots of one task, by scope and shift."""
    parts = []
    for board in arranged:
        drawn = [
            {"plot": plot, "shift": tables.shift_title(shift)}
            for number, shift in enumerate(board.shifts)
            if (plot := _gain_plot(board, task, shift, f"{key}-{board.scope}-{number}"))
        ]
        if drawn:
            models = len({result.model for result in board.known if result.task == task})
            over = f", mean of {models} members" if models > 1 else ""
            parts.append({"heading": f"{HEADINGS[board.scope]}{over}", "plots": drawn})
    return {"key": key, "name": task, "parts": parts}


def _gain_plot(board: Board, task: str, shift: str, key: str) -> Plot | None:
    found = ((m, board.gain(m, tasks=[task], shifts=[shift])) for m in board.methods)
    gains = [plots.Gain(m, e, m in BOUNDS) for m, e in found if not math.isnan(e.mean)]
    if not gains:
        return None
    gains.sort(key=lambda gain: -gain.estimate.mean)
    title = f"{task}, {HEADINGS[board.scope].lower()}, {tables.shift_title(shift)}: gains"
    return plots.gain_plot(gains, title=title, key=key, metric=board.metric)


def _extent(board: Board) -> str:
    """How many tasks, members, shifts and draws a board has."""
    members = [counted(board.n_models, "member")] if board.scope == "member" else []
    tasks, shifts = counted(len(board.tasks), "task"), counted(len(board.shifts), "shift")
    return ", ".join([tasks, *members, shifts, counted(board.n_draws, "draw")])
