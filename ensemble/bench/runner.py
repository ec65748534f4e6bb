"""Running a benchmark: units spread over processes, results in a fixed order as they come."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

from ensemble.bench.methods import choose_methods
from ensemble.bench.protocol import (
    CellKey,
    Measured,
    Settings,
    Unit,
    measure_unit,
    plan_units,
)
from ensemble.bench.records import RecordsFile, join_times, make_header
from ensemble.bench.results import Result
from ensemble.bench.tasks import Task, find_tasks
from postproc.scores.checks import check_count, fail
from postproc.scores.threads import available_cores
from postproc.shift.draws import SHIFTS, draw_target

#: Called with the numbers of cells done and of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Tasks, settings, and the units and cells that follow from them, in their order."""

    tasks: tuple[Task, ...]
    settings: Settings
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, tasks: Iterable[Task], settings: Settings) -> Plan:
        """Plan the work."""
        found = tuple(tasks)
        return cls(found, settings, tuple(plan_units(found, settings)))

    @property
    def cells(self) -> list[CellKey]:
        """All cells, in the order of the results file."""
        return [cell for unit in self.units for cell in unit.cells]

    @property
    def doubts(self) -> list[str]:
        """What speaks against predictions and labels of a task belonging together."""
        return [f"{task.name}: {doubt}" for task in self.tasks for doubt in task.doubts]

    def open(self, path: Path, *, overwrite: bool = False) -> RecordsFile:
        """Open the results file; see `RecordsFile`."""
        header = make_header(self.tasks, self.settings)
        return RecordsFile(path, header, self.cells, overwrite=overwrite)

    def run(
        self, done: Collection[CellKey] = (), *, jobs: int | None = None
    ) -> Iterator[list[Measured]]:
        """Measure all cells but those that are done, unit by unit.

        Parameters
        ----------
        done : collection of CellKey
            Cells that are there already.
        jobs : int, optional
            Processes; as many as there are cores by default. Results do not depend on it.

        Yields
        ------
        list of Measured
            Cells of one unit, in the order of the results file.
        """
        wanted = set(self.cells).difference(done)
        units = [unit for unit in self.units if wanted.intersection(unit.cells)]
        n_jobs = min(available_cores() if jobs is None else jobs, max(len(units), 1))
        if n_jobs == 1:
            for unit in units:
                yield measure_unit(unit, self.settings, wanted)
            return
        from joblib import Parallel, delayed

        # A generator hands results on in the order of the units, as soon as they are there.
        parallel = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)
        call = delayed(_measure_in_worker)
        with warnings.catch_warnings():
            # A process that has grown large makes room for a new one, and no result is lost.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            yield from parallel(
                call(os.getpid(), unit, self.settings, wanted.intersection(unit.cells))
                for unit in units
            )


def _measure_in_worker(
    parent: int, unit: Unit, settings: Settings, wanted: Collection[CellKey]
) -> list[Measured]:
    started_by = parent_process()
    if started_by is not None and started_by.pid == parent:  # this is no thread of the parent
        end_with(parent)
    return measure_unit(unit, settings, wanted)


@cache
def end_with(parent: int) -> None:
    """Let this process end with its parent: one that was killed cannot say that work is over."""

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
    jobs: int | None = 1,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Measure methods on run directories, under shifts of the class frequencies.

    Methods are fitted on the split `val` and judged on targets drawn with replacement from
    `test`. The baseline of a method on one member is that member's own predictions, that of an
    ensemble the member that is best on `val`.

    Parameters
    ----------
    paths : path or sequence of path
        Run directories.
    methods : iterable of str
        Names of methods, or `member`, `ensemble`, `all`; `postproc bench --list-methods` has them.
    models : sequence of str, optional
        Members that take part; all by default.
    shifts : sequence of str
        As `postproc.draw_target` has them.
    draws, rows : int
        Targets for each shift, and most rows of each.
    seed : int
        Seed of draws, folds and trainings.
    jobs : int, optional
        Processes; None for as many as there are cores. Results do not depend on it.
    output : path, optional
        Results file, written as results come; a run that was stopped goes on from it, and
        measures again what failed.
    overwrite : bool
        Whether a results file of another run may be replaced.
    progress : callable, optional
        Called with the numbers of cells done and of all.

    Returns
    -------
    list of Result
        One for each cell: a method on a model of a task under a shift. A method that failed has
        an `error`, and no counts.

    Raises
    ------
    OSError, TypeError, ValueError
        If a run directory or an option is not valid, or the results file is another's.
    """
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    settings = check_settings(methods, shifts, draws=draws, rows=rows, seed=seed)
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
    file = plan.open(Path(output), overwrite=overwrite)
    for cells in plan.run(file.done, jobs=n_jobs):
        file.append(cells)
        if progress is not None:
            progress(len(file.records), total)
    return file.results()


def check_settings(
    methods: Iterable[str], shifts: Sequence[str], *, draws: int, rows: int, seed: int
) -> Settings:
    """Check options.

    Raises
    ------
    TypeError, ValueError
        If one is not valid.
    """
    chosen = choose_methods([methods] if isinstance(methods, str) else methods)
    kinds = tuple(dict.fromkeys([shifts] if isinstance(shifts, str) else shifts))
    if not kinds:
        fail("shifts", "one shift or more", "none")
    for shift in kinds:
        draw_target([0, 1], shift, 1, 0, 2)
    return Settings(
        chosen,
        kinds,
        check_count(draws, "draws", low=1),
        check_count(rows, "rows", low=1),
        check_count(seed, "seed", low=0),
    )
