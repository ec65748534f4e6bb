"""The protocol: what is measured, cut into units of work, and how one unit is measured.

Methods are fitted on `val` and judged on targets drawn from `test`. Draws depend only on the seed,
their number and the labels, so all methods and members of a task get the same draws.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble.bench.ensemble_methods import TeamState, member_classes
from ensemble.bench.member_methods import Draw, Floats, MemberState, member_probabilities
from ensemble.bench.methods import GROUPS, Method, Scope, find_method
from ensemble.bench.results import ALL_MEMBERS
from ensemble.bench.shared import SharedFits
from ensemble.bench.tasks import Task, TaskData, load_task
from postproc.evaluation.folds import seed_from
from postproc.evaluation.registry import Metric, find_metric
from postproc.scores.binary import as_column, is_one_column, two_columns
from postproc.shift.draws import draw_target

Ints = NDArray[np.int64]


class CellKey(NamedTuple):
    """What names a cell."""

    task: str
    model: str
    scope: str
    shift: str
    method: str


@dataclass(frozen=True)
class Settings:
    """What is measured on every task."""

    methods: tuple[Method, ...]
    shifts: tuple[str, ...]  # as of `postproc.draw_target`
    draws: int  # targets per shift
    rows: int  # maximal number of rows of a target
    seed: int
    metric: str = "accuracy"  # what gains are in


@dataclass(frozen=True)
class Unit:
    """Work of one process: methods on one member, or a group of methods on all members."""

    task: Task
    model: str
    scope: Scope
    methods: tuple[str, ...]
    shifts: tuple[str, ...]

    @property
    def cells(self) -> list[CellKey]:
        """The unit's cells, in the order of the results file."""
        return [
            CellKey(self.task.name, self.model, self.scope, shift, method)
            for method in self.methods
            for shift in self.shifts
        ]


class Measured(NamedTuple):
    """The lines of a cell in the results file and in the file of times."""

    record: dict[str, Any]
    seconds: dict[str, Any]


class _Judge(NamedTuple):
    """Draws of each shift, and what the baseline says of the test split."""

    labels: Ints
    draws: dict[str, list[Draw]]
    baseline: Ints  # its classes (n,), or labels (n, m)
    probs: Floats  # its probabilities
    metric: Metric

    def of_draw(self, draw: Draw, probs: Floats) -> dict[str, Any]:
        """Rows right, fixed and broken in a draw, and the values of another metric."""
        if draw.labels.ndim == 1 and is_one_column(probs):
            probs = two_columns(as_column(probs), "probs")
        decided = probs >= 0.5 if draw.labels.ndim == 2 else probs.argmax(axis=1)
        after, old = decided == draw.labels, self.baseline[draw.rows] == draw.labels
        found: dict[str, Any] = {
            "n": after.size,
            "right": int(after.sum()),
            "baseline": int(old.sum()),
            "fixed": int((after & ~old).sum()),
            "broken": int((old & ~after).sum()),
        }
        if self.metric.name != "accuracy":
            pair = (self.metric.measure(draw.labels, p).value for p in (probs, self._before(draw)))
            found["value"], found["before"] = pair
            if not math.isfinite(found["value"] + found["before"]):
                msg = f"{self.metric.name} is not defined for a draw of {after.size} rows"
                raise ValueError(msg)
        return found

    def _before(self, draw: Draw) -> Floats:
        return np.asarray(self.probs[draw.rows])


def plan_units(tasks: Sequence[Task], settings: Settings) -> list[Unit]:
    """Cut the work into units, task by task, slow ones first; ensembles need two models or more.

    Of multi-label tasks, methods that hold for them are measured without a shift of the classes.
    """
    units = []
    for task in tasks:
        methods, shifts = settings.methods, settings.shifts
        if task.multilabel:
            methods = tuple(m for m in methods if m.multilabel)
            shifts = tuple(shift for shift in shifts if shift == "none")
        if not shifts:
            continue
        ensembles = [m for m in methods if m.scope == "ensemble"]
        for group in GROUPS if len(task.models) > 1 else ():
            names = tuple(m.name for m in ensembles if m.group == group)
            if names:
                units.append(Unit(task, ALL_MEMBERS, "ensemble", names, shifts))
        names = tuple(m.name for m in methods if m.scope == "member")
        if names:
            units += [Unit(task, m, "member", names, shifts) for m in task.models]
    return units


def measure_unit(unit: Unit, settings: Settings, wanted: Collection[CellKey]) -> list[Measured]:
    """Measure the wanted cells of a unit, in their order."""
    trains = any(find_method(unit.scope, name).trains for name in unit.methods)
    with _one_thread(trains=trains), warnings.catch_warnings():
        # The effect of what methods warn about shows in their gains.
        warnings.simplefilter("ignore", UserWarning)
        data = load_task(unit.task)
        state, judge = _prepare(unit, data, settings)
        found: list[Measured] = []
        for name in unit.methods:
            cells = [cell for cell in unit.cells if cell.method == name and cell in wanted]
            if cells:
                found += _measure(find_method(unit.scope, name), state, judge, cells)
        return found


def _prepare(
    unit: Unit, data: TaskData, settings: Settings
) -> tuple[MemberState | TeamState, _Judge]:
    seeds = [seed_from(settings.seed, number) for number in range(settings.draws)]
    n_classes = data.fit.n_classes
    draws: dict[str, list[Draw]] = {}
    classes_of_rows = data.labels
    if data.labels.ndim == 2:  # whole rows are drawn, whatever their labels
        classes_of_rows, n_classes = np.zeros(len(data.labels), np.int64), 2
    for shift in unit.shifts:
        drawn = [draw_target(classes_of_rows, shift, settings.rows, s, n_classes) for s in seeds]
        draws[shift] = [Draw(rows, data.labels[rows]) for rows in drawn]
    classes = member_classes(data.test)
    state: MemberState | TeamState
    if unit.scope == "ensemble":
        state = TeamState(
            data.fit, data.test, data.fit_labels, data.labels, settings.seed, settings.metric
        )
        place = state.best
    else:
        place = unit.task.models.index(unit.model)
        fit, test = data.fit[place], data.test[place]
        state = MemberState(fit, test, data.fit_labels, settings.seed, settings.metric)
    probs, metric = member_probabilities(data.test[place]), find_metric(settings.metric)
    return state, _Judge(data.labels, draws, classes[place], probs, metric)


def _measure(
    method: Method, state: MemberState | TeamState, judge: _Judge, cells: Sequence[CellKey]
) -> Iterator[Measured]:
    """Fit a method once, and judge it under each shift."""
    shared: SharedFits = state.shared
    try:
        predictor, fit_seconds, paid = shared.timed(lambda: method.fit(state))
        if not predictor.by_draw:
            everyone, once, _ = shared.timed(predictor.apply, paid)
    except Exception as error:  # a failed method must not stop the others
        yield from (_failed(cell, error) for cell in cells)
        return
    for cell in cells:
        seconds, counts = [], []
        try:
            for draw in judge.draws[cell.shift]:
                if predictor.by_draw:
                    probs, taken, _ = shared.timed(partial(predictor.apply, draw), paid)
                    seconds.append(taken)
                else:
                    probs = everyone[draw.rows]
                counts.append(judge.of_draw(draw, probs))
        except Exception as error:
            yield _failed(cell, error)
            continue
        found: dict[str, Any] = {name: [each[name] for each in counts] for name in counts[0]}
        if judge.metric.name != "accuracy":
            found["metric"] = judge.metric.name
        record = {**cell._asdict(), **found, "error": None}
        yield Measured(record, _timing(cell, fit_seconds, seconds or [once]))


def _failed(cell: CellKey, error: Exception) -> Measured:
    counts: dict[str, list[int]] = {
        name: [] for name in ("n", "right", "baseline", "fixed", "broken")
    }
    reason = " ".join(str(error).split())
    if not (isinstance(error, ValueError) and reason):
        reason = f"{type(error).__name__}: {reason}"
    return Measured({**cell._asdict(), **counts, "error": reason}, _timing(cell, None, []))


def _timing(cell: CellKey, fit_seconds: float | None, seconds: list[float]) -> dict[str, Any]:
    return {
        **cell._asdict(),
        "fit_seconds": None if fit_seconds is None else round(fit_seconds, 6),
        "seconds": [round(value, 6) for value in seconds],
    }


@contextmanager
def _one_thread(*, trains: bool) -> Iterator[None]:
    """Limit BLAS, OpenMP and torch to one thread, so that results do not depend on the cores."""
    from threadpoolctl import threadpool_limits

    if trains:  # torch takes seconds to load, and other units do not need it
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        if trains:
            torch.set_num_threads(before)
