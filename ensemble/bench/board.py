"""Results of one scope, arranged by task, shift and method so that methods can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ensemble.bench.methods import BASELINE, METHODS, SCOPES
from ensemble.bench.results import LOSS, UNKNOWN, Estimate, Floats, Result, complete, gain_estimate
from ensemble.bench.statistics import mean_ranks
from postproc.evaluation.registry import find_metric

#: Methods that look at labels of the target.
BOUNDS = frozenset(method.name for method in METHODS if method.bound)
#: Name of the baseline in rankings if no method is the baseline.
NOTHING_DONE = "doing nothing"
#: With this many tasks a block is a task; with fewer, a task under one shift.
TASKS_FOR_BLOCKS = 5
#: Fewest blocks to rank over.
LEAST_BLOCKS = 3


class Harm(NamedTuple):
    """Where a method does worst, and in how many cells it loses."""

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
    """All results of one scope, failed ones included."""

    scope: str
    results: tuple[Result, ...]

    @cached_property
    def known(self) -> list[Result]:
        """The results that did not fail."""
        return complete(self.results)

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], list[Result]]:
        found: dict[tuple[str, str, str], list[Result]] = {}
        for result in self.known:
            found.setdefault((result.task, result.shift, result.method), []).append(result)
        return found

    @cached_property
    def _models(self) -> dict[tuple[str, str], set[str]]:
        """The models with any number, by task and shift."""
        found: dict[tuple[str, str], set[str]] = {}
        for result in self.known:
            found.setdefault((result.task, result.shift), set()).add(result.model)
        return found

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with at least one number, in the order of the results."""
        return _once(result.task for result in self.known)

    @cached_property
    def shifts(self) -> tuple[str, ...]:
        """Shifts with at least one number, in the order of the results."""
        return _once(result.shift for result in self.known)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods with at least one number, by mean gain over all their cells, best first."""
        names = _once(result.method for result in self.known)
        return tuple(sorted(names, key=lambda name: -self.overall(name).mean))

    @property
    def contenders(self) -> tuple[str, ...]:
        """Methods that can be used in practice and that do something."""
        return tuple(m for m in self.methods if m not in BOUNDS | {BASELINE})

    @property
    def n_models(self) -> int:
        """Number of models of all tasks."""
        return len({(result.task, result.model) for result in self.known})

    @property
    def n_draws(self) -> int:
        """Number of draws of each cell; 0 if every cell failed."""
        return len(self.known[0].n) if self.known else 0

    @property
    def metric(self) -> str:
        """What gains are in, in words."""
        return find_metric(self.known[0].metric if self.known else "accuracy").heading

    @property
    def metric_is_rate(self) -> bool:
        """Whether the metric is no share; a point of it is 1/100."""
        return not find_metric(self.known[0].metric if self.known else "accuracy").is_share

    def baseline_score(self, shift: str | None = None) -> float:
        """Mean metric of the baseline over all cells, or those of one shift; NaN without any."""
        # A cell's baseline is the same for every method: each cell counts once.
        own = {r.cell: r for r in self.known if shift in (None, r.shift)}
        shares = [float(r.baseline_scores.mean()) for r in own.values()]
        return sum(shares) / len(shares) if shares else float("nan")

    def cells(self, method: str) -> list[Result]:
        """Every cell in which a method has numbers."""
        return [result for result in self.known if result.method == method]

    def is_complete(self, method: str, task: str, shift: str) -> bool:
        """Whether a method has numbers for all models for which others have."""
        known = self._models.get((task, shift), set())
        return bool(known) and len(self._by_place.get((task, shift, method), ())) == len(known)

    def is_complete_everywhere(self, method: str) -> bool:
        """Whether a method has numbers in every cell, so that its mean compares with others'."""
        return all(self.is_complete(method, *place) for place in self._models)

    def overall(self, method: str) -> Estimate:
        """Mean gain over all cells of a method."""
        return gain_estimate(self.cells(method))

    def gain(self, method: str, *, tasks: Sequence[str], shifts: Sequence[str]) -> Estimate:
        """Mean gain over models, tasks and shifts; unknown if a number is missing."""
        places = [(t, s) for t in tasks for s in shifts if (t, s) in self._models]
        if not all(self.is_complete(method, *place) for place in places):
            return UNKNOWN
        return gain_estimate(r for t, s in places for r in self._by_place[t, s, method])

    def harm(self, method: str) -> Harm | None:
        """Where a method does worst; None if it has no numbers."""
        cells = self.cells(method)
        if not cells:
            return None
        losses = sum(result.gain < LOSS for result in cells)
        sure = sum(result.gain_ci[1] < 0 for result in cells)
        return Harm(min(cells, key=lambda result: result.gain), losses, sure, len(cells))

    def seconds(self, method: str) -> float | None:
        """Median seconds of a cell, fit and one target together."""
        found = [
            (result.fit_seconds or 0.0) + result.seconds
            for result in self.cells(method)
            if result.seconds is not None
        ]
        return float(np.median(found)) if found else None

    def ranking(self) -> Ranking | None:
        """Ranks of methods with numbers in every cell; None if there is nothing to rank."""
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
        # Gains that differ only by rounding tie.
        scores = np.round(np.transpose(list(columns.values())), 12)
        ranks = mean_ranks(scores)
        order = np.argsort(ranks, kind="stable")
        names = list(columns)
        return Ranking(
            tuple(names[j] for j in order), scores[:, order], ranks[order], by_task, left_out
        )


def boards(results: Iterable[Result]) -> list[Board]:
    """One board for each scope that has results, members first; perhaps all of them failed."""
    found = list(results)
    arranged = [Board(name, tuple(r for r in found if r.scope == name)) for name in SCOPES]
    return [board for board in arranged if board.results]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
