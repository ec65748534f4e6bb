"""Types of the commands' parameters: numbers, names, lists, paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

#: What the path of a folder may end in.
SLASHES = tuple(mark for mark in (os.sep, os.altsep) if mark)

PATH = click.Path(path_type=Path)

#: What --metric takes, for help.
METRIC_NAMES = (
    "accuracy, balanced_accuracy, macro_f1, micro_f1, f1, mcc, kappa, quadratic_kappa, log_loss, "
    "brier, auc, average_precision, aurc, topK"
)


class FileName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Text that names a file or folder, or some word in its place; shells complete files."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete a path."""
        return [CompletionItem(incomplete, type="file")]


FILE = FileName()


class Choice(click.Choice[str]):
    """One of some words; of a mistyped one, the message asks after the closest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """What the choices are, and which may have been meant."""
        from postproc.scores.checks import meant

        said, asked = super().get_invalid_choice_message(value, ctx), meant(value, self.choices)
        return f"{said.removesuffix('.')}{'; ' * bool(asked)}{asked}"


class Checked(click.ParamType):  # type: ignore[type-arg]
    """What one of the library's own checks accepts, with its messages, or one of some words."""

    words: tuple[str, ...] = ()

    def parse(self, text: str, name: str) -> Any:
        """Parse and check."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse and check; words pass unchanged."""
        if value in self.words:
            return value
        try:
            return self.parse(value, str(param and param.name))
        except ValueError as error:
            message, kinds = str(error), " nor ".join([self.name, *self.words])
            if not message.startswith("`"):
                message = f"{value!r} is not a valid {kinds}"
            self.fail(message, param, ctx)

    def suggestions(self) -> dict[str, str]:
        """What a shell may complete, with a few words on each."""
        return {}

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The suggestions that begin as what is typed, in any case of letters."""
        return [
            CompletionItem(word, help=said or None)
            for word, said in self.suggestions().items()
            if word.lower().startswith(incomplete.lower())
        ]


class Number(Checked):
    """A number in a range."""

    name = "number"

    def __init__(self, **bounds: Any) -> None:
        self.bounds = bounds

    def parse(self, text: str, name: str) -> float:
        """Parse and check."""
        from postproc.scores.checks import check_number

        return check_number(float(text), name, **self.bounds)


class Count(Checked):
    """An integer in a range, or one of some words."""

    name = "integer"

    def __init__(self, low: int, words: tuple[str, ...] = ()) -> None:
        self.low = low
        self.words = words

    def parse(self, text: str, name: str) -> int:
        """Parse and check."""
        from postproc.scores.checks import check_count

        return check_count(int(text), name, low=self.low)


class MetricName(Checked):
    """The name of a metric: one of the registry's or, where tables are read, `cost:FILE`."""

    name = "metric"

    def __init__(self, *, costs: bool = False) -> None:
        self.costs = costs

    def parse(self, text: str, name: str) -> str:
        """Check names; the file of costs is read when the classes are known."""
        from postproc.evaluation.registry import find_metric

        return text if self.costs and text.startswith("cost:") else find_metric(text).name

    def suggestions(self) -> dict[str, str]:
        """All names but topK."""
        return dict.fromkeys(METRIC_NAMES.split(", ")[:-1], "")


class WarningCode(Checked):
    """The code of a warning, such as PP204."""

    name = "code"

    def parse(self, text: str, name: str) -> str:
        """Check that there is such a warning."""
        from postproc.scores.checks import fail
        from postproc.scores.codes import CODES

        known = {each.number: each for each in CODES.values()}
        found = known.get(text.upper())
        if found is None or not found.is_warning:
            got = repr(text) if found is None else f"{found.number}, the code of an error"
            fail(name, "codes of warnings, such as PP204", got, "each warning ends with its code")
        return found.number

    def suggestions(self) -> dict[str, str]:
        """Codes of warnings, with their titles."""
        from postproc.scores.codes import CODES

        return {code.number: code.title for code in CODES.values() if code.is_warning}


class TrainingMethods(Checked):
    """Training methods of a head, each by its strength, or auto."""

    name = "list of methods"
    words = ("auto",)

    def parse(self, text: str, name: str) -> dict[str, float]:
        """Parse METHOD=X,METHOD=X."""
        from ensemble.training.head_methods import check_training
        from postproc.scores.checks import fail

        parts = [part.partition("=") for part in text.split(",")]
        names = [method.strip() for method, _, _ in parts]
        if len(set(names)) < len(names) or not all(equals for _, equals, _ in parts):
            fail(name, "auto, or methods like fgm=0.5,flooding=0.1", repr(text))
        given = {method: float(value) for method, (_, _, value) in zip(names, parts, strict=True)}
        (methods,) = check_training(given)
        return methods.to_dict()


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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last value of the list."""
        *before, last = incomplete.rpartition(",")
        found = self.item.shell_complete(ctx, param, last)
        return [CompletionItem("".join(before) + each.value, help=each.help) for each in found]


class Renames(click.ParamType):  # type: ignore[type-arg]
    """Pairs of an old and a new name, separated by commas."""

    name = "pairs"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Parse OLD:NEW,OLD:NEW."""
        if isinstance(value, dict):
            return value
        pairs = [part.partition(":") for part in value.split(",")]
        if not all(old.strip() and new.strip() for old, _, new in pairs):
            self.fail(f"must be pairs like id:PassengerId,label:Target, got {value!r}", param, ctx)
        return {old.strip(): new.strip() for old, _, new in pairs}


@dataclass(frozen=True)
class FolderPath:
    """An output that was named as a folder, with a slash at the end."""

    path: Path


class OutputPath(FileName):
    """A path; one that ends in a slash is a folder for shards."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | FolderPath:
        """Remember whether there was a slash."""
        text = os.fspath(value)
        return FolderPath(Path(text)) if text.endswith(SLASHES) else Path(text)
