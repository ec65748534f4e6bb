"""What commands say: tables to stdout, warnings to stderr, or one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

#: Where the context of a command, and of those it calls, keeps the names of what they have written.
WRITTEN = "postproc.written"


def note_written(path: object) -> None:
    """Keep in mind what has been written, for `already_written`."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta.setdefault(WRITTEN, {})[str(path)] = True


def interrupted(context: click.Context) -> str:
    """Say what there is of a command that was interrupted outside of its resumable work."""
    nothing = "; nothing was written, and nothing of this run is kept"
    return "interrupted" + (already_written(context) or nothing)


def already_written(context: click.Context) -> str:
    """What ends a message on why a command stopped: the files that it leaves, if any."""
    written = context.meta.get(WRITTEN)
    return f"; already written: {', '.join(written)}" if written else ""


def warn(messages: Iterable[str], *, quiet: bool = False) -> None:
    """Print warnings to stderr."""
    if not quiet:
        for message in messages:
            click.echo(f"Warning: {message}", err=True)


def print_json(value: Any) -> None:
    """Print one JSON object; a NaN in it would be an error, not an invalid file."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None
) -> None:
    """Print a table: the first column to the left, the others to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A pipe has no width: nothing may be cut there.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def percent(share: float) -> str:
    """A share in per cent with two digits."""
    return f"{100 * share:.2f}"


def points(difference: float) -> str:
    """A difference of shares in signed points."""
    return f"{100 * difference:+z.2f}"
