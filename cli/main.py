"""The command `postproc`."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from cli.commands.adapt import adapt
from cli.commands.apply import apply_command
from cli.commands.auto import auto
from cli.commands.bench import bench
from cli.commands.calibrate import calibrate
from cli.commands.can import can
from cli.commands.demo import demo
from cli.commands.ensemble import ensemble_command
from cli.commands.inspect import inspect
from cli.commands.report import report
from cli.commands.tune import tune


class _Group(click.Group):
    """A group whose commands report faults of the data in one line, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a narrow console shows \u... and goes on
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has left; click knows what to do
            raise
        except (ValueError, TypeError, OSError, ImportError) as error:
            raise click.ClickException(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has runnable examples: postproc can -h",
)
@click.version_option(package_name="postproc")
def main() -> None:
    """Better predictions from saved ones.

    Takes logits or probabilities of one or several classifiers from disk and writes better ones.
    """


for command in (
    adapt,
    apply_command,
    auto,
    bench,
    calibrate,
    can,
    demo,
    ensemble_command,
    inspect,
    report,
    tune,
):
    main.add_command(command)
