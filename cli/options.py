"""Options that commands share, each defined once; bad values end with exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


class Number(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """A number in a range; messages are those of the library's own checks."""

    name = "number"

    def __init__(self, **bounds: Any) -> None:
        self.bounds = bounds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse and check."""
        from postproc.checks import check_number

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
        from postproc.checks import check_count

        if value in self.words:
            return str(value)
        try:
            return check_count(int(value), _name(param), low=self.low)
        except ValueError as error:
            self.fail(_not_a(error, "integer", value), param, ctx)


def _name(param: click.Parameter | None) -> str:
    return param.name if param is not None and param.name else "value"


def _not_a(error: ValueError, what: str, value: Any) -> str:
    message = str(error)
    return message if message.startswith("`") else f"{value!r} is not a valid {what}"


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
        type=click.Path(path_type=Path),
        help="Output file; its suffix is its format.  [default: <stem>.<command>.npy in the "
        "input's folder]",
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


def device_option(function: Command) -> Command:
    """Where to compute."""
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Where to compute.",
    )(function)
