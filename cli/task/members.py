"""Members of an ensemble and their labels, from lists of files or from a run directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cli.messages import refuse, warn
from cli.options import Fit
from cli.task.judging import groups_of
from cli.task.load import (
    in_class_order,
    in_row_order,
    labels_of,
    load_each,
    matched_by_position,
    with_labels_only,
)
from cli.task.runner import Runner
from ensemble import Members, align_members
from postproc.files import RunDirectory
from postproc.files.paths import file_and_column, resolve_path
from postproc.files.shards import find_shards
from postproc.files.zarr import is_zarr
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.row_subsets import common_rows
from postproc.scores.tables.suspects import DOUBT

#: Endings of stems that name a split and not a model.
SPLIT_ENDINGS = (".train", ".val", ".test")

#: A word for a split or for predictions, set apart at the start or the end of a name.
SPLIT_WORD = re.compile(
    r"^(?:oof|test|val|valid|train|fit|sub|submission|preds?)[_.-]+(?=.)"
    r"|(?<=.)[_.-]+(?:oof|test|val|valid|train|fit|sub|submission|preds?)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Task:
    """The members to be combined and, to learn from, those of labelled rows; classes aligned."""

    loaded: list[Predictions]  # the target as it was loaded
    members: Members
    labels: NDArray[Any] | None
    fit_loaded: Sequence[Predictions] = ()
    fit_members: Members | None = None  # None where nothing is learned
    fit_labels: NDArray[Any] | None = None
    fit_groups: NDArray[Any] | None = None


def load_task(
    paths: Sequence[str], fit: Fit, runner: Runner, *, learns: bool, predicted_labels: bool = False
) -> Task:
    """Load and align files, or the splits val and test of a run directory."""
    run = open_run(paths)
    names = [] if run is not None else member_names(paths)
    loaded = load_target(paths, names, run, runner, predicted_labels=predicted_labels)
    missing_class = runner.inputs.missing_class
    if loaded[0].multilabel and missing_class == "zero":
        refuse("--missing-class zero is for classes that exclude each other, not for labels")
    labels = load_target_labels(loaded, run, runner)
    members = align_members(loaded, missing_class=missing_class)
    labels = in_class_order(labels, loaded, members.classes)
    if not learns:
        return Task(loaded, members, labels)
    if run is not None:
        fit_loaded, y = run.predictions("val"), run.labels("val")
    else:
        own = member_names(fit.fit_files)
        order = matching_names(own, names)
        if order is not None and order != names:
            refuse(
                f"must be in the order of PREDS ({', '.join(names)}), got {', '.join(own)}", "--fit"
            )
        fit_loaded = load_members(fit.fit_files, names, runner, like=loaded, mapped=True)
        y = load_member_labels(fit.fit_labels, fit_loaded, runner)
    fit_members = align_members(fit_loaded, missing_class=missing_class, classes=members.classes)
    y = in_class_order(y, fit_loaded, members.classes)
    path = fit.fit_groups
    groups = None if path is None else groups_of(path, _with_ids(fit_loaded), runner)
    return Task(loaded, members, labels, fit_loaded, fit_members, y, groups)


def load_task_of(
    combiner: Any, model: str, paths: Sequence[str], runner: Runner, *, by_order: bool
) -> Task:
    """Load the members of a fitted ensemble, and put them in the order in which it knows them."""
    run, wanted = open_run(paths), list(combiner.names_)
    names = [] if run is not None else member_names(paths)
    columns = None if combiner.class_names_ is None else tuple(combiner.class_names_)
    like = Predictions(np.empty((0, 0)), "probs", columns, name=model)
    is_hard = getattr(combiner, "method", None) == "hard"
    loaded = load_target(paths, names, run, runner, like=[like], predicted_labels=is_hard)
    if run is None and by_order and len(loaded) != len(wanted):
        refuse(f"must be the {len(wanted)} members of {model}, got {len(loaded)}", "PREDS")
    if run is None and (by_order or len(wanted) == len(loaded) == 1):
        loaded = [replace(one, name=name) for one, name in zip(loaded, wanted, strict=True)]
    same = matching_names([member.name for member in loaded], wanted)
    if same is not None:
        warn(_called_otherwise(loaded, same), quiet=runner.running.quiet)
        loaded = [replace(one, name=name) for one, name in zip(loaded, same, strict=True)]
    labels = load_target_labels(loaded, run, runner)
    target, position = loaded, {member.name: member for member in loaded}
    if set(position) == set(wanted):
        target = [position[name] for name in wanted]
    elif len(position) == len(wanted):
        rule = f"the members {', '.join(wanted)} of {model}, in any order"
        mend = "use --by-order for files with other names, in this order"
        fail("PREDS", rule, ", ".join(position), mend)
    missing_class = runner.inputs.missing_class
    members = align_members(target, missing_class=missing_class, classes=combiner.class_names_)
    # Labels go by the files as they were given, which the model may have in another order.
    labels = in_class_order(labels, loaded, members.classes)
    return Task(target, members, in_row_order(labels, loaded, members.ids))


def load_target(
    paths: Sequence[str],
    names: Sequence[str],
    run: RunDirectory | None,
    runner: Runner,
    like: Sequence[Predictions] = (),
    **how: Any,
) -> list[Predictions]:
    """Load files, or the test split of a run directory."""
    if run is not None:
        if runner.inputs.common_rows:
            refuse("--common-rows is for files; all models of a run directory have the same rows")
        return run.predictions("test")
    return load_members(paths, names, runner, like=like, **how)


def load_target_labels(
    loaded: Sequence[Predictions], run: RunDirectory | None, runner: Runner
) -> NDArray[Any] | None:
    """Load the labels of --labels or of the test split, in the order of `loaded`, if there are."""
    if runner.inputs.labels is not None:
        return load_member_labels(runner.inputs.labels, loaded, runner, judges=True)
    return None if run is None else run.labels("test", mapped=True)


def load_members(
    paths: Sequence[str],
    names: Sequence[str],
    runner: Runner,
    *,
    like: Sequence[Predictions] = (),
    **how: Any,
) -> list[Predictions]:
    """Load files as `load_each`, each under the name of its model; warn if only some have names.

    Members of an (m, n, C) array are called `name[0]`, `name[1]` and so on.

    `like` are predictions of other rows whose columns the files are to match.
    """
    loaded: list[Predictions] = []
    called: list[str] = []
    doubts: list[ValueError] = []
    for path, name in zip(paths, names, strict=True):
        try:
            found = load_each(path, runner, **how)
        except ValueError as error:
            if DOUBT not in str(error):
                raise
            doubts.append(error)  # all files whose columns are in doubt are named at once
            continue
        loaded += found
        called += [name] if len(found) == 1 else [f"{name}[{m}]" for m in range(len(found))]
    if doubts:
        _raise_all(doubts)
    loaded = with_labels_only(loaded, runner, next((each.classes for each in like), None))
    if runner.inputs.common_rows:
        loaded = _common(loaded, runner)
    warn(matched_by_position(loaded, like), quiet=runner.running.quiet)
    return [replace(model, name=name) for model, name in zip(loaded, called, strict=True)]


def _raise_all(doubts: Sequence[ValueError]) -> NoReturn:
    """Name all files whose columns may be anything but scores, in one error."""
    if len(doubts) == 1:
        raise doubts[0]
    each = (str(error).partition(DOUBT)[0].rpartition(" look")[0] for error in doubts)
    named = "; ".join(each).replace(": cannot be read: ", ": ")
    said = (
        f"{named} look{DOUBT}; list the classes in a file for --classes, and the columns called so "
        "are the scores; else name these with --columns"
    )
    try:
        raise doubts[0]
    except ValueError as error:
        raise ValueError(said) from error


def _common(loaded: list[Predictions], runner: Runner) -> list[Predictions]:
    """Keep the rows that all have, and say how many are left out."""
    common = common_rows(loaded)
    left = [
        f"{before.n_rows - after.n_rows:,} of {before.n_rows:,} rows of {before.name}"
        for before, after in zip(loaded, common, strict=True)
        if after.n_rows < before.n_rows
    ]
    if left:
        said = f"{common[0].n_rows:,} rows are in all files; left out are {', '.join(left)}"
        warn([coded("read", said)], quiet=runner.running.quiet)
    return common


def load_member_labels(
    path: str, members: Sequence[Predictions], runner: Runner, *, judges: bool = False
) -> NDArray[Any]:
    """Load labels in the order of the first member that has row ids."""
    named = next((member for member in members if member.classes is not None), members[0])
    rows = _with_ids(members)
    own = replace(named, ids=rows.ids, predicted=rows.predicted)
    return labels_of(path, own, runner, judges=judges)


def _with_ids(members: Sequence[Predictions]) -> Predictions:
    """The first member that has row ids, in whose order the rows are; else the first."""
    return next((member for member in members if member.ids is not None), members[0])


def open_run(paths: Sequence[str]) -> RunDirectory | None:
    """The run directory, if one is given in place of files; a folder of shards counts as a file."""
    folders = [path for path in paths if Path(path).is_dir() and not _is_array(Path(path))]
    if folders and len(paths) > 1:
        refuse("must be files, or a single run directory", "PREDS")
    return RunDirectory.open(paths[0]) if folders else None


def _is_array(folder: Path) -> bool:
    """Whether a folder is one array: of Zarr, or shards without a run directory's files."""
    if is_zarr(folder):
        return True
    splits = tuple(f"{ending}." for ending in SPLIT_ENDINGS)
    if any(mark in file.name for file in folder.iterdir() for mark in splits):
        return False
    return bool(find_shards(folder))


def file_names(paths: Sequence[str]) -> list[str]:
    """Short unique names of files: stems, with folders or suffixes only where needed."""
    pairs = map(file_and_column, paths)
    given = [(Path(file), (column,) if column else ()) for file, column in pairs]
    files = [(*file.parts, *column) for file, column in given]
    longest = max(map(len, files))
    stems = [(*file.parent.parts, file.stem, *column) for file, column in given]
    for candidates in (stems, files):
        for depth in range(1, longest + 1):
            names = ["/".join(parts[-depth:]) for parts in candidates]
            if len(set(names)) == len(names):
                return names
    twice = next(path for path in paths if paths.count(path) > 1)
    return refuse(f"must be different files, got {twice} twice", "PREDS")


def member_names(paths: Sequence[str]) -> list[str]:
    """Names of models: those of their files without the split, which all splits share."""
    names = file_names(paths)
    models = [
        next((name[: -len(end)] for end in SPLIT_ENDINGS if name.endswith(end)), name)
        for name in names
    ]
    return models if len(set(models)) == len(models) else names


def matching_names(names: Sequence[str], wanted: Sequence[str]) -> list[str] | None:
    """Which of the wanted names each name is, with or without words for splits; None if unclear."""
    for shorten in (str, _without_split_words):
        known = {shorten(name): name for name in wanted}
        short = [shorten(name) for name in names]
        if len(known) == len(wanted) and sorted(short) == sorted(known):
            return [known[name] for name in short]
    return None


def _without_split_words(name: str) -> str:
    """A name of a file, as oof_knn or knn-test, without words that differ between its splits."""
    folder, _, own = name.rpartition("/")
    while (shorter := SPLIT_WORD.sub("", own)) != own:
        own = shorter
    return f"{folder}/{own}" if folder else own


def _called_otherwise(loaded: Sequence[Predictions], names: Sequence[str]) -> list[str]:
    """Say which members are matched by names without words for splits."""
    pairs = zip(loaded, names, strict=True)
    found = [f"{one.name} is {name}" for one, name in pairs if one.name != name]
    if not found:
        return []
    said = f"members are matched by their names without words for splits: {first_few(found)}"
    return [coded("read", said)]


def check_fit_usage(paths: Sequence[str], fit: Fit, method: str, *, learns: bool) -> None:
    """Check that --fit and --fit-labels are given if they are needed, and only then."""
    is_run, n_fit = open_run(paths) is not None, len(fit.fit_files)
    if not learns or is_run:
        if n_fit or fit.fit_labels is not None:
            why = "a run directory has its own" if is_run else f"{method} is not fitted"
            refuse(f"{why}; omit {'--fit' if n_fit else '--fit-labels'}")
    elif n_fit != len(paths):
        for path in paths:  # a mistyped run directory would be taken for a file
            if not Path(path).is_dir() and not find_shards(path):
                resolve_path(file_and_column(path)[0])
        refuse(
            f"{method} is fitted: --fit must be given once for each of the {len(paths)} files, "
            f"got {n_fit}"
        )
    elif fit.fit_labels is None:
        refuse(f"Missing option '--fit-labels': {method} is fitted to labelled rows.")
