"""Tables of a benchmark's page: gains by task, tests, harm, times, and what failed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ensemble.bench.board import BOUNDS, NOTHING_DONE, Board, Ranking
from ensemble.bench.results import LOSS, Estimate, Result, contrast
from ensemble.bench.statistics import wilcoxon_holm
from postproc.evaluation.paired import CONFIDENCE
from postproc.reports.tables import (
    NOTHING,
    Cell,
    Table,
    count,
    interval,
    named,
    number,
    p_text,
    percent,
    points,
)

#: The ensemble that others are compared with, too: it costs next to nothing.
REFERENCE = "calibrated"

#: Absolute gains in points from which a heat map takes the next stronger colour.
STEPS = (0.2, 0.5, 1.0, 2.0, 5.0)


class HeatCell(NamedTuple):
    """One cell of a heat map: text, sort key, colour, and whether the interval excludes zero."""

    text: str
    value: float | None
    level: int | None
    is_sure: bool


class Cost(NamedTuple):
    """Seconds of a method and its mean gain, as a fraction."""

    method: str
    seconds: float
    gain: float


class HeatRow(NamedTuple):
    """One method of a heat map."""

    method: str
    is_bound: bool
    cells: tuple[HeatCell, ...]


class HeatMap(NamedTuple):
    """Gains of methods by task."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def shift_title(shift: str) -> str:
    """A shift in words."""
    kind, _, value = shift.partition(":")
    known = {
        "none": "no shift",
        "dirichlet": f"Dirichlet({value}) classes",
        "longtail": f"long tail {value}:1",
    }
    return known.get(kind, shift)


def heat_maps(board: Board) -> list[HeatMap]:
    """Gains by task: one map for each shift and, if there are several, one of their mean."""
    panels: list[tuple[tuple[str, ...], str]] = [
        ((shift,), shift_title(shift)) for shift in board.shifts
    ]
    if len(panels) > 1:
        panels.append((board.shifts, "mean of the shifts"))
    return [_heat_map(board, shifts, title) for shifts, title in panels]


def _heat_map(board: Board, shifts: Sequence[str], title: str) -> HeatMap:
    groups: list[tuple[str, ...]] = [(task,) for task in board.tasks]
    columns = list(board.tasks)
    if len(groups) > 1:
        groups.append(board.tasks)
        columns.append("all tasks")
    rows = (
        HeatRow(
            method,
            method in BOUNDS,
            tuple(_heat(board.gain(method, tasks=tasks, shifts=shifts)) for tasks in groups),
        )
        for method in board.methods
    )
    return HeatMap(title, ("method", *columns), tuple(rows))


def _heat(estimate: Estimate) -> HeatCell:
    if math.isnan(estimate.mean):
        return HeatCell(NOTHING, None, None, False)
    # The colour is that of the rounded number.
    size = bisect_right(STEPS, round(abs(100 * estimate.mean), 2))
    level = size if estimate.mean > 0 else -size
    return HeatCell(points(estimate.mean), estimate.mean, level, estimate.is_sure)


def rank_table(board: Board, ranking: Ranking) -> Table:
    """Wilcoxon's test of every method against the reference, or against doing nothing."""
    use_reference = board.scope == "ensemble" and REFERENCE in ranking.methods
    against = REFERENCE if use_reference else ranking.baseline
    at = ranking.methods.index(against)
    others = [j for j in range(len(ranking.methods)) if j != at]
    differences = np.round(ranking.scores[:, others] - ranking.scores[:, [at]], 12)
    rows = []
    for j, column, test in zip(others, differences.T, wilcoxon_holm(differences), strict=True):
        method = ranking.methods[j]
        estimate = _difference(board, method, against)
        verdict = "unclear"
        if test.p_holm < 1 - CONFIDENCE:
            verdict = "better" if np.median(column) > 0 else "worse"
        won, lost = int((column > 0).sum()), int((column < 0).sum())
        rows.append(
            (
                named(method),
                number(estimate.mean, points),
                interval(estimate.interval, points),
                Cell(f"{won}/{len(column) - won - lost}/{lost}", won - lost),
                number(test.p_value, p_text),
                number(test.p_holm, p_text),
                named(verdict),
            )
        )
    note = (
        "Gains and intervals over all cells. p: Wilcoxon’s exact signed-rank test over the blocks, "
        "corrected by Holm."
    )
    if ranking.left_out:
        note += f" Not ranked, as some of their cells failed: {', '.join(ranking.left_out)}."
    columns = ("method", "gain", "95 % interval", "blocks won / tied / lost", "p", "p (Holm)")
    return Table(f"Against {against}", (*columns, "verdict"), tuple(rows), note)


def _difference(board: Board, method: str, against: str) -> Estimate:
    if against == NOTHING_DONE:
        return board.overall(method)
    if method == NOTHING_DONE:
        gain, low, high = board.overall(against)
        return Estimate(-gain, -high, -low)
    return contrast(board.cells(method), board.cells(against))


def harm_table(board: Board) -> Table:
    """Mean gain and worst cell of every method, and the number of cells in which it loses."""
    rows = []
    for method in board.methods:
        harm, mean = board.harm(method), board.overall(method)
        if harm is None:
            continue
        rows.append(
            (
                Cell(f"{method} (bound)" if method in BOUNDS else method, method),
                number(mean.mean, points),
                interval(mean.interval, points),
                _share(harm.n_losses, harm.n_cells),
                _share(harm.n_sure_losses, harm.n_cells),
                number(harm.worst.gain, points),
                interval(harm.worst.gain_ci, points),
                named(place(harm.worst)),
            )
        )
    columns: tuple[str, ...] = ("method", "mean gain", "95 % interval")
    columns += (f"cells below {100 * LOSS:g}", "significant losses")
    columns += ("worst gain", "its interval", "worst cell")
    return Table("Losses and worst cells", columns, tuple(rows))


def place(result: Result) -> str:
    """Task, member and shift of a result, in words."""
    model = () if result.scope == "ensemble" else (result.model,)
    return ", ".join((result.task, *model, shift_title(result.shift)))


def error_table(results: Iterable[Result]) -> Table:
    """What failed: one row for each task, method and message."""
    found: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.error is not None:
            found.setdefault((result.task, result.method, result.error), []).append(result)
    rows = (
        (named(task), named(method), count(len(failed)), named(place(failed[0])), named(message))
        for (task, method, message), failed in found.items()
    )
    return Table("What failed", ("task", "method", "cells", "first cell", "error"), tuple(rows))


def skipped_table(skipped: Mapping[str, Any]) -> Table:
    """Run directories that were skipped, and why."""
    rows = ((named(str(name)), named(str(why))) for name, why in skipped.items())
    return Table("Skipped run directories", ("directory", "reason"), tuple(rows))


def setting_table(settings: Mapping[str, Any]) -> Table:
    """How the numbers were made; each part of a nested setting has a row of its own."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.update((f"{name}: {key}", _words(part)) for key, part in value.items())
        else:
            flat[str(name)] = _words(value)
    rows = ((named(name), named(text)) for name, text in flat.items())
    return Table("Settings", ("setting", "value"), tuple(rows))


def gain_text(estimate: Estimate) -> str:
    """A mean and how far its interval reaches; both limits if they are not symmetric."""
    mean, low, high = estimate
    if math.isnan(mean):
        return NOTHING
    if math.isnan(low):
        return points(mean)
    if abs((high - mean) - (mean - low)) < 1e-9:
        return f"{points(mean)} ±{percent(high - mean)}"
    return f"{points(mean)} ({points(low)} to {points(high)})"


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_words(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(_words, value))
    return NOTHING if value is None else str(value)


def time_table(costs: Sequence[Cost]) -> Table:
    """The numbered marks of a plot of gain over time."""
    rows = (
        (
            Cell(f"{mark}. {cost.method}", cost.method),
            number(cost.seconds, "{:.3g}".format),
            number(cost.gain, points),
        )
        for mark, cost in enumerate(costs, 1)
    )
    return Table("Seconds and gain", ("method", "seconds", "mean gain"), tuple(rows))


def _share(number: int, total: int) -> Cell:
    return Cell(f"{number:,} of {total:,}", number / total)
