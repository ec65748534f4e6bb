"""From arguments to loaded files: predictions, and labels in the order of rows and classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from cli.messages import echo, warn
from cli.options import Fit, Inputs
from cli.task.output import edges_of
from cli.task.runner import Runner
from postproc.files import load_class_names, load_labels, load_members, load_predictions
from postproc.files.costs import decisions_in
from postproc.files.doubts import kind_doubts, order_doubts
from postproc.files.labels import label_names, words_in
from postproc.files.multilabels import load_multilabels_of
from postproc.files.reading import Reading, ReadingWarning, UnusedLabelsWarning
from postproc.reports.multilabel import MultilabelReport, multilabel_report
from postproc.reports.report import AccuracyReport, accuracy_report
from postproc.scores.binary_labels import POSITIVE, two_names
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.names import first_few, matching_order, positions
from postproc.scores.one_hot import share_classes
from postproc.scores.predictions import UNKNOWN_CLASS, Predictions

Report = AccuracyReport | MultilabelReport


def load(path: str, runner: Runner, **how: Any) -> Predictions:
    """Load the predictions of one model, as `load_each`."""
    (loaded,) = load_each(path, runner, stacked=False, **how)
    return loaded


def load_each(
    path: str,
    runner: Runner,
    *,
    stacked: bool = True,
    mapped: bool = False,
    quiet: bool | None = None,
    repeated_ids: bool = False,
    predicted_labels: bool = False,
    any_scale: bool = False,
    long: bool = False,
    said: list[str] | None = None,
) -> list[Predictions]:
    """Load predictions, with `stacked` all members of an (m, n, C) array.

    Says how many shards there are, and warns of logits that look like probabilities.

    Unless they are `mapped`, scores are read block by block, and checked with progress. What was
    done to the file is added to `said` instead of being printed, where that is given.
    """
    inputs, quiet = runner.inputs, runner.running.quiet if quiet is None else quiet
    options: dict[str, Any] = {
        "classes": None if inputs.classes is None else load_class_names(inputs.classes),
        "reading": replace(
            inputs.reading,
            repeated_ids=repeated_ids,
            predicted_labels=predicted_labels,
            any_scale=any_scale,
            long=long,
        ),
        "mapped": mapped,
        **({} if mapped else runner.blocks),
    }
    with reading_notes(quiet=quiet, said=said):
        found = load_members(path, **options) if stacked else [load_predictions(path, **options)]
    found = [_with_names(loaded, runner) for loaded in found]
    for loaded in found:
        shards = n_shards(loaded)
        if shards is not None and not quiet:  # nothing else shows that the last ones are missing
            echo(f"{path}: {shards_text(shards)}, {loaded.n_rows:,} rows", err=True)
        if loaded.column is not None and not quiet:
            what = "logits" if loaded.kind == "logits" else "probabilities"
            named = loaded.positive or loaded.heading
            of = "the positive class" if named is None else repr(named)
            echo(f"{path}: one column, read as {what} of {of}", err=True)
        doubts = kind_doubts(loaded, declared=inputs.reading.kind is not None)
        warn(doubts + order_doubts(loaded), quiet=quiet)
    return found


def _with_names(loaded: Predictions, runner: Runner) -> Predictions:
    """Give one column without class names those of the labels, or of a table of costs."""
    if loaded.column is None or loaded.classes is not None:
        return loaded
    context = click.get_current_context()
    reading = label_reading(runner.inputs)
    names = context.meta.setdefault("names of two classes", {})
    for option in ("labels", "fit_labels", "cost"):
        path = context.params.get(option)
        if path is not None and option not in names:
            names[option] = decisions_in(path) if option == "cost" else words_in(path, reading)
    pair = two_names(set().union(*names.values()), loaded.positive or loaded.heading)
    return loaded if pair is None else replace(loaded, classes=pair, positive=pair[POSITIVE])


@contextmanager
def reading_notes(
    *, quiet: bool, said: list[str] | None = None, without: Sequence[type[Warning]] = ()
) -> Iterator[None]:
    """Print what was dropped, renormalized or skipped as files were read, or add it to `said`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReadingWarning)
        for category in without:
            warnings.simplefilter("ignore", category)
        yield
    notes = [str(each.message) for each in caught if issubclass(each.category, ReadingWarning)]
    if said is None:
        warn(notes, quiet=quiet)
    else:
        said += notes


def n_shards(loaded: Predictions) -> int | None:
    """Number of shards that scores are read from; None for other files."""
    edges = edges_of(loaded.scores)
    return len(edges) - 1 if edges else None


def shards_text(number: int) -> str:
    """A number of shards in words."""
    return f"{number:,} shard{'' if number == 1 else 's'}"


def load_fit(target: Predictions, fit: Fit, runner: Runner) -> tuple[Predictions, Any]:
    """Rows of --fit, in the order of the target's classes, and their labels, if there are."""
    own = load(fit.fit_files[0], runner, mapped=True)
    ordered = in_order_of(own, target, quiet=runner.running.quiet)
    if ordered.kind != target.kind:
        mend = "declare --logits or --probs if both are of one kind"
        fail(target.name, f"{ordered.kind} like {ordered.name}", target.kind, mend)
    path = fit.fit_labels
    return ordered, path and load_ordered_labels(path, own, ordered.classes, runner)


def load_ordered_labels(
    path: str,
    own: Predictions,
    classes: Sequence[str] | None,
    runner: Runner,
    *,
    judges: bool = False,
) -> NDArray[Any]:
    """Load the labels of some predictions, as columns of `classes`."""
    names = own.classes if own.classes is not None or classes is None else tuple(classes)
    named = replace(own, classes=names)
    y = labels_of(path, named, runner, judges=judges)
    ordered: NDArray[Any] = in_class_order(y, [own], classes)
    return ordered


def load_judging_labels(own: Predictions, like: Predictions, runner: Runner) -> Any:
    """The labels (n,) of --labels, as columns of `like`; None without that option."""
    path = runner.inputs.labels
    return path and load_ordered_labels(path, own, like.classes, runner, judges=True)


def with_labels_only(
    loaded: Sequence[Predictions], runner: Runner, classes: Sequence[str] | None = None
) -> list[Predictions]:
    """Give files of predicted labels the classes of the others, and say what they lack."""
    names = [model.name for model in loaded if model.labels_only]
    if not names:
        return list(loaded)
    inputs = runner.inputs
    known = classes if inputs.classes is None else load_class_names(inputs.classes)
    truth = () if inputs.labels is None else label_names(inputs.labels, label_reading(inputs))
    few = first_few(names)
    has = "holds" if len(names) == 1 else "hold"
    said = (
        f"{few} {has} predicted labels only: probabilities would allow log-loss, Brier score, "
        "calibration error and soft votes"
    )
    shared = share_classes(loaded, truth, known)
    warn([coded("labels-only", said)], quiet=runner.running.quiet)
    return shared


def label_reading(inputs: Inputs) -> Reading:
    """How tables of labels are read."""
    return Reading(id_column=inputs.id_column, label_column=inputs.label_column)


def labels_of(path: str, own: Predictions, runner: Runner, *, judges: bool) -> NDArray[Any]:
    """Load the labels of predictions, zeros and ones (n, m) if they are multi-label.

    Those that only judge may be of no class, which is wrong.
    """
    inputs = runner.inputs
    reading = replace(label_reading(inputs), positive=own.positive)
    # A table of all labels is usual for --fit-labels, and where both splits are looked up in it.
    context = click.get_current_context(silent=True)
    is_shared = context is not None and context.params.get("fit_labels") == path
    without = (UnusedLabelsWarning,) if is_shared or not judges else ()
    with reading_notes(quiet=runner.running.quiet, without=without):
        if own.multilabel:
            return load_multilabels_of(path, own, reading=reading)
        return load_labels(
            path,
            n_classes=own.n_classes,
            n_rows=own.n_rows,
            classes=own.classes,
            ids=own.ids,
            mapped=judges,
            reading=reading,
            unknown="wrong" if judges else "error",
            predicted=own.predicted,
            heading=own.heading,
        )


def compare(
    models: Mapping[str, Any],
    labels: NDArray[Any],
    classes: Sequence[str] | None,
    runner: Runner,
    baseline: str | None = None,
    **judging: Any,
) -> Report:
    """Report on models; a label of no class becomes a class of probability 0."""
    first = next(iter(models.values()))
    if labels.ndim == 2:
        return multilabel_report(models, labels, baseline=baseline, classes=classes, **judging)
    if len(labels) and labels.max() >= first.n_classes:
        models = {
            name: (
                model if isinstance(model, Predictions) else Predictions.check(model, kind="probs")
            ).with_unknown_class()
            for name, model in models.items()
        }
        classes = None if classes is None else (*classes, UNKNOWN_CLASS)
    return accuracy_report(
        models, labels, baseline=baseline, classes=classes, **judging, **runner.blocks
    )


def in_order_of(loaded: Predictions, like: Predictions, *, quiet: bool = False) -> Predictions:
    """Predictions with their columns in the order of others; warn if only one side has names."""
    if loaded.n_classes != like.n_classes:
        wanted = f"an array of {like.n_classes} classes like {like.name}"
        fail(loaded.name, wanted, f"{loaded.n_classes} columns")
    if (loaded.classes is None) != (like.classes is None):
        own = replace(loaded, ids=None)  # rows of the two do not belong together
        warn(matched_by_position([own], [like]), quiet=quiet)
    return loaded.align(classes=like.classes, like=like.name)


def matched_by_position(
    loaded: Sequence[Predictions], like: Sequence[Predictions] = ()
) -> list[str]:
    """Warn of files whose columns or rows are matched by position, as only others have names.

    `like` are predictions of other rows, with the columns in the wanted order.
    """
    named = [model.name for model in (*like, *loaded) if _says_more_than_place(model)]
    lack = [model.name for model in loaded if model.classes is None and model.column is None]
    if like and all(model.classes is None and model.column is None for model in like):
        lack += [model.name for model in like]
    said = _assumed(lack, named, "class names", "columns")
    named = [model.name for model in loaded if model.ids is not None]
    lack = [model.name for model in loaded if model.ids is None]
    return said + _assumed(lack, named, "row ids", "rows")


def _says_more_than_place(model: Predictions) -> bool:
    """Whether classes have names other than their numbers, as headings of tables without any."""
    numbers = tuple(map(str, range(model.n_classes)))
    return model.classes is not None and model.classes != numbers


def _assumed(lack: Sequence[str], named: Sequence[str], names: str, what: str) -> list[str]:
    if not lack or not named:
        return []
    few = first_few(lack)
    has, its = ("has", "its") if len(lack) == 1 else ("have", "their")
    said = f"{few} {has} no {names}: {its} {what} are assumed to be in the order of {named[0]}"
    return [coded("by-position", said)]


def in_class_order(y: Any, members: Sequence[Predictions], classes: Sequence[str] | None) -> Any:
    """Labels y (n,) as columns of `classes`, from those of the first member with class names."""
    own = next((member.classes for member in members if member.classes is not None), None)
    if y is None or own is None or classes is None or own == tuple(classes):
        return y
    if y.ndim == 2:
        return y[:, positions(own, classes)]
    order = np.append(positions(classes, own), len(own))  # an unknown label stays unknown
    return order[y.astype(np.intp, copy=False)]


def in_row_order(y: Any, members: Sequence[Predictions], ids: NDArray[np.str_] | None) -> Any:
    """Labels y (n,) as rows of `ids`, from those of the first member with ids."""
    own = next((member.ids for member in members if member.ids is not None), None)
    order = None if y is None or own is None or ids is None else matching_order(own, ids, "ids")
    return y if order is None else y[order]
