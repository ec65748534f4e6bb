"""`postproc demo`: the whole story on predictions made on the spot."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.messages import echo
from cli.options import Running


@options.command(
    epilog="""\b
Examples:
  postproc demo
  postproc demo --folder digits --seed 1
"""
)
@options.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("postproc-demo"),
    group=options.OUTPUT,
    help="Where to write the predictions.",
)
@options.group(Running, "seed")
@click.pass_context
def demo_command(ctx: click.Context, *, folder: Path, running: Running) -> None:
    """Train three small classifiers, and improve or spoil their predictions.

    The classifiers see five images of each digit. Their predictions are saved as run directories,
    and every step that follows is a command that you can run again yourself.
    """
    from cli.messages import note_written
    from cli.run.demo_task import make_run_directories

    note_written(f"files in {folder}")
    _say("Three classifiers learn scikit-learn's digits from five images of each.")
    runs = make_run_directories(folder, seed=running.seed)
    for run in runs.values():
        echo(f"written: {run}/<model>.<split>.npy, labels.<split>.npy, classes.txt")

    _say("1. What do the predictions of one of them look like?")
    target = runs["digits"] / "neighbours.test.npy"
    _show(ctx, "inspect", target, prior="uniform")

    _say("2. CAN helps if the prior is right: the digits of this target are equally common.")
    given = {"prior": "uniform", "labels": target.with_name("labels.test"), "overwrite": True}
    _show(ctx, "can", target, **given)

    _say("3. CAN harms if the prior is wrong: the same models on a long tail of digits.")
    target = runs["digits_longtail"] / "neighbours.test.npy"
    _show(ctx, "can", target, **given | {"labels": target.with_name("labels.test")})

    _say("4. All three models, on both targets.")
    _summarize(ctx, runs)
    _say("5. Combine the three, with weights learned on the val split. Is the gain real?")
    combined = folder / "combined.npy"
    _show(ctx, "ensemble", "weights", runs["digits"], output=combined, overwrite=True)

    _say("6. auto decides what to do: here on the long tail that CAN spoiled in step 3.")
    better = folder / "auto.npy"
    _show(ctx, "auto", runs["digits_longtail"], output=better, overwrite=True)
    echo("\nTrust a gain if its interval lies above zero, and take the warnings seriously.")


def _say(text: str) -> None:
    echo()
    echo(text, bold=True)


def _show(ctx: click.Context, name: str, *args: object, **given: Any) -> None:
    """Show a command as it would be typed, and run it."""
    words = [*map(str, args)]
    for option, value in given.items():
        words += [f"--{option}"] if value is True else [f"--{option}", str(value)]
    echo("$ " + shlex.join(["postproc", name, *words]), fg="cyan")
    _run(ctx, name, words)


def _run(ctx: click.Context, name: str, words: list[str]) -> Any:
    """Run another command and return its summary."""
    group: Any = ctx.find_root().command
    return group.get_command(ctx, name).main(words, standalone_mode=False, parent=ctx)


def _summarize(ctx: click.Context, runs: Mapping[str, Path]) -> None:
    """Run CAN on every model of both targets, and show what it does in one table."""
    from cli.messages import print_table
    from cli.run.demo_task import MODELS
    from postproc.reports.tables import percent, points

    rows = []
    for name, run in runs.items():
        for model in MODELS:
            words = [str(run / f"{model}.test.npy"), "--prior", "uniform", "--overwrite", "--quiet"]
            summary = _run(ctx, "can", [*words, "--labels", str(run / "labels.test.npy")])
            report = summary["report"]
            accuracy, (low, high) = report["accuracy"]["all"], report["gain_ci"]
            rows.append(
                [
                    f"{name}/{model}",
                    percent(accuracy["before"]),
                    percent(accuracy["after"]),
                    points(report["gain"]),
                    f"{points(low)} to {points(high)}",
                    "yes" if summary["warnings"] else "no",
                ]
            )
    heading = ["accuracy, %", "before", "after", "gain", "95 % interval", "warned"]
    print_table(heading, rows)
