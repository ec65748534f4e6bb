"""`postproc bench`: every method on run directories, under label shift."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.messages import echo
from cli.options import Outputs, Running
from cli.parameter_types import FILE, PATH, Count
from cli.run.protocol import Protocol, Reports


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
    from cli.run.benchmark import compare_methods, measure_decisions

    if protocol.decisions:
        is_whole = measure_decisions(paths, protocol, outputs, running)
    else:
        is_whole = compare_methods(paths, protocol, outputs, reports, jobs, running)
    if not is_whole:
        ctx.exit(1)
