"""Members of an ensemble, from lists of files or from a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from postproc.files.rundir import RunDirectory
    from postproc.scores.predictions import Predictions

#: Endings of stems that name a split and not a model.
SPLIT_ENDINGS = (".train", ".val", ".test")


def open_run(paths: Sequence[str]) -> RunDirectory | None:
    """The run directory, where one is given in place of files; else None.

    Folders of shards and Zarr arrays stand for one prediction each, as files do.
    """
    from postproc.files import RunDirectory

    folders = [path for path in paths if Path(path).is_dir() and not _is_array(Path(path))]
    if folders and len(paths) > 1:
        message = "must be files, or one run directory alone"
        raise click.BadParameter(message, param_hint="PREDS")
    return RunDirectory.open(paths[0]) if folders else None


def _is_array(folder: Path) -> bool:
    """Whether a folder is one array: of Zarr, or shards without a run directory's files."""
    from postproc.files.shards import find_shards
    from postproc.files.zarr import is_zarr

    if is_zarr(folder):
        return True
    splits = tuple(f"{ending}." for ending in SPLIT_ENDINGS)
    if any(mark in file.name for file in folder.iterdir() for mark in splits):
        return False
    return bool(find_shards(folder))


def file_names(paths: Sequence[str]) -> list[str]:
    """Short names that tell files apart: stems, with folders or suffixes where they must.

    Raises
    ------
    click.BadParameter
        If a file is given twice.
    """
    files = [Path(path).parts for path in paths]
    longest = max(map(len, files))
    stems = [(*parts[:-1], Path(parts[-1]).stem) for parts in files]
    for candidates in (stems, files):
        for depth in range(1, longest + 1):
            names = ["/".join(parts[-depth:]) for parts in candidates]
            if len(set(names)) == len(names):
                return names
    twice = next(path for path in paths if paths.count(path) > 1)
    message = f"must be different files, got {twice} twice"
    raise click.BadParameter(message, param_hint="PREDS")


def member_names(paths: Sequence[str]) -> list[str]:
    """Names of models: those of their files, less the split, so that all splits share them."""
    names = file_names(paths)
    models = [
        next((name[: -len(end)] for end in SPLIT_ENDINGS if name.endswith(end)), name)
        for name in names
    ]
    return models if len(set(models)) == len(models) else names


def load_members(
    paths: Sequence[str],
    names: Sequence[str],
    given: dict[str, Any],
    *,
    runner: Runner | None = None,
    like: Sequence[Predictions] = (),
) -> list[Predictions]:
    """Load files, each called by the name of its model; as `load` with a runner.

    That only some have class names or row ids is a warning. `like` are predictions, of other rows,
    whose columns the files are to match.
    """
    from cli.messages import warn
    from cli.task.load import load
    from cli.task.order import taken_by_place

    loaded = [load(path, given, runner=runner) for path in paths]
    warn(taken_by_place(loaded, like), quiet=given["quiet"])
    return [replace(model, name=name) for model, name in zip(loaded, names, strict=True)]


def check_fit_usage(
    paths: Sequence[str], given: dict[str, Any], method: str, *, learns: bool, is_run: bool
) -> None:
    """Whether --fit and --fit-labels are there where they are needed, and only there.

    Raises
    ------
    click.UsageError
        If one is missing, is of no use, or --fit is not given once for each file.
    FileNotFoundError
        If --fit does not fit because there is nothing under the name of a file.
    """
    if not learns or is_run:
        for name, option in (("fit_files", "--fit"), ("fit_labels", "--fit-labels")):
            if given[name]:
                why = "a run directory has its own" if is_run else f"{method} does not learn"
                message = f"{why}; leave {option} away"
                raise click.UsageError(message)
        return
    if len(given["fit_files"]) != len(paths):
        _check_there(paths)  # a folder's name that is mistyped would be taken for a file's
        message = (
            f"{method} learns: --fit must be given once for each of the {len(paths)} files, "
            f"got {len(given['fit_files'])}"
        )
        raise click.UsageError(message)
    if given["fit_labels"] is None:
        message = f"Missing option '--fit-labels': {method} learns from labelled rows."
        raise click.UsageError(message)


def _check_there(paths: Sequence[str]) -> None:
    """Check that there is something under each name.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    """
    from postproc.files.paths import resolve_path
    from postproc.files.shards import find_shards

    for path in paths:
        if not Path(path).is_dir() and not find_shards(path):
            resolve_path(path)


def load_fit_members(
    paths: Sequence[str],
    names: Sequence[str],
    given: dict[str, Any],
    like: Sequence[Predictions] = (),
) -> list[Predictions]:
    """Load the files of --fit, which must be the members `like` in the order of their names.

    Raises
    ------
    click.BadParameter
        If a file is given twice, or the files are those of the members in another order.
    """
    own = member_names(paths)
    if sorted(own) == sorted(names) and list(own) != list(names):
        message = f"must come in the order of PREDS ({', '.join(names)}), got {', '.join(own)}"
        raise click.BadParameter(message, param_hint="--fit")
    return load_members(paths, names, given, like=like)


def load_member_labels(
    path: str, members: Sequence[Predictions], *, mapped: bool = False
) -> NDArray[Any]:
    """Load labels in the order of the first member that has row ids; `mapped` as `load_labels`."""
    from postproc.files import load_labels

    first = members[0]
    classes = next((member.classes for member in members if member.classes is not None), None)
    n_classes = first.n_classes if classes is None else len(classes)
    ids = next((member.ids for member in members if member.ids is not None), None)
    return load_labels(
        path, n_classes=n_classes, n_rows=first.n_rows, classes=classes, ids=ids, mapped=mapped
    )
