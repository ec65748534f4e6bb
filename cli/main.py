"""The command `postproc`."""

from __future__ import annotations

import io
import pickle
import sys
from itertools import pairwise
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
from postproc.jobs.interrupts import terminable

#: Errors that are told in one line: those of data and files, and those of parts of a long job,
#: which come from devices, workers and other packages.
FAULTS = (
    ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError, pickle.PicklingError,
)  # fmt: skip


class _Group(click.Group):
    """A group whose commands report faults and interruptions in one line, with exit code 1."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an empty word would be taken for the folder that this runs in."""
        for before, word in pairwise([*args, "-"]):
            if not word.strip() or (before.startswith("--") and before.endswith("=")):
                what = f"what follows {before.removesuffix('=')}"
                message = f"{what} must not be empty; is a variable of the shell unset?"
                raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a narrow console shows \u... and goes on
                stream.reconfigure(errors="backslashreplace")
        try:
            with terminable():
                return super().invoke(ctx)
        # The reader of a pipe has left, or click itself ends: click knows what to do.
        except (BrokenPipeError, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            from cli.messages import interrupted

            raise click.ClickException(interrupted(ctx)) from None
        except FAULTS as error:
            from cli.messages import already_written
            from postproc.scores.checks import one_line

            raise click.ClickException(one_line(error) + already_written(ctx)) from error


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
