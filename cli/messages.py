"""What commands say: tables to stdout, warnings and errors to stderr, or one JSON object."""

from __future__ import annotations

import json
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from cli.error_kinds import kind_of

#: Where the context of a command, and of those it calls, keeps the names of what they have written.
WRITTEN = "postproc.written"

#: Where it keeps the codes of --silence.
SILENCED = "postproc.silenced"

#: An argument of Python with the option that stands for it, which alone is meant here.
ARGUMENT = re.compile(r"\b\w+=(?:\"[^\"]*\"|True)? \((--[^()]+)\)")

REPORT = (
    "This is a fault of postproc, not of your data: please report it with the traceback above "
    "[PP901]"
)


def note_written(path: object) -> None:
    """Remember that a file was written, for `already_written`."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta.setdefault(WRITTEN, {})[str(path)] = True


def silence(codes: Iterable[str]) -> None:
    """Hide warnings with these codes, in this command and those that it calls."""
    click.get_current_context().meta.setdefault(SILENCED, set()).update(codes)


def heard(messages: Iterable[str]) -> list[str]:
    """Those messages whose codes are not silenced."""
    from postproc.scores.codes import code_in

    context = click.get_current_context(silent=True)
    silenced = context.meta.get(SILENCED, ()) if context is not None else ()
    return [message for message in messages if code_in(message) not in silenced]


def interrupted(context: click.Context) -> str:
    """Say what is left of a command that was interrupted outside its resumable work."""
    from postproc.scores.codes import coded

    left = already_written(context) or "; nothing was written or kept"
    return coded("interrupted", f"interrupted{left}")


def already_written(context: click.Context) -> str:
    """The end of a message on why a command stopped: the files that it leaves, if any."""
    written = context.meta.get(WRITTEN)
    return f"; already written: {', '.join(written)}" if written else ""


def raise_as_message(error: Exception, context: click.Context, *, debug: bool) -> NoReturn:
    """Raise an error of the user as one line; any other as it is, with a request to report it."""
    if not is_expected(error):
        error.add_note(REPORT)
        raise error
    if debug:
        traceback.print_exception(error)
    raise click.ClickException(said_of(error, already_written(context))) from error


def said_of(error: Exception, more: str = "") -> str:
    """One line on an error of the user, with its code."""
    from postproc.scores.checks import one_line
    from postproc.scores.codes import coded

    return coded(kind_of(error), ARGUMENT.sub(r"\1", one_line(error)) + more)


def refuse(message: str, parameter: str = "") -> NoReturn:
    """Raise an error of usage, or of the value of a parameter."""
    if parameter:
        raise click.BadParameter(message, param_hint=parameter)
    raise click.UsageError(message)


def with_code(error: click.ClickException) -> click.ClickException:
    """An error of click, with the code of a faulty command line where it is one."""
    from postproc.scores.codes import coded

    no_words = isinstance(error, click.exceptions.NoArgsIsHelpError)  # its message is the help
    if no_words or not isinstance(error, click.UsageError):
        return error
    return click.UsageError(coded("command-line", error.format_message()), error.ctx)


def is_expected(error: BaseException) -> bool:
    """Whether an error comes from the data, the files or the machine, and not from postproc."""
    from postproc.jobs.write import StoppedError
    from postproc.scores.checks import PACKAGES, is_of_data

    if isinstance(error, StoppedError) and isinstance(error.__cause__, Exception):
        return is_expected(error.__cause__)
    if isinstance(error, ImportError):  # an extra that is not installed
        return (error.name or "").partition(".")[0] not in PACKAGES
    # Torch has an OutOfMemoryError of its own, for devices.
    of_machine = isinstance(error, OSError | MemoryError) or "OutOfMemory" in type(error).__name__
    return of_machine or is_of_data(error)


@contextmanager
def noting(notes: list[str]) -> Iterator[None]:
    """Add the library's warnings to notes that are printed later."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += [str(each.message) for each in caught]


def echo(text: object = "", *, nl: bool = True, err: bool = False, **style: Any) -> None:
    """Print text, perhaps in a style of click; names in it cannot steer the terminal."""
    from postproc.scores.checks import printable

    click.secho(printable(str(text)), nl=nl, err=err, **style)


def warn(messages: Iterable[str], *, quiet: bool = False) -> None:
    """Print warnings to stderr."""
    if not quiet:
        for message in heard(messages):
            echo(f"Warning: {message}", err=True)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object without silenced warnings; NaN is an error, since JSON has none."""
    if "warnings" in value:
        value = value | {"warnings": heard(value["warnings"])}
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table: the first column to the left, the others to the right."""
    from rich.console import Console

    from postproc.reports.tables import Table, named
    from postproc.reports.text import rich_table

    table = Table(title, tuple(columns), tuple(tuple(map(named, row)) for row in rows))
    # A pipe has no width: nothing may be cut off there.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(rich_table(table))


#: How much wider than the text around it a table may be where there is no terminal.
WIDER = 20


def print_report_tables(tables: Any, *, width: int) -> None:
    """Print tables of a report: as wide as a terminal; elsewhere `width`, more for long names."""
    from postproc.reports.text import renderable, to_text

    if not sys.stdout.isatty():
        echo(to_text(tables, width=width, wider=WIDER), nl=False)
        return
    from rich.console import Console

    Console(highlight=False).print(renderable(tables))
