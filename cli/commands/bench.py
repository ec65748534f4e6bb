"""`postproc bench`: every method on run directories, under label shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from cli import options
from cli.messages import echo
from cli.options import Outputs, Running, given
from cli.parameter_types import FILE, PATH, Count, MetricName

#: Options that decisions are measured without: they print tables or JSON, and write nothing.
METHODS_ONLY = (
    *("methods", "metric", "jobs"),
    *("output", "overwrite", "html", "csv", "markdown", "title"),
)


def _list_methods(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print all methods and exit."""
    if not value or ctx.resilient_parsing:
        return
    from ensemble.bench.methods import METHODS

    for scope, title in (("member", "On one member:"), ("ensemble", "On all members:")):
        echo(title)
        for method in METHODS:
            if method.scope == scope:
                bound = " (looks at the target's labels)" if method.bound else ""
                echo(f"  {method.name:18}{method.description}{bound}")
    ctx.exit()


@dataclass(frozen=True)
class Protocol:
    """What is measured on which targets."""

    models: Sequence[str] = given(
        "Members to use; may be repeated.  [default: all]",
        metavar="NAME,...",
        multiple=True,
        group=options.INPUT,
    )
    methods: Sequence[str] = given(
        "Names of methods, or member, ensemble, all; may be repeated.",
        metavar="NAME,...",
        multiple=True,
        default=("all",),
    )
    decisions: bool = given(
        "Measure decisions in place of methods: abstention and sets, whether their guarantees "
        "hold, and what class weights gain; on members only, with --draws and --costly."
    )
    costly: int = given(
        "--decisions: number of draws for methods that take long to fit.", type=Count(0), default=20
    )
    shifts: Sequence[str] = given(
        "Class priors of the targets: none (unchanged), dirichlet:A (random, concentration "
        "A), longtail:R (largest over smallest class R); may be repeated.",
        "--shift",
        metavar="SHIFT,...",
        multiple=True,
        default=("none,dirichlet:0.5,longtail:50",),
    )
    metric: str = given(
        "What gains are in: accuracy or another metric of predicted classes. It also chooses the "
        "best member, and auto is told to improve it.",
        type=MetricName(),
        metavar="NAME",
        default="accuracy",
    )
    draws: int = given("Number of targets for each shift.", type=Count(1), default=20)
    rows: int = given("Maximum number of rows of a target.", type=Count(1), default=2000)


@dataclass(frozen=True)
class Reports:
    """Files to write beside the results."""

    GROUP: ClassVar = options.OUTPUT

    html: Path | None = given("Also write a page with plots.")
    csv: Path | None = given("Also write every cell as CSV.")
    markdown: Path | None = given("Also write the tables.")
    title: str = given("Title of the page.", default="Benchmark")

    @property
    def paths(self) -> dict[str, Path]:
        """The files that were asked for."""
        found = {"html": self.html, "csv": self.csv, "markdown": self.markdown}
        return {name: path for name, path in found.items() if path is not None}


@options.command(
    epilog="""\b
Examples:
  postproc bench runs/*/ -o bench.jsonl --html bench.html
  postproc bench runs/digits --methods auto,map,blend \\
      --shift none,longtail:50 --draws 10
  postproc bench runs/digits --methods ensemble --models a,b --json
  postproc bench runs/digits --metric macro_f1 --shift longtail:50
  postproc bench runs/digits --decisions --draws 400
  postproc bench --list-methods
"""
)
@click.argument("paths", metavar="RUNDIR...", nargs=-1, required=True, type=FILE)
@options.group(Protocol)
@options.option(
    "--list-methods",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_methods,
    help="List all methods and exit.",
)
@options.group(
    Outputs,
    "overwrite",
    "as_json",
    output={
        "type": PATH,
        "default": Path("bench.jsonl"),
        "help": "Results file with one line per cell, written as results come in.",
    },
)
@options.group(Reports)
@options.option(
    "--jobs",
    type=Count(1),
    group=options.RUNNING,
    help="Number of processes.  [default: one per core]",
)
@options.group(Running, "seed", "quiet")
@click.pass_context
def bench_command(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    protocol: Protocol,
    outputs: Outputs,
    reports: Reports,
    jobs: int | None,
    running: Running,
) -> None:
    """Compare methods on run directories RUNDIR..., under label shift.

    Methods are fitted on the val split and evaluated on targets drawn with replacement from the
    test split; all methods see the same targets. Gains of methods on one member are over that
    member's own predictions, those of ensembles over the member that is best on val.

    If a run is stopped, the same command continues it from the results file and measures failed
    cells again. If the file is complete it is only shown, so another report costs nothing.
    """
    from cli.messages import note_written, print_json, warn
    from cli.run.benchmark import Measurement, check_reports, measure
    from ensemble.bench.runner import Plan, check_settings
    from ensemble.bench.tasks import find_tasks
    from postproc.scores.codes import coded

    if protocol.decisions:
        _measure_decisions(ctx, paths, protocol, outputs, running)
        return
    for flag in options.flags_given("costly"):
        message = f"{flag} is for --decisions"
        raise click.UsageError(message)
    methods, shifts = _words(protocol.methods), _words(protocol.shifts)
    draws, rows, overwrite = protocol.draws, protocol.rows, outputs.overwrite
    try:
        settings = check_settings(
            methods, shifts, draws=draws, rows=rows, seed=running.seed, metric=protocol.metric
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    check_reports(reports.paths, overwrite=overwrite)
    wanted = _words(protocol.models)
    tasks, skipped = find_tasks(paths, wanted or None)
    # Even with --quiet: this is why the exit code is not 0.
    warn(coded("skipped", f"skipped {found.path}: {found.reason}") for found in skipped)
    unknown = set(wanted).difference(*(task.models for task in tasks))
    if unknown and tasks:
        message = f"must be models of a run directory, got {', '.join(sorted(unknown))}"
        raise click.BadParameter(message, param_hint="--models")
    plan = Plan.of(tasks, settings)
    if not plan.cells:
        few = "nothing to measure: an ensemble needs two models or more"
        message = few if tasks else "there is no run directory to measure"
        raise click.ClickException(coded("run-directory", message))
    warn(plan.doubts, quiet=running.quiet)
    file = ctx.with_resource(plan.open(outputs.output, overwrite=overwrite))
    note_written(file.path)
    measure(plan, file, jobs=jobs, quiet=running.quiet)
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
    if skipped or measured.failed:
        ctx.exit(1)


def _measure_decisions(
    ctx: click.Context,
    paths: tuple[str, ...],
    protocol: Protocol,
    outputs: Outputs,
    running: Running,
) -> None:
    from cli.messages import warn
    from cli.run.benchmark import measure_decisions
    from ensemble.bench.tasks import find_tasks
    from postproc.scores.codes import coded

    for flag in options.flags_given(*METHODS_ONLY):
        message = f"{flag} is for methods; omit it, or --decisions"
        raise click.UsageError(message)
    tasks, skipped = find_tasks(paths, _words(protocol.models) or None)
    warn(coded("skipped", f"skipped {found.path}: {found.reason}") for found in skipped)
    if not tasks:
        message = "there is no run directory to measure"
        raise click.ClickException(coded("run-directory", message))
    measure_decisions(
        tasks,
        as_json=outputs.as_json,
        shifts=_words(protocol.shifts),
        draws=protocol.draws,
        costly=protocol.costly,
        rows=protocol.rows,
        seed=running.seed,
    )
    if skipped:
        ctx.exit(1)


def _words(values: Sequence[str]) -> list[str]:
    """Words separated by commas, from an option that may be repeated."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]
