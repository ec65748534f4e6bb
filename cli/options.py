"""Options that commands share, each defined once; bad values end with exit code 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

#: Engines that there are; `cli.task.runner.make_engine` makes them.
ENGINES = ("local", "dask")

#: What a folder's path may end in.
SLASHES = tuple(mark for mark in (os.sep, os.altsep) if mark)


class Number(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """A number in a range; messages are those of the library's own checks."""

    name = "number"

    def __init__(self, **bounds: Any) -> None:
        self.bounds = bounds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse and check."""
        from postproc.scores.checks import check_number

        try:
            number = float(value)
            return check_number(number, _name(param), **self.bounds)
        except ValueError as error:
            self.fail(_not_a(error, "number", value), param, ctx)


class Count(click.ParamType):  # type: ignore[type-arg]
    """An integer in a range."""

    name = "integer"

    def __init__(self, low: int, words: tuple[str, ...] = ()) -> None:
        self.low = low
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Parse and check; one of the words passes as it is."""
        from postproc.scores.checks import check_count

        if value in self.words:
            return str(value)
        try:
            return check_count(int(value), _name(param), low=self.low)
        except ValueError as error:
            kind = " nor ".join(["integer", *self.words])
            self.fail(_not_a(error, kind, value), param, ctx)


def _name(param: click.Parameter | None) -> str:
    return param.name if param is not None and param.name else "value"


def _not_a(error: ValueError, what: str, value: Any) -> str:
    message = str(error)
    return message if message.startswith("`") else f"{value!r} is not a valid {what}"


class OutputPath(click.ParamType):  # type: ignore[type-arg]
    """A path; one that ends in a slash is a folder that gets shards."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | FolderPath:
        """Keep in mind whether there was a slash."""
        text = os.fspath(value)
        return FolderPath(Path(text)) if text.endswith(SLASHES) else Path(text)


@dataclass(frozen=True)
class FolderPath:
    """An output that was named as a folder."""

    path: Path


def predictions_argument(function: Command) -> Command:
    """One prediction file."""
    return click.argument("predictions", metavar="PREDS")(function)


def output_options(function: Command) -> Command:
    """Where output goes, and whether a file may be replaced."""
    function = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")(
        function
    )
    return click.option(
        "-o",
        "--output",
        type=OutputPath(),
        help="Output file; its suffix is its format. With a slash at its end: a folder of shards.  "
        "[default: <stem>.<command>.npy in the input's folder]",
    )(function)


def engine_options(function: Command) -> Command:
    """Where blocks of rows are computed, and what becomes of a job that was stopped."""
    function = click.option(
        "--resume",
        is_flag=True,
        help="Go on with a job that was stopped; what it had finished is not computed again.",
    )(function)
    return engine_option(function)


def engine_option(function: Command) -> Command:
    """Where blocks of rows are computed."""
    function = click.option(
        "--workers",
        type=Count(1),
        help="With --engine dask: processes on this machine.  [default: one a core]",
    )(function)
    function = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="With --engine dask: a scheduler that runs, as tcp://host:8786.",
    )(function)
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="local",
        show_default=True,
        help="Where blocks of rows are computed.",
    )(function)


def input_options(function: Command) -> Command:
    """What the scores are, and what their columns are called."""
    function = click.option(
        "--classes", type=click.Path(path_type=Path), help="Class names, one a line."
    )(function)
    return click.option(
        "--logits/--probs",
        "is_logits",
        default=None,
        help="Declare what the scores are.  [default: seen from the values]",
    )(function)


def fit_options(function: Command) -> Command:
    """One file of labelled rows to fit on."""
    function = click.option(
        "--fit-labels", metavar="FILE", required=True, help="Labels of the rows of --fit."
    )(function)
    return click.option(
        "--fit", "fit_file", metavar="FILE", required=True, help="Predictions for labelled rows."
    )(function)


def fit_members_options(function: Command) -> Command:
    """Labelled rows to fit on, a file for each member."""
    function = click.option("--fit-labels", metavar="FILE", help="Labels of the rows of --fit.")(
        function
    )
    return click.option(
        "--fit",
        "fit_files",
        metavar="FILE",
        multiple=True,
        help="Predictions for labelled rows, once for each of PREDS, in the same order.",
    )(function)


def save_option(what: str) -> Callable[[Command], Command]:
    """A file that keeps what was fitted."""
    return click.option(
        "--save", type=click.Path(path_type=Path), help=f"Keep the {what}, for postproc apply."
    )


def labels_option(function: Command) -> Command:
    """Labels to judge by."""
    return click.option(
        "--labels", metavar="FILE", help="True labels of PREDS: adds a report of before and after."
    )(function)


def missing_class_option(function: Command) -> Command:
    """What becomes of a member that does not know all classes."""
    return click.option(
        "--missing-class",
        type=click.Choice(["error", "zero"]),
        default="error",
        show_default=True,
        help="What to do with a member that lacks a class of another: stop, or give it zero there.",
    )(function)


def json_option(function: Command) -> Command:
    """One JSON object in place of the table."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
    )(function)


def quiet_option(function: Command) -> Command:
    """Less talk."""
    return click.option("--quiet", is_flag=True, help="Print no warnings and no table.")(function)


def seed_option(function: Command) -> Command:
    """The seed of everything random."""
    return click.option(
        "--seed", type=Count(0), default=0, show_default=True, help="Seed of random choices."
    )(function)


def device_options(function: Command) -> Command:
    """Where to compute, and how precisely."""
    function = click.option(
        "--fast",
        is_flag=True,
        help="With --device cuda: let products of float32 matrices round their factors to TF32.",
    )(function)
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Where to compute.",
    )(function)
