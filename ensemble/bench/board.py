"""Results of one scope, arranged by task, shift and method so that like is compared with like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ensemble.bench.methods import BASELINE, METHODS
from ensemble.bench.results import (
    UNKNOWN,
    Estimate,
    Floats,
    Result,
    gain_estimate,
    losing_cells,
    worst_cell,
)
from ensemble.bench.statistics import mean_ranks

#: Methods that look at labels of the target: what nobody can have.
BOUNDS = frozenset(method.name for method in METHODS if method.bound)
#: Stands among the ranks for the baseline where no method is it.
NOTHING_DONE = "doing nothing"
#: From so many tasks on a block is a task; below, a task under one shift.
TASKS_FOR_BLOCKS = 5
#: Ranks over fewer blocks say nothing.
LEAST_BLOCKS = 3


class Harm(NamedTuple):
    """Where a method harms: its worst cell, and in how many cells it loses."""

    worst: Result
    n_losses: int
    n_sure_losses: int
    n_cells: int


class Ranking(NamedTuple):
    """Scores of methods by block, shape (blocks, methods), best mean rank first."""

    methods: tuple[str, ...]
    scores: Floats
    ranks: Floats
    by_task: bool
    left_out: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The ranked method that stands for doing nothing."""
        return next(m for m in self.methods if m in (BASELINE, NOTHING_DONE))


@dataclass(frozen=True)
class Board:
    """Results of one scope.

    Attributes
    ----------
    scope : {"member", "ensemble"}
        Whether methods act on one member or on all.
    results : tuple of Result
        All results of that scope, failed ones too.
    """

    scope: str
    results: tuple[Result, ...]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], list[Result]]:
        found: dict[tuple[str, str, str], list[Result]] = {}
        for result in self.results:
            if result.error is None:
                found.setdefault((result.task, result.shift, result.method), []).append(result)
        return found

    @cached_property
    def _models(self) -> dict[tuple[str, str], set[str]]:
        """The models of a task under a shift of which anything is known."""
        found: dict[tuple[str, str], set[str]] = {}
        for (task, shift, _), results in self._by_place.items():
            found.setdefault((task, shift), set()).update(result.model for result in results)
        return found

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with at least one number, in the order of the results."""
        return _once(result.task for result in self.results if result.error is None)

    @cached_property
    def shifts(self) -> tuple[str, ...]:
        """Shifts with at least one number, in the order of the results."""
        return _once(result.shift for result in self.results if result.error is None)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods with at least one number, by mean gain over all their cells, best first."""
        names = _once(result.method for result in self.results if result.error is None)
        return tuple(sorted(names, key=lambda name: -self.overall(name).mean))

    @property
    def contenders(self) -> tuple[str, ...]:
        """Methods that someone can use, and that do something."""
        return tuple(m for m in self.methods if m not in BOUNDS | {BASELINE})

    @property
    def n_cells(self) -> int:
        """How many cells there are: tasks by shifts by models."""
        return sum(map(len, self._models.values()))

    @property
    def n_models(self) -> int:
        """How many models there are in all tasks."""
        return len(
            {(task, model) for (task, _), models in self._models.items() for model in models}
        )

    @property
    def baseline_accuracy(self) -> float:
        """Mean accuracy of the baseline over all cells; it is the same for every method."""
        found = {r.cell: sum(r.baseline) / sum(r.n) for r in self.results if r.error is None}
        return float(np.mean(list(found.values())))

    def cells(self, method: str) -> list[Result]:
        """Every cell in which a method has numbers."""
        return [r for r in self.results if r.method == method and r.error is None]

    def is_complete(self, method: str, task: str, shift: str) -> bool:
        """Whether a method has numbers of all models that others have numbers of."""
        known = self._models.get((task, shift), set())
        return bool(known) and len(self._by_place.get((task, shift, method), ())) == len(known)

    def is_complete_everywhere(self, method: str) -> bool:
        """Whether a method has numbers in every cell, so that its mean compares with others'."""
        return all(self.is_complete(method, *place) for place in self._models)

    def overall(self, method: str) -> Estimate:
        """Mean gain over all cells of a method."""
        return gain_estimate(self.cells(method))

    def gain(self, method: str, *, tasks: Sequence[str], shifts: Sequence[str]) -> Estimate:
        """Mean gain over models, tasks and shifts; unknown where a number is missing."""
        places = [(t, s) for t in tasks for s in shifts if (t, s) in self._models]
        if not all(self.is_complete(method, *place) for place in places):
            return UNKNOWN
        return gain_estimate(r for t, s in places for r in self._by_place[t, s, method])

    def harm(self, method: str) -> Harm | None:
        """Where a method harms; None where it has no numbers."""
        cells = self.cells(method)
        worst = worst_cell(cells)
        if worst is None:
            return None
        sure = sum(result.gain_ci[1] < 0 for result in cells)
        return Harm(worst, len(losing_cells(cells)), sure, len(cells))

    def seconds(self, method: str) -> float | None:
        """Median seconds of a cell, fit and one target together."""
        found = [
            (result.fit_seconds or 0.0) + result.seconds
            for result in self.cells(method)
            if result.seconds is not None
        ]
        return float(np.median(found)) if found else None

    def ranking(self) -> Ranking | None:
        """Ranks of the methods that have numbers in every cell; None below three blocks."""
        by_task = len(self.tasks) >= TASKS_FOR_BLOCKS
        blocks: list[tuple[Sequence[str], Sequence[str]]] = (
            [((task,), self.shifts) for task in self.tasks]
            if by_task
            else [((task,), (shift,)) for task, shift in self._models]
        )
        ranked = [m for m in self.methods if m not in BOUNDS and self.is_complete_everywhere(m)]
        left_out = tuple(m for m in self.methods if m not in BOUNDS and m not in ranked)
        if len(blocks) < LEAST_BLOCKS or not set(ranked) - {BASELINE}:
            return None
        columns = {
            method: [self.gain(method, tasks=t, shifts=s).mean for t, s in blocks]
            for method in ranked
        }
        if BASELINE not in ranked:
            columns[NOTHING_DONE] = [0.0] * len(blocks)
        # Gains that differ by rounding alone tie.
        scores = np.round(np.transpose(list(columns.values())), 12)
        ranks = mean_ranks(scores)
        order = np.argsort(ranks, kind="stable")
        names = list(columns)
        return Ranking(
            tuple(names[j] for j in order), scores[:, order], ranks[order], by_task, left_out
        )


def boards(results: Iterable[Result]) -> list[Board]:
    """One board for each scope that has any number."""
    found = list(results)
    scopes = ("member", "ensemble")
    arranged = [Board(name, tuple(r for r in found if r.scope == name)) for name in scopes]
    return [board for board in arranged if board.tasks]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
