"""What commands write: where, in which shape, and never over what they read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from cli.messages import refuse
from cli.parameter_types import FolderPath
from cli.task.runner import Runner
from postproc.files import check_output
from postproc.files.decided import check_decision_path
from postproc.files.labels import CLASS_FILE
from postproc.files.paths import LABEL_SUFFIXES, PREDICTION_SUFFIXES, file_and_column
from postproc.files.rundir import SPLITS
from postproc.files.shards import SHARD, find_shards
from postproc.files.texts import WRITTEN_SUFFIXES
from postproc.files.zarr import is_zarr
from postproc.jobs.locks import check_unlocked
from postproc.jobs.outputs import Output, has_journal
from postproc.jobs.targets import check_target
from postproc.scores.codes import coded
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source

#: Parameters that name files, and what messages call them. Files that are written count, too: an
#: output folder might hold them.
FILES = {
    "predictions": "PREDS",
    "texts": "TEXTS",
    "paths": "RUNDIR",
    "model": "MODEL",
    "fit_files": "--fit",
    "fit": "--fit",
    "fit_labels": "--fit-labels",
    "labels": "--labels",
    "reference": "--reference",
    "prior": "--prior",
    "config": "--config",
    "cost": "--cost",
    "classes": "--classes",
    "save": "--save",
    "plot": "--plot",
    "by": "--by",
    "ids": "--ids",
    "groups": "--groups",
    "fit_groups": "--fit-groups",
    "row_weights": "--row-weights",
    "order": "--order",
    "labels_out": "--labels-out",
    "oof": "--oof",
}


#: What a table calls the one column of binary predictions that have no name.
ONE_COLUMN = "probability"


def output_path(source: str, runner: Runner) -> Path:
    """The checked output that was named, or <stem>.<command>.npy in the folder of the source."""
    target, overwrite = runner.outputs.output, runner.outputs.overwrite
    if isinstance(target, FolderPath):
        if target.path.suffix.lower() in (*PREDICTION_SUFFIXES, ".zarr"):
            refuse(
                f"must not end with a slash if it has the suffix of a file, got {target.path}",
                "--output",
            )
        # "./" and "../" have no name before they are resolved.
        path = target.path if target.path.name not in ("", "..") else target.path.resolve()
    else:
        path = _default_path(source) if target is None else target
    if runner.running.resume and path.name:
        if not overwrite and _is_there(path) and not has_journal(path):
            message = (
                f"{path}: exists already, and there is no stopped job to resume; use it as it is, "
                "or create it again with --overwrite"
            )
            raise FileExistsError(message)
        overwrite = True  # a job killed at its very end has left it; the job itself checks that
    if not isinstance(target, FolderPath) and path.suffix.lower() != ".zarr":
        check_output(path, overwrite=overwrite, suffixes=(*PREDICTION_SUFFIXES, ".zarr"))
    _check_more(runner, path)
    check_target(path, overwrite=overwrite)
    check_unlocked(path)
    return path


def decision_path(source: str, runner: Runner, *, sets: bool = False) -> Path:
    """The checked output of decisions that was named, or <stem>.<command>.csv."""
    target, outputs = runner.outputs.output, runner.outputs
    path = _default_path(source, ".csv") if target is None else getattr(target, "path", target)
    check_decision_path(path, overwrite=outputs.overwrite, sets=sets)
    _check_more(runner, path)
    return Path(path)


def variants_path(source: str, runner: Runner) -> Path:
    """The checked output of variants of texts that was named, or <stem>.<command>.csv."""
    target = runner.outputs.output
    path = _default_path(source, ".csv") if target is None else getattr(target, "path", target)
    check_output(path, overwrite=runner.outputs.overwrite, suffixes=WRITTEN_SUFFIXES)
    check_apart(path)
    return Path(path)


def _check_more(runner: Runner, output: Path) -> None:
    """Check before anything is fitted that other outputs can be written, apart from all files."""
    outputs, overwrite = runner.outputs, runner.outputs.overwrite
    given = {"--save": outputs.save, "--labels-out": outputs.labels_out, "--oof": outputs.oof}
    taken = {output.resolve(): "the output"}
    for flag, path in given.items():
        if path is not None and (other := taken.setdefault(path.resolve(), flag)) != flag:
            refuse(f"must not be {other}, {path}", flag)
    check_apart(output)
    for flag, path in given.items():
        if path is None:
            continue
        if flag == "--labels-out":
            check_decision_path(path, overwrite=overwrite, sets=runner.inputs.multilabel)
        else:
            suffixes = (".json",) if flag == "--save" else PREDICTION_SUFFIXES
            check_output(path, overwrite=overwrite, suffixes=suffixes)
        check_apart(path, option=flag)


def _default_path(source: str, suffix: str = ".npy") -> Path:
    file, column = file_and_column(source)
    path = Path(file)
    name = path.stem if column is None else f"{path.stem}.{column}"
    if path.is_dir():
        path = path.resolve()
        name = path.stem if path.suffix.lower() == ".zarr" else path.name
    return path.with_name(f"{name}.{click.get_current_context().command.name}{suffix}")


def _is_there(path: Path) -> bool:
    """Whether there is a file, or a folder that is not empty."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def check_apart(output: Path, *, option: str = "--output") -> None:
    """Refuse an output that is an input or holds one; a single file of PREDS may be replaced."""
    params = click.get_current_context().params
    whole = output.resolve()
    for name, called in FILES.items():
        if called == option or (value := params.get(name)) is None:
            continue
        values = value if isinstance(value, tuple | list) else [value]
        alone = (called, option, len(values)) == ("PREDS", "--output", 1)
        for text in map(str, values):
            if name == "prior" and text in ("uniform", "estimate"):
                continue
            named = _named(text)
            in_place = alone and len(named) == 1
            for path in named:
                file = path.resolve()
                if whole.is_dir() and (whole == file or whole in file.parents):
                    message = f"must not be or contain the input {text}, got {output}"
                elif (whole == file and not in_place) or _is_part(whole, file):
                    message = f"must not be an input, got {output}"
                else:
                    continue
                message += f" (given to {called})"
                refuse(message, option)


def _named(text: str) -> list[Path]:
    """The files that a text names, found as when they are loaded."""
    text, _ = file_and_column(text)
    # Any text, however long: functions of `os.path` find that there is no such file.
    if os.path.isfile(text):  # noqa: PTH113
        return [Path(text)]
    names = [text, *(text + suffix for suffix in LABEL_SUFFIXES)]
    found = [Path(name) for name in names if os.path.exists(name)]  # noqa: PTH110
    if found:
        return found
    try:
        return find_shards(text)
    except (OSError, ValueError):
        return []


def _is_part(file: Path, folder: Path) -> bool:
    """Whether an existing file is one of those that are read from a folder."""
    if folder not in file.parents or not file.is_file():
        return False
    if is_zarr(folder):
        return True
    is_split = any(f".{split}." in file.name for split in SPLITS)
    is_read = is_split or SHARD.fullmatch(file.name) is not None or file.name == CLASS_FILE
    return file.parent == folder and is_read


def output_like(path: Path, target: Predictions) -> Output:
    """An output with the rows, columns, names and shards of the target; one column for one."""
    shape, dtype = (target.n_rows, target.n_classes), target.output_dtype
    like = Output(
        path,
        shape,
        dtype,
        target.classes,
        target.ids,
        edges_of(target.scores),
        id_heading=target.id_heading,
    )
    if target.column is None:
        return like
    return replace(
        like,
        shape=(target.n_rows, 1),
        classes=(target.heading or target.positive or ONE_COLUMN,),
        only=target.positive_column,
        flat=target.column.flat,
    )


def edges_of(scores: Any) -> tuple[int, ...]:
    """Where the shards of some scores begin and end; nothing where there are none."""
    return scores.edges if isinstance(scores, Source) else ()


def lost_ids(
    ids: NDArray[Any] | None, output: Path, formats: str = "-o x.npz or x.csv"
) -> list[str]:
    """Warn if the format of the output does not keep row ids."""
    keeps = output.suffix.lower() in PREDICTION_SUFFIXES and output.suffix.lower() != ".npy"
    if ids is None or keeps:
        return []
    said = f"{output.name} does not keep row ids; choose another format with {formats}"
    return [coded("lost-ids", said)]
