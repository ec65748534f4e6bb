"""The command `postproc`."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from itertools import pairwise
from typing import Any

import click

#: Each command `name` is `name_command` in the module `cli.commands.name`, imported when needed.
COMMANDS = {
    "adapt": "Adapt probabilities to label shift.",
    "apply": "Apply a saved model to new predictions.",
    "augment": "Make variants of texts, to be predicted and pooled.",
    "auto": "Combine, calibrate and adapt, each only where it helps.",
    "bench": "Compare all methods on run directories, under label shift.",
    "calibrate": "Calibrate probabilities on labelled rows.",
    "can": "Adjust ambiguous rows by alternating normalization.",
    "convert": "Write predictions in another format or layout.",
    "decide": "Turn probabilities into labels, abstention or sets.",
    "demo": "See it all at work on a small data set.",
    "ensemble": "Combine the predictions of several models.",
    "examples": "Write the demo's predictions, to try commands on.",
    "inspect": "Show what prediction files contain.",
    "pool": "Make one row of all rows that share an id.",
    "report": "Compare predictions with labels: is a gain real?",
    "tune": "Choose hyperparameters by cross-validation.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it runs, and turns the user's errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"cli.commands.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before a command."""
        try:
            return super().parse_args(ctx, args)
        except click.ClickException as error:
            from cli.messages import with_code

            raise with_code(error) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; refuse empty words, which would name the current folder."""
        for before, word in pairwise([*args, "-"]):
            if not word.strip() or (before.startswith("--") and before.endswith("=")):
                what = f"the value after {before.removesuffix('=')}"
                message = f"{what} must not be empty; is a shell variable unset?"
                raise click.UsageError(message, ctx)
        word = args[0]
        if word not in COMMANDS and not word.startswith("-"):
            from postproc.scores.checks import meant

            asked = meant(word, COMMANDS)
            message = f"No such command {word!r}{'; ' * bool(asked)}{asked}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from postproc.jobs.interrupts import terminable

        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a narrow console shows \u... instead
                stream.reconfigure(errors="backslashreplace")
        try:
            with terminable():
                return super().invoke(ctx)
        # The reader of a pipe has left, or click itself ends: click knows what to do.
        except (BrokenPipeError, click.Abort, click.exceptions.Exit):
            raise
        except click.ClickException as error:
            from cli.messages import with_code

            raise with_code(error) from None
        except KeyboardInterrupt:
            from cli.messages import interrupted

            raise click.ClickException(interrupted(ctx)) from None
        except Exception as error:
            from cli.messages import raise_as_message

            raise_as_message(error, ctx, debug=ctx.params["debug"])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command has examples: postproc can -h",
)
@click.option("--debug", is_flag=True, help="Show the traceback of every error.")
@click.version_option(package_name="postproc")
def main(debug: bool) -> None:
    """Turn saved predictions of classifiers into better ones.

    Reads logits or probabilities of one or several models from files and writes improved
    probabilities.
    """
