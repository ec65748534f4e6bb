"""Options of the commands: types, groups in the help, and each group as one typed argument."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

#: Groups of options, in the order of the help.
INPUT, METHOD, OUTPUT, RUNNING = GROUPS = (
    "Input options", "Method options", "Output options", "Running options",
)  # fmt: skip

#: What the path of a folder may end in.
SLASHES = tuple(mark for mark in (os.sep, os.altsep) if mark)

PATH = click.Path(path_type=Path)


class Option(click.Option):
    """An option that belongs to a group."""

    def __init__(self, *args: Any, group: str = METHOD, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


class Command(click.Command):
    """A command whose help lists its options by group, each with its default."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        attributes["context_settings"] = {"show_default": True}
        super().__init__(*args, **attributes)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group."""
        sections: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections[getattr(param, "group", RUNNING)].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


command = partial(click.command, cls=Command)
option = partial(click.option, cls=Option)


def given(*names: str, **attributes: Any) -> Any:
    """A field of a dataclass that is an option; the arguments are those of `click.option`."""
    default = attributes.get("default", False if attributes.get("is_flag") else None)
    return field(default=default, metadata={"names": names, "attributes": attributes})


def group(
    kind: type, *names: str, argument: str | None = None, **changes: dict[str, Any]
) -> Callable[[F], F]:
    """Add the options of a dataclass, and pass them as one argument.

    All options, or those of the fields `names` and `changes`, which hold other attributes. The
    argument is named after the class.
    """
    wanted = {*names, *changes}
    chosen = [each for each in fields(kind) if not wanted or each.name in wanted]

    def decorate(function: F) -> F:
        @wraps(function)
        def call(**params: Any) -> Any:
            own = kind(**{each.name: params.pop(each.name) for each in chosen})
            return function(**{argument or kind.__name__.lower(): own}, **params)

        decorated: Any = call
        for each in reversed(chosen):
            attributes = {"group": getattr(kind, "GROUP", METHOD), **each.metadata["attributes"]}
            attributes |= changes.get(each.name, {})
            decorated = option(*each.metadata["names"], each.name, **attributes)(decorated)
        return decorated  # type: ignore[no-any-return]  # wraps keeps the type of the rest

    return decorate


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
            return check_number(float(value), _name(param), **self.bounds)
        except ValueError as error:
            self.fail(_not_a(error, "number", value), param, ctx)


class Count(click.ParamType):  # type: ignore[type-arg]
    """An integer in a range, or one of some words."""

    name = "integer"

    def __init__(self, low: int, words: tuple[str, ...] = ()) -> None:
        self.low = low
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Parse and check; words pass unchanged."""
        from postproc.scores.checks import check_count

        if value in self.words:
            return str(value)
        try:
            return check_count(int(value), _name(param), low=self.low)
        except ValueError as error:
            self.fail(_not_a(error, " nor ".join(["integer", *self.words]), value), param, ctx)


def _name(param: click.Parameter | None) -> str:
    return param.name if param is not None and param.name else "value"


def _not_a(error: ValueError, what: str, value: Any) -> str:
    message = str(error)
    return message if message.startswith("`") else f"{value!r} is not a valid {what}"


class Values(click.ParamType):  # type: ignore[type-arg]
    """Numbers or words separated by commas, each parsed by another type."""

    name = "list"

    def __init__(self, item: click.ParamType[Any]) -> None:
        self.item = item

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        """Parse and check each."""
        parts = [part.strip() for part in str(value).split(",")]
        return [self.item.convert(part, param, ctx) for part in parts]


@dataclass(frozen=True)
class FolderPath:
    """An output that was named as a folder, with a slash at the end."""

    path: Path


class OutputPath(click.ParamType):  # type: ignore[type-arg]
    """A path; one that ends in a slash is a folder for shards."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | FolderPath:
        """Remember whether there was a slash."""
        text = os.fspath(value)
        return FolderPath(Path(text)) if text.endswith(SLASHES) else Path(text)


predictions_argument = click.argument("predictions", metavar="PREDS")
members_argument = click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)


@dataclass(frozen=True)
class Inputs:
    """How predictions are read, and the labels that they are judged by."""

    GROUP: ClassVar = INPUT

    labels: str | None = given(
        "--labels",
        metavar="FILE",
        help="True labels of PREDS; adds a report that compares before and after.",
    )
    missing_class: Any = given(
        "--missing-class",
        type=click.Choice(["error", "zero"]),
        default="error",
        help="What to do if a member lacks a class that another has: stop, or give that class "
        "probability zero.",
    )
    is_logits: bool | None = given(
        "--logits/--probs",
        default=None,
        help="Declare what the scores are.  [default: detected from their values]",
    )
    classes: Path | None = given("--classes", type=PATH, help="File of class names, one per line.")


@dataclass(frozen=True)
class Prior:
    """A class prior."""

    GROUP: ClassVar = INPUT

    prior: str | None = given(
        "--prior",
        metavar="SRC",
        help="Class prior of PREDS: a file of labels, counts or probabilities; `uniform`; or "
        "numbers separated by commas.",
    )
    prior_kind: Any = given(
        "--prior-kind",
        type=click.Choice(["labels", "counts", "vector"]),
        help="What the file given to --prior contains.  [default: detected from its length and "
        "values]",
    )

    def load(
        self, n_classes: int, classes: Sequence[str] | None, *, multilabel: bool = False
    ) -> NDArray[Any] | None:
        """The prior, shape (C,); None where none is given."""
        from postproc.files import load_prior

        if self.prior is None:
            return None
        return load_prior(
            self.prior,
            n_classes=n_classes,
            classes=classes,
            kind=self.prior_kind,
            multilabel=multilabel,
        )


@dataclass(frozen=True)
class Fit:
    """Labelled predictions to fit to: one file for each file of predictions."""

    GROUP: ClassVar = INPUT

    fit_files: tuple[str, ...] = given(
        "--fit",
        metavar="FILE",
        multiple=True,
        help="Predictions for labelled rows: once for each of PREDS, in the same order.",
    )
    fit_labels: Any = given("--fit-labels", metavar="FILE", help="Labels of the rows of --fit.")


fit_options = group(
    Fit,
    fit_files={
        "multiple": False,
        "required": True,
        "callback": lambda ctx, param, value: (value,),
        "help": "Predictions of the same model for labelled rows.",
    },
    fit_labels={"required": True},
)


@dataclass(frozen=True)
class Outputs:
    """What is written, and whether the summary is JSON."""

    GROUP: ClassVar = OUTPUT

    output: Any = given(
        "-o",
        "--output",
        type=OutputPath(),
        help="Output file; the suffix sets the format. A path that ends in a slash is a folder "
        "for shards.  [default: <stem>.<command>.npy in the folder of PREDS]",
    )
    overwrite: bool = given("--overwrite", is_flag=True, help="Replace existing output.")
    save: Path | None = given(
        "--save", type=PATH, help="Save the fitted model to this file, for postproc apply."
    )
    as_json: bool = given("--json", is_flag=True, help="Print one JSON object and nothing else.")


@dataclass(frozen=True)
class Running:
    """Where and how a command computes."""

    GROUP: ClassVar = RUNNING

    engine: str = given(
        "--engine",
        type=click.Choice(["local", "dask"]),
        default="local",
        help="Where to compute blocks of rows: in this process or on a Dask cluster.",
    )
    scheduler: str | None = given(
        "--scheduler",
        metavar="ADDRESS",
        help="With --engine dask: address of a running scheduler, such as tcp://host:8786.",
    )
    workers: int | None = given(
        "--workers",
        type=Count(1),
        help="With --engine dask: number of processes to start on this machine.  [default: one "
        "per core]",
    )
    resume: bool = given(
        "--resume",
        is_flag=True,
        help="Continue a job that was stopped; its finished blocks are not computed again.",
    )
    device: Any = given(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        help="Device to compute on.",
    )
    fast: bool = given(
        "--fast",
        is_flag=True,
        help="With --device cuda: allow TF32 in products of float32 matrices.",
    )
    seed: int = given("--seed", type=Count(0), default=0, help="Seed of random choices.")
    quiet: bool = given("--quiet", is_flag=True, help="Print no warnings and no table.")


#: Options of `Running` that say on which engine to compute.
ENGINE = ("engine", "scheduler", "workers")
