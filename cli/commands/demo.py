"""`postproc demo`: the whole story on predictions made on the spot."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.commands.auto import auto
from cli.commands.can import adjust_file, can
from cli.commands.ensemble import ensemble_command
from cli.commands.inspect import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(
    short_help="See it all at work on data made on the spot.",
    epilog="""\b
Examples:
  postproc demo
  postproc demo --folder /tmp/digits --seed 1
""",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("postproc-demo"),
    show_default=True,
    help="Where to write the predictions.",
)
@options.seed_option
@click.pass_context
def demo(ctx: click.Context, folder: Path, seed: int) -> None:
    """Train three small classifiers and improve, or spoil, their predictions.

    The classifiers see five images of each digit; their predictions are saved as run directories,
    and every step that follows is a command that can be run again by hand.
    """
    from cli.messages import note_written
    from cli.run.demo_task import make_run_directories

    note_written(f"files in {folder}")
    _say("Three classifiers learn scikit-learn's digits from five images of each.")
    runs = make_run_directories(folder, seed=seed)
    for run in runs.values():
        click.echo(f"written: {run}/<model>.<split>.npy, labels.<split>.npy, classes.txt")

    _say("1. What do the predictions of one of them look like?")
    target = runs["digits"] / "neighbours.test.npy"
    _run(ctx, inspect, target, prior="uniform")

    _say("2. CAN helps where the prior is right: the digits of the target are equally common.")
    _run(ctx, can, target, prior="uniform", labels=target.with_name("labels.test"), overwrite=True)

    _say("3. CAN harms where the prior is wrong: the same models on a long tail of digits.")
    target = runs["digits_longtail"] / "neighbours.test.npy"
    _run(ctx, can, target, prior="uniform", labels=target.with_name("labels.test"), overwrite=True)

    _say("4. All three, with both targets.")
    _summarize(runs)
    _say("5. Combine the three, with weights learned on the val split. Is the gain real?")
    combined = folder / "combined.npy"
    _run(ctx, ensemble_command, "weights", runs["digits"], output=combined, overwrite=True)

    _say("6. auto decides for itself what to do: here on the long tail that spoiled step 3.")
    better = folder / "auto.npy"
    _run(ctx, auto, runs["digits_longtail"], output=better, overwrite=True)
    click.echo("\nBelieve a gain when its interval lies above zero, and heed the warnings.")


def _say(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _run(ctx: click.Context, command: click.Command, *args: object, **given: Any) -> None:
    """Show a command as it would be typed, and run it."""
    words = ["postproc", str(command.name), *map(str, args)]
    for name, value in given.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    click.secho("$ " + shlex.join(words), fg="cyan")
    command.main(args=words[2:], standalone_mode=False, parent=ctx)


def _summarize(runs: Mapping[str, Path]) -> None:
    from cli.messages import percent, points, print_table
    from cli.run.demo_task import MODELS

    rows = []
    for name, run in runs.items():
        for model in MODELS:
            args = [str(run / f"{model}.test.npy"), "--prior", "uniform", "--overwrite"]
            args += ["--labels", str(run / "labels.test.npy")]
            params = can.make_context("can", args).params
            summary = adjust_file(params.pop("predictions"), params)
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
