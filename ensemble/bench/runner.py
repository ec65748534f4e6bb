"""Running a benchmark: units run in parallel, results arrive in a fixed order."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

from ensemble.bench.methods import choose_methods
from ensemble.bench.protocol import CellKey, Measured, Settings, Unit, measure_unit, plan_units
from ensemble.bench.records import RecordsFile, join_times, make_header
from ensemble.bench.results import Result
from ensemble.bench.tasks import Task, find_tasks
from postproc.evaluation.registry import TaskName, find_metric
from postproc.scores.checks import check_count, fail
from postproc.scores.threads import available_cores
from postproc.shift.draws import SHIFTS, draw_target

#: Called with the number of finished cells and the total number.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Tasks and settings, and the units and cells that follow from them, in order."""

    tasks: tuple[Task, ...]
    settings: Settings
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, tasks: Iterable[Task], settings: Settings) -> Plan:
        """Plan the work."""
        found = tuple(tasks)
        if settings.draws < 2 and any(task.multilabel for task in found):
            rule = "2 or more for multi-label tasks, as the labels of a row are not independent"
            fail("draws", rule, f"{settings.draws}")
        for task in found:
            judged: TaskName = "binary" if task.n_classes == 2 else "multiclass"
            judged = "multilabel" if task.multilabel else judged
            if settings.metric != "accuracy":  # of multi-label tasks the share of labels right
                find_metric(settings.metric).check_task(judged)
        return cls(found, settings, tuple(plan_units(found, settings)))

    @property
    def cells(self) -> list[CellKey]:
        """All cells, in the order of the results file."""
        return [cell for unit in self.units for cell in unit.cells]

    @property
    def doubts(self) -> list[str]:
        """Signs that predictions and labels of a task do not belong together."""
        return [f"{task.name}: {doubt}" for task in self.tasks for doubt in task.doubts]

    def open(self, path: Path, *, overwrite: bool = False) -> AbstractContextManager[RecordsFile]:
        """Open the results file; see `RecordsFile`."""
        header = make_header(self.tasks, self.settings)
        return RecordsFile.open(path, header, self.cells, overwrite=overwrite)

    def run(
        self, done: Collection[CellKey] = (), *, jobs: int | None = None
    ) -> Iterator[list[Measured]]:
        """Measure the cells that are not done, one unit at a time, in the order of the file."""
        wanted = set(self.cells).difference(done)
        units = [unit for unit in self.units if wanted.intersection(unit.cells)]
        n_jobs = min(available_cores() if jobs is None else jobs, max(len(units), 1))
        if n_jobs == 1:
            for unit in units:
                yield measure_unit(unit, self.settings, wanted)
            return
        from joblib import Parallel, delayed

        # The generator yields results in the order of the units, as soon as they are available.
        parallel = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)
        call = delayed(_measure_in_worker)
        with warnings.catch_warnings():
            # joblib replaces workers whose memory has grown; no result is lost.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            yield from parallel(
                call(os.getpid(), unit, self.settings, wanted.intersection(unit.cells))
                for unit in units
            )


def _measure_in_worker(
    parent: int, unit: Unit, settings: Settings, wanted: Collection[CellKey]
) -> list[Measured]:
    started_by = parent_process()
    if started_by is not None and started_by.pid == parent:  # not a thread of the parent
        end_with(parent)
    return measure_unit(unit, settings, wanted)


@cache
def end_with(parent: int) -> None:
    """End this process when its parent has ended, as a killed parent cannot stop its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def benchmark(
    paths: Sequence[str | Path] | str | Path,
    *,
    methods: Iterable[str] = ("all",),
    models: Sequence[str] | None = None,
    shifts: Sequence[str] = SHIFTS,
    draws: int = 20,
    rows: int = 2000,
    seed: int = 0,
    metric: str = "accuracy",
    jobs: int | None = 1,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Measure methods on run directories under label shift.

    Methods are fitted on the split `val` and evaluated on targets drawn with replacement from
    `test`. The baseline of a method on one member is the member's own predictions; that of an
    ensemble is the member that is best on `val`.

    Parameters
    ----------
    paths : path or sequence of path
        Run directories.
    methods : iterable of str
        Names of methods, or `member`, `ensemble`, `all`; `postproc bench --list-methods` lists
        them.
    models : sequence of str, optional
        Members to use; by default all.
    shifts : sequence of str
        Label shifts, as for `postproc.draw_target`.
    draws, rows : int
        Number of targets per shift, and maximal number of rows of each.
    seed : int
        Seed of draws, folds and training.
    metric : str
        What gains are in, the baseline of ensembles is best by, and `auto` is told to improve: a
        metric of `accuracy_report`, or of `multilabel_report` for multi-label tasks. Others than
        accuracy take 2 draws or more. Gains are positive where a method is better.
    jobs : int, optional
        Number of processes; None for one per core. Results do not depend on it.
    output : path, optional
        Results file, written while the benchmark runs. An interrupted run resumes from it and
        repeats the cells that failed.
    overwrite : bool
        Whether to replace a results file of another run.
    progress : callable, optional
        Called with the number of finished cells and the total number.

    Returns
    -------
    list of Result
        One for each cell: a method on a model of a task under a shift. A cell that failed has an
        `error` and no counts.

    Raises
    ------
    OSError, TypeError, ValueError
        If a run directory or an option is invalid, or the results file is of another run.
    """
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    settings = check_settings(methods, shifts, draws=draws, rows=rows, seed=seed, metric=metric)
    n_jobs = None if jobs is None else check_count(jobs, "jobs", low=1)
    tasks, skipped = find_tasks(listed, models)
    if skipped:
        msg = f"{skipped[0].path}: {skipped[0].reason}"
        raise ValueError(msg)
    plan = Plan.of(tasks, settings)
    for doubt in plan.doubts:
        warnings.warn(doubt, stacklevel=2)
    total = len(plan.cells)
    if output is None:
        measured: list[Measured] = []
        for cells in plan.run(jobs=n_jobs):
            measured += cells
            if progress is not None:
                progress(len(measured), total)
        return join_times((m.record for m in measured), (m.seconds for m in measured))
    with plan.open(Path(output), overwrite=overwrite) as file:
        for cells in plan.run(file.done, jobs=n_jobs):
            file.append(cells)
            if progress is not None:
                progress(len(file.records), total)
        return file.results()


def check_settings(
    methods: Iterable[str],
    shifts: Sequence[str],
    *,
    draws: int,
    rows: int,
    seed: int,
    metric: str = "accuracy",
) -> Settings:
    """Check options of a benchmark."""
    chosen = choose_methods([methods] if isinstance(methods, str) else methods)
    kinds = tuple(dict.fromkeys([shifts] if isinstance(shifts, str) else shifts))
    if not kinds:
        fail("shifts", "one shift or more", "none")
    for shift in kinds:
        draw_target([0, 1], shift, 1, 0, 2)
    find_metric(metric)
    if metric != "accuracy" and draws == 1:
        fail("draws", "2 or more for other metrics than accuracy", f"{draws}")
    return Settings(
        chosen,
        kinds,
        check_count(draws, "draws", low=1),
        check_count(rows, "rows", low=1),
        check_count(seed, "seed", low=0),
        metric,
    )
