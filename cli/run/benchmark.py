"""A benchmark on the command line: measured with progress, written and shown."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.messages import echo, note_written, print_json, print_report_tables, refuse, warn
from cli.options import Outputs, Running
from cli.progress import watching
from cli.run.protocol import Protocol, Reports
from cli.task.output import check_apart
from ensemble.bench.records import RecordsFile, make_header
from ensemble.bench.results import Result
from ensemble.bench.runner import Plan, check_settings
from ensemble.bench.summary import summary_tables, to_csv
from ensemble.bench.tasks import Skipped, Task, find_tasks
from postproc.files import atomic_path, check_output
from postproc.reports.html import make_environment
from postproc.reports.text import to_markdown
from postproc.scores.codes import coded

#: Seconds over which the speed is averaged: units take from a second to half a minute.
RATE_OVER = 300.0

SUFFIXES = {"html": (".html", ".htm"), "csv": (".csv",), "markdown": (".md", ".markdown")}


#: Options that decisions are measured without: they print tables or JSON, and write nothing.
METHODS_ONLY = (
    *("methods", "metric", "jobs"),
    *("output", "overwrite", "html", "csv", "markdown", "title"),
)


def compare_methods(
    paths: Sequence[str],
    protocol: Protocol,
    outputs: Outputs,
    reports: Reports,
    jobs: int | None,
    running: Running,
) -> bool:
    """Measure methods and show the results; false if anything was skipped or has failed."""
    for flag in options.flags_given("costly"):
        refuse(f"{flag} is for --decisions")
    methods, shifts, models = map(_words, (protocol.methods, protocol.shifts, protocol.models))
    draws, rows, overwrite = protocol.draws, protocol.rows, outputs.overwrite
    try:
        settings = check_settings(
            methods, shifts, draws=draws, rows=rows, seed=running.seed, metric=protocol.metric
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _check_reports(reports.paths, overwrite=overwrite)
    tasks, skipped = _find(paths, models)
    unknown = set(models).difference(*(task.models for task in tasks))
    if unknown:
        refuse(f"must be models of a run directory, got {', '.join(sorted(unknown))}", "--models")
    plan = Plan.of(tasks, settings)
    if not plan.cells:
        few = "nothing to measure: an ensemble needs two models or more"
        raise click.ClickException(coded("run-directory", few))
    warn(plan.doubts, quiet=running.quiet)
    with plan.open(outputs.output, overwrite=overwrite) as file:
        note_written(file.path)
        _measure(plan, file, jobs=jobs, quiet=running.quiet)
        measured = Measurement(plan, outputs.output, file.results(), skipped)
        warn(
            coded(
                "skipped",
                f"{one.method} failed on {one.task}, {one.model}, {one.shift}: {one.error}",
            )
            for one in measured.failed
        )
        measured.write(reports.paths, title=reports.title, overwrite=overwrite)
        if outputs.as_json:
            print_json(measured.to_dict())
        elif not running.quiet:
            measured.show(reports.paths)
    return not (skipped or measured.failed)


def measure_decisions(
    paths: Sequence[str], protocol: Protocol, outputs: Outputs, running: Running
) -> bool:
    """Measure decisions and print tables, or records as JSON; false if anything was skipped."""
    from ensemble.bench import decisions
    from ensemble.bench.decision_tables import decision_tables

    for flag in options.flags_given(*METHODS_ONLY):
        refuse(f"{flag} is for methods; omit it, or --decisions")
    tasks, skipped = _find(paths, _words(protocol.models))
    if any(task.multilabel for task in tasks):
        refuse("--decisions is for classes that exclude each other, not for multi-label tasks")
    settings: dict[str, Any] = {
        "shifts": _words(protocol.shifts),
        "draws": protocol.draws,
        "costly": protocol.costly,
        "rows": protocol.rows,
        "seed": running.seed,
    }
    records = list(decisions.measure_decisions(tasks, **settings))
    if outputs.as_json:
        print_json({"results": records, "settings": settings})
    else:
        print_report_tables(decision_tables(records), width=200)
    return not skipped


def _find(paths: Sequence[str], models: Sequence[str]) -> tuple[list[Task], list[Skipped]]:
    """The tasks of run directories; says, even with --quiet, which of these are skipped."""
    tasks, skipped = find_tasks(paths, models or None)
    warn(coded("skipped", f"skipped {found.path}: {found.reason}") for found in skipped)
    if not tasks:
        message = "there is no run directory to measure"
        raise click.ClickException(coded("run-directory", message))
    return tasks, skipped


def _words(values: Sequence[str]) -> list[str]:
    """Words separated by commas, from an option that may be repeated."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def _check_reports(paths: dict[str, Path], *, overwrite: bool) -> None:
    """Check that reports can be written, before hours are spent."""
    for name, path in paths.items():
        check_output(path, overwrite=overwrite, suffixes=SUFFIXES[name])
        check_apart(path, option=f"--{name}")
    if "html" in paths:
        make_environment()


@dataclass(frozen=True)
class Measurement:
    """Results of a benchmark, with the plan that they are of and what was left out."""

    plan: Plan
    output: Path
    results: list[Result]
    skipped: Sequence[Skipped]

    @property
    def failed(self) -> list[Result]:
        """Cells that could not be measured."""
        return [result for result in self.results if result.error is not None]

    @property
    def settings(self) -> dict[str, Any]:
        """Tasks and settings as JSON's own types."""
        header = make_header(self.plan.tasks, self.plan.settings)
        del header["format"]
        return {**header, "output": str(self.output)}

    def page(self, title: str) -> str:
        """The page, with all that led to the results."""
        from ensemble.bench.page import bench_page

        tasks = {
            task.name: f"{task.n_classes} {'labels' if task.multilabel else 'classes'}, "
            f"{len(task.models)} models, files {task.fingerprint}"
            for task in self.plan.tasks
        }
        skipped = {found.path: found.reason for found in self.skipped}
        more = {"tasks": tasks, "skipped": skipped, "warnings": self.plan.doubts}
        return bench_page(self.results, self.settings | more, title=title)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON's own types."""
        names = ("task", "model", "shift", "method", "error")
        return {
            "results": [result.to_dict() for result in self.results],
            "skipped": [{"path": found.path, "reason": found.reason} for found in self.skipped],
            "errors": [{name: getattr(each, name) for name in names} for each in self.failed],
            "settings": self.settings,
            "warnings": self.plan.doubts,
        }

    def write(self, paths: dict[str, Path], *, title: str, overwrite: bool) -> None:
        """Write each report whole or not at all."""
        makers = {
            "html": lambda: self.page(title),
            "csv": lambda: to_csv(self.results),
            "markdown": lambda: to_markdown(summary_tables(self.results)),
        }
        for name, path in paths.items():
            text = makers[name]()
            with atomic_path(path, overwrite=overwrite) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def show(self, paths: dict[str, Path]) -> None:
        """Print the tables and where everything was written."""
        print_report_tables(summary_tables(self.results), width=160)
        for path in (self.output, *paths.values()):
            echo(f"written: {path}")


def _measure(plan: Plan, file: RecordsFile, *, jobs: int | None, quiet: bool) -> None:
    """Measure the cells that are not in the results file yet, and add them as they come."""
    total, done = len(plan.cells), len(file.records)
    if done == total:
        return
    try:
        with watching(
            "measuring", total, unit="cells", done=done, over=RATE_OVER, quiet=quiet
        ) as advance:
            for cells in plan.run(file.done, jobs=jobs):
                file.append(cells)
                advance(len(cells))
    except (KeyboardInterrupt, BrokenExecutor) as error:
        kind, why, mend = "interrupted", "interrupted", "run the same command again to continue"
        if isinstance(error, BrokenExecutor):
            kind, why = "memory", "a process died, perhaps for lack of memory"
            mend += ", with fewer processes (--jobs)"
        message = f"{why}: {len(file.records)} of {total} cells are kept in {file.path}; {mend}"
        raise click.ClickException(coded(kind, message)) from None
