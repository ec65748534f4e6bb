"""`postproc bench`: every method on run directories, with shifts of the class frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from ensemble.bench.records import RecordsFile
    from ensemble.bench.results import Result
    from ensemble.bench.runner import Plan
    from ensemble.bench.tasks import Skipped

#: Reports beside the results file: option, what it is, and the suffixes it may have.
REPORTS = {
    "html": ("a page with plots", (".html", ".htm")),
    "csv": ("every cell as comma-separated values, shares as fractions", (".csv",)),
    "markdown": ("the tables as Markdown", (".md", ".markdown")),
}

#: Seconds over which the speed is taken: units take from a second to half a minute.
RATE_OVER = 300.0


def _report_options(function: options.Command) -> options.Command:
    for name, (what, _) in REPORTS.items():
        function = click.option(
            f"--{name}", type=click.Path(path_type=Path), help=f"Write {what}, too."
        )(function)
    return function


def _list_methods(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print all methods and leave."""
    if not value or ctx.resilient_parsing:
        return
    from ensemble.bench.methods import METHODS

    for scope, title in (("member", "On one member:"), ("ensemble", "On all members:")):
        click.echo(title)
        for method in METHODS:
            if method.scope == scope:
                bound = " (looks at the target's labels)" if method.bound else ""
                click.echo(f"  {method.name:18}{method.description}{bound}")
    ctx.exit()


@click.command(
    short_help="Measure every method on run directories, with shifts.",
    epilog="""\b
Examples:
  postproc bench runs/*/ -o bench.jsonl --html bench.html
  postproc bench runs/digits --methods auto,map,blend --shift none,longtail:50 --draws 10
  postproc bench runs/digits --methods ensemble --models a,b --json
  postproc bench --list-methods
""",
)
@click.argument("paths", metavar="RUNDIR...", nargs=-1, required=True)
@click.option(
    "--methods",
    metavar="NAME,...",
    multiple=True,
    default=("all",),
    show_default="all",
    help="Methods by name, or member, ensemble, all; may be repeated.",
)
@click.option(
    "--list-methods",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_methods,
    help="Show all methods, a line each, and leave.",
)
@click.option(
    "--models",
    metavar="NAME,...",
    multiple=True,
    help="Members that take part; may be repeated.  [default: all]",
)
@click.option(
    "--shift",
    "shifts",
    metavar="SHIFT,...",
    multiple=True,
    default=("none,dirichlet:0.5,longtail:50",),
    show_default=True,
    help="Class frequencies of the targets: none (as they are), dirichlet:A (random), longtail:R "
    "(falling by R in all); may be repeated.",
)
@click.option(
    "--draws", type=options.Count(1), default=20, show_default=True, help="Targets for each shift."
)
@click.option(
    "--rows", type=options.Count(1), default=2000, show_default=True, help="Most rows of a target."
)
@click.option("--jobs", type=options.Count(1), help="Processes.  [default: one a core]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("bench.jsonl"),
    show_default=True,
    help="Results file, a line a cell, written as results come.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace reports, and results of a run with other options."
)
@_report_options
@click.option("--title", default="Benchmark", show_default=True, help="Title of the page.")
@options.json_option
@options.seed_option
@options.quiet_option
@click.pass_context
def bench(ctx: click.Context, /, paths: tuple[str, ...], **given: Any) -> None:
    """Measure methods on run directories RUNDIR..., under shifts of the class frequencies.

    Fitted on the split val, judged on targets drawn with replacement from the split test; all
    methods see the same targets. Gains of methods on one member are over the member's own
    predictions, those of ensembles over the member that is best on val.

    A run that was stopped goes on from the results file when the same command is given again, and
    cells that failed are measured again. A file that is complete is only shown, so that another
    report costs nothing.
    """
    from cli.messages import note_written, warn
    from ensemble.bench.runner import Plan
    from ensemble.bench.tasks import find_tasks

    settings = _settings(given)
    _check_reports(given)
    models = _words(given["models"])
    tasks, skipped = find_tasks(paths, models or None)
    # What is at fault is said whatever --quiet says: it is why the exit code is not 0.
    warn(f"skipped {found.path}: {found.reason}" for found in skipped)
    unknown = set(models).difference(*(task.models for task in tasks))
    if unknown and tasks:
        message = f"must be models of a run directory, got {', '.join(sorted(unknown))}"
        raise click.BadParameter(message, param_hint="--models")
    plan = Plan.of(tasks, settings)
    if not plan.cells:
        message = "no run directory is left to be measured" if not tasks else _NO_CELLS
        raise click.ClickException(message)
    warn(plan.doubts, quiet=given["quiet"])
    file = plan.open(given["output"], overwrite=given["overwrite"])
    note_written(file.path)
    _measure(plan, file, given)
    results = file.results()
    failed = [result for result in results if result.error is not None]
    warn(
        f"{result.method} failed on {result.task}, {result.model}, {result.shift}: {result.error}"
        for result in failed
    )
    _write_reports(results, plan, skipped, given)
    _show(results, plan, skipped, given)
    if skipped or failed:
        ctx.exit(1)


#: All tasks have one model and only ensembles were asked for.
_NO_CELLS = "nothing to measure: an ensemble needs two models or more"


def _words(values: Sequence[str]) -> list[str]:
    """Words with commas between them, from an option that may be repeated."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def _settings(given: dict[str, Any]) -> Any:
    from ensemble.bench.runner import check_settings

    try:
        return check_settings(
            _words(given["methods"]),
            _words(given["shifts"]),
            draws=given["draws"],
            rows=given["rows"],
            seed=given["seed"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _check_reports(given: dict[str, Any]) -> None:
    """Check what can be checked before hours are spent."""
    from cli.task.apart import check_apart
    from postproc.files import check_output

    for name, (_, suffixes) in REPORTS.items():
        if given[name] is not None:
            check_output(given[name], overwrite=given["overwrite"], suffixes=suffixes)
            check_apart(given[name], given, option=f"--{name}")
    if given["html"] is not None:
        import jinja2  # noqa: F401  # a page at the end needs both
        import matplotlib  # noqa: F401


def _measure(plan: Plan, file: RecordsFile, given: dict[str, Any]) -> None:
    """Measure what is not there yet; what is there is kept whatever happens."""
    from concurrent.futures import BrokenExecutor

    from cli.progress import watching

    total = len(plan.cells)
    if len(file.records) == total:
        return
    try:
        with watching(
            "measuring",
            total,
            unit="cells",
            done=len(file.records),
            over=RATE_OVER,
            quiet=given["quiet"],
        ) as advance:
            for cells in plan.run(file.done, jobs=given["jobs"]):
                file.append(cells)
                advance(len(cells))
    except (KeyboardInterrupt, BrokenExecutor) as error:
        why, mend = "interrupted", "the same command goes on from there"
        if isinstance(error, BrokenExecutor):
            why = "a process has died, perhaps for want of memory"
            mend += ", with fewer processes (--jobs)"
        message = f"{why}: {len(file.records)} of {total} cells are kept in {file.path}; {mend}"
        raise click.ClickException(message) from None


def _plain_settings(plan: Plan, given: dict[str, Any]) -> dict[str, Any]:
    from ensemble.bench.records import make_header

    header = make_header(plan.tasks, plan.settings)
    del header["format"]
    return {**header, "output": str(given["output"])}


def _write_reports(
    results: list[Result], plan: Plan, skipped: Sequence[Skipped], given: dict[str, Any]
) -> None:
    """Write the files that were asked for, each whole or not at all."""
    from postproc.files import atomic_path

    for name in REPORTS:
        if given[name] is None:
            continue
        if name == "html":
            text = _page(results, plan, skipped, given)
        elif name == "csv":
            from ensemble.bench.summary import to_csv

            text = to_csv(results)
        else:
            from ensemble.bench.summary import summary_tables
            from postproc.reports.text import to_markdown

            text = to_markdown(summary_tables(results))
        with atomic_path(given[name], overwrite=given["overwrite"]) as path:
            path.write_text(text, encoding="utf-8")


def _page(
    results: list[Result], plan: Plan, skipped: Sequence[Skipped], given: dict[str, Any]
) -> str:
    from ensemble.bench.page import bench_page

    said = _plain_settings(plan, given)
    said["tasks"] = {
        task.name: f"{task.n_classes} classes, {len(task.models)} models, files {task.fingerprint}"
        for task in plan.tasks
    }
    said["skipped"] = {found.path: found.reason for found in skipped}
    said["warnings"] = plan.doubts
    return bench_page(results, said, title=given["title"])


def _show(
    results: list[Result], plan: Plan, skipped: Sequence[Skipped], given: dict[str, Any]
) -> None:
    """Print one JSON object, or the tables and where everything lies."""
    from cli.messages import print_json

    if given["as_json"]:
        names = ("task", "model", "shift", "method", "error")
        errors = [
            {name: getattr(result, name) for name in names}
            for result in results
            if result.error is not None
        ]
        print_json(
            {
                "results": [result.to_dict() for result in results],
                "skipped": [{"path": found.path, "reason": found.reason} for found in skipped],
                "errors": errors,
                "settings": _plain_settings(plan, given),
                "warnings": plan.doubts,
            }
        )
    elif not given["quiet"]:
        _print_tables(results)
        for path in (given["output"], *(given[name] for name in REPORTS)):
            if path is not None:
                click.echo(f"written: {path}")


def _print_tables(results: list[Result]) -> None:
    import sys

    from rich.console import Console

    from ensemble.bench.summary import summary_tables
    from postproc.reports.text import renderable, to_text

    shown = summary_tables(results)
    if sys.stdout.isatty():
        Console(highlight=False).print(renderable(shown))
    else:  # a pipe has no width: nothing may be cut there
        click.echo(to_text(shown, width=160), nl=False)
