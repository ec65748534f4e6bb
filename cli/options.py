"""Options of the commands: groups in the help, and each group as one typed argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from cli.messages import refuse, silence
from cli.parameter_types import (
    FILE,
    METRIC_NAMES,
    PATH,
    Choice,
    Count,
    MetricName,
    OutputPath,
    Renames,
    Values,
    WarningCode,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.files.decided import Layout
    from postproc.files.reading import Reading
    from postproc.jobs.outputs import Output
    from postproc.scores.predictions import Predictions

F = TypeVar("F", bound=Callable[..., Any])

#: Groups of options, in the order of the help.
INPUT, METHOD, OUTPUT, RUNNING = GROUPS = (
    "Input options", "Method options", "Output options", "Running options",
)  # fmt: skip


class Option(click.Option):
    """An option that belongs to a group."""

    def __init__(self, *args: Any, group: str = METHOD, **attributes: Any) -> None:
        if attributes.get("metavar") in ("FILE", "SRC"):
            attributes.setdefault("type", FILE)
        super().__init__(*args, **attributes)
        self.group = group


class Command(click.Command):
    """A command whose help lists its options by group, each with its default."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        attributes["context_settings"] = {"show_default": True}
        super().__init__(*args, **attributes)
        self.params.append(
            Option(
                ["--silence"],
                metavar="CODE,...",
                multiple=True,
                type=Values(WarningCode()),
                callback=lambda _, __, lists: silence(code for codes in lists for code in codes),
                expose_value=False,
                group=RUNNING,
                help="Hide warnings with these codes, such as PP204; each ends with its own.",
            )
        )

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


def given(text: str, *names: str, **attributes: Any) -> Any:
    """A field that is an option: its help, names, and other arguments of `click.option`."""
    return field(
        default=attributes.get("default"),
        metadata={"names": names, "attributes": {"help": text, **attributes}},
    )


def group(kind: type, *names: str, **changes: dict[str, Any]) -> Callable[[F], F]:
    """Add a dataclass's options, all or some and some with `changes`, passed as one argument."""
    wanted = {*names, *changes}
    chosen = [each for each in fields(kind) if not wanted or each.name in wanted]

    def decorate(function: F) -> F:
        @wraps(function)
        def call(**params: Any) -> Any:
            own = kind(**{each.name: params.pop(each.name) for each in chosen})
            return function(**{kind.__name__.lower(): own}, **params)

        decorated: Any = call
        for each in reversed(chosen):
            decorated = _option_of(kind, each, changes.get(each.name, {}))(decorated)
        return decorated  # type: ignore[no-any-return]  # wraps keeps the type of the rest

    return decorate


def _option_of(kind: type, each: Any, changes: dict[str, Any]) -> Callable[[Any], Any]:
    """The option of a field; its type follows from the annotation where nothing else says it."""
    names = each.metadata["names"] or (f"--{each.name.replace('_', '-')}",)
    attributes = {"group": getattr(kind, "GROUP", METHOD), **each.metadata["attributes"], **changes}
    if each.type == "bool" and "default" not in attributes:
        attributes["is_flag"] = True
    if each.type == "Path | None":
        attributes.setdefault("type", PATH)
    return option(*names, each.name, **attributes)


def flags_given(*names: str) -> list[str]:
    """Flags of those parameters, of some names, that stand on the command line."""
    context, there = click.get_current_context(), click.core.ParameterSource.COMMANDLINE
    return [
        param.opts[-1]
        for param in context.command.params
        if param.name in names and context.get_parameter_source(param.name) is there
    ]


predictions_argument = click.argument("predictions", metavar="PREDS", type=FILE)
members_argument = click.argument(
    "predictions", metavar="PREDS...", nargs=-1, required=True, type=FILE
)


@dataclass(frozen=True)
class Inputs:
    """How predictions are read, and the labels that they are judged by."""

    GROUP: ClassVar = INPUT

    labels: str | None = given(
        "True labels of PREDS; adds a report that compares before and after.", metavar="FILE"
    )
    missing_class: Any = given(
        "What to do if a member lacks a class that another has: stop, or give that class "
        "probability zero.",
        type=Choice(["error", "zero"]),
        default="error",
    )
    common_rows: bool = given(
        "Keep only the rows that all files have, matched by id: those of PREDS and, among "
        "themselves, of --fit."
    )
    is_logits: bool | None = given(
        "Declare what the scores are.  [default: detected from their values]",
        "--logits/--probs",
        default=None,
    )
    votes: bool = given("Declare that the scores are counts of votes, divided by each row's sum.")
    classes: Path | None = given("File of class names, one per line.")
    columns: Any = given(
        "Columns of a table that hold scores: names or patterns, separated by commas.  [default: "
        "all but ids, if no other column could be a label]",
        metavar="NAME,NAME,...",
        type=Values(click.STRING),
    )
    id_column: str | None = given(
        "Column of a table that holds row ids; - if none does.  [default: detected from names and "
        "values]",
        metavar="NAME",
    )
    label_column: str | None = given(
        "Column of a table that holds labels: never a score, but what label files are read for.",
        metavar="NAME",
    )
    key: str | None = given(
        "Array to read from an .npz, .safetensors or .pt file.  [default: detected from names]",
        metavar="NAME",
    )
    positive: str | None = given(
        "The positive class of binary predictions, which one column scores.  [default: label 1]",
        metavar="NAME",
    )
    multilabel: bool = given("Every column is a label of its own, present or not.")
    skip_unpredicted: bool = given("Leave out rows that are all NaN or all zero.")

    @property
    def reading(self) -> Reading:
        """These options as the library takes them."""
        from postproc.files.reading import Reading

        if self.votes and self.is_logits is not None:
            refuse("--votes excludes --logits and --probs")
        kinds: dict[bool | None, Any] = {True: "logits", False: "probs", None: None}
        return Reading(
            columns=tuple(self.columns or ()),
            id_column=self.id_column,
            label_column=self.label_column,
            key=self.key,
            kind="votes" if self.votes else kinds[self.is_logits],
            positive=self.positive,
            multilabel=self.multilabel,
            skip_unpredicted=self.skip_unpredicted,
        )


#: Options of `Inputs` that say how files are read.
READING = (
    "is_logits", "votes", "classes", "columns", "id_column", "label_column", "key", "positive",
    "multilabel", "skip_unpredicted",
)  # fmt: skip


@dataclass(frozen=True)
class Prior:
    """A class prior."""

    GROUP: ClassVar = INPUT

    prior: str | None = given(
        "Class prior of PREDS: a file of labels, counts or probabilities (FILE:COLUMN of a table); "
        "`uniform`; numbers separated by commas; or the share of the positive class of two.",
        metavar="SRC",
    )
    prior_kind: Any = given(
        "What the file given to --prior contains.  [default: detected from its length and values]",
        type=Choice(["labels", "counts", "vector"]),
    )

    def load(self, predictions: Predictions) -> NDArray[Any] | None:
        """The prior of some predictions, shape (C,); None where none is given.

        Of multi-label predictions that of positives and negatives, shape (2,).
        """
        from postproc.files import load_prior
        from postproc.files.reading import Reading

        if self.prior is None:
            return None
        return load_prior(
            self.prior,
            n_classes=predictions.n_classes,
            classes=predictions.classes,
            kind=self.prior_kind,
            multilabel=predictions.multilabel,
            reading=Reading(positive=predictions.positive),
        )


@dataclass(frozen=True)
class Fit:
    """Labelled predictions to fit to: one file for each file of predictions."""

    GROUP: ClassVar = INPUT

    fit_files: tuple[str, ...] = given(
        "Predictions for labelled rows: once for each of PREDS, in the same order.",
        "--fit",
        metavar="FILE",
        multiple=True,
    )
    fit_labels: Any = given("Labels of the rows of --fit.", metavar="FILE")
    fit_groups: str | None = given(
        "What each row of --fit belongs to (a patient, an account): only groups are independent.",
        metavar="FILE[:COLUMN]",
    )

    def check_groups(self, outputs: Outputs) -> None:
        """Refuse groups that nothing takes heed of: only --oof does."""
        if self.fit_groups is not None and outputs.oof is None:
            refuse("--fit-groups says which rows --oof predicts together; add --oof, or omit it")


fit_options = group(
    Fit,
    fit_files={
        "multiple": False,
        "required": True,
        "callback": lambda ctx, param, value: (value,),
        "help": "Predictions of the same model for labelled rows.",
    },
    fit_labels={"required": True},
    fit_groups={},
)


@dataclass(frozen=True)
class Judging:
    """What predictions are judged by, and what each row counts."""

    GROUP: ClassVar = METHOD

    metric: Any = given(
        f"Metrics to show with intervals and gains: {METRIC_NAMES}, cost:FILE (a table of costs, "
        "rows true, columns decided; probabilities are decided at least expected cost, as by "
        "decide --cost). With --multilabel also hamming_loss.  [default: accuracy; "
        "of two classes auc, too; with --multilabel six]",
        metavar="NAME,NAME,...",
        type=Values(MetricName(costs=True)),
    )
    groups: str | None = given(
        "What each row belongs to (a patient, a document): only groups are independent.",
        metavar="FILE[:COLUMN]",
    )
    row_weights: str | None = given("What each row counts: numbers >= 0.", metavar="FILE[:COLUMN]")


@dataclass(frozen=True)
class Outputs:
    """What is written, and whether the summary is JSON."""

    GROUP: ClassVar = OUTPUT

    output: Any = given(
        "Output file; the suffix sets the format. A path that ends in a slash is a folder "
        "for shards.  [default: <stem>.<command>.npy in the folder of PREDS]",
        "-o",
        "--output",
        type=OutputPath(),
    )
    overwrite: bool = given("Replace existing output.")
    save: Path | None = given("Save the fitted model to this file, for postproc apply.")
    oof: Path | None = given(
        "Also write out-of-fold predictions of the rows of --fit, each fifth of them by a fit to "
        "the others, and compare them with what was given. They are what report, decide --fit and "
        "a next ensemble take; the fit takes about six times as long. With --fit-groups no group "
        "is divided."
    )
    labels_out: Path | None = given(
        "Also write a file of labels, the likeliest class of each row (.csv, .npy, .txt, .jsonl, "
        ".parquet)."
    )
    integers: bool = given("Write labels as integers 0..C-1, not as class names.")
    columns_as: Any = given(
        "Headings of the columns of labels; of convert without --labels-out, those of all columns.",
        metavar="id:NAME,label:NAME",
        type=Renames(),
    )
    probability: bool = given(
        "Write the probability beside each label: of the positive class of two, else of the label."
    )
    as_json: bool = given("Print one JSON object and nothing else.", "--json")

    def layout(self, like: Predictions | Output, classes: Sequence[str] | None) -> Layout:
        """How labels are written: ids under their own heading, unless --columns-as says."""
        from postproc.files.decided import Layout

        heading = {} if like.ids is None else {"id": like.id_heading}
        columns_as = heading | (self.columns_as or {})
        return Layout(classes, like.ids, self.integers, columns_as, self.overwrite)


#: Options of `Outputs` that say how labels are written beside probabilities.
LABELS_OUT = ("labels_out", "integers", "columns_as")

#: Options of `Outputs` for what is fitted and writes probabilities.
FITTED_OUT = ("output", "overwrite", "save", "oof", *LABELS_OUT, "as_json")


@dataclass(frozen=True)
class Running:
    """Where and how a command computes."""

    GROUP: ClassVar = RUNNING

    engine: str = given(
        "Where to compute blocks of rows: in this process or on a Dask cluster.",
        type=Choice(["local", "dask"]),
        default="local",
    )
    scheduler: str | None = given(
        "With --engine dask: address of a running scheduler, such as tcp://host:8786.",
        metavar="ADDRESS",
    )
    workers: int | None = given(
        "With --engine dask: number of processes to start on this machine.  [default: one "
        "per core]",
        type=Count(1),
    )
    resume: bool = given(
        "Continue a job that was stopped; its finished blocks are not computed again."
    )
    device: Any = given("Device to compute on.", type=Choice(["cpu", "cuda"]), default="cpu")
    fast: bool = given("With --device cuda: allow TF32 in products of float32 matrices.")
    seed: int = given("Seed of random choices.", type=Count(0), default=0)
    quiet: bool = given("Print no warnings and no table.")


#: Options of `Running` that say on which engine to compute.
ENGINE = ("engine", "scheduler", "workers")
