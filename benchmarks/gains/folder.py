"""Run directories, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gains.scores import Floats, Ints
from postproc.files import RunDirectory
from postproc.scores.checks import fail

#: What `meta.json` says of the folder's maker; only such folders are overwritten.
MAKER = "benchmarks.gains.prepare"


@dataclass(frozen=True)
class Task:
    """What a run directory holds.

    Attributes
    ----------
    scores : dict
        (model, split) to scores of shape (n, C).
    labels, clean : dict
        Split to labels of shape (n,), as the models met them; and as they were, where that is
        something else.
    classes : tuple of C str
        Names.
    meta : dict
        For `meta.json`.
    """

    scores: dict[tuple[str, str], Floats]
    labels: dict[str, Ints]
    clean: dict[str, Ints]
    classes: tuple[str, ...]
    meta: dict[str, Any]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that the folder can be made, before any work is done for it.

    Raises
    ------
    FileExistsError
        If it exists and `overwrite` is false.
    FileNotFoundError, PermissionError
        If the folder around it does not exist or is read-only.
    ValueError
        If it exists and was not made by this program.
    """
    around = folder.absolute().parent
    if not around.is_dir():
        msg = f"{folder}: the folder {around} does not exist; create it first"
        raise FileNotFoundError(msg)
    if not os.access(around, os.W_OK):
        msg = f"{folder}: the folder {around} is read-only; name an output elsewhere"
        raise PermissionError(msg)
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        msg = f"{folder}: exists already; name another folder or allow overwriting (--overwrite)"
        raise FileExistsError(msg)
    meta = folder / "meta.json"
    made = False
    if meta.is_file() and not folder.is_symlink():
        try:
            made = json.loads(meta.read_text(encoding="utf-8")).get("made_by") == MAKER
        except (ValueError, AttributeError):
            made = False
    if not made:
        got = "another folder or file"
        fail(str(folder), "a folder that this program made, to be overwritten", got)


def write_task(task: Task, folder: Path, *, overwrite: bool = False) -> None:
    """Write a run directory, whole or not at all: a folder beside it takes its place.

    Raises
    ------
    OSError, ValueError
        As `check_folder`, or if the files cannot be written or are not valid.
    """
    target = folder.absolute()
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        _write_files(task, new)
        run = RunDirectory.open(new)
        for split in ("val", "test"):
            run.predictions(split)
            run.labels(split)
        check_folder(folder, overwrite=overwrite)
        replaced = target.exists()
        if replaced:
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if replaced:
                old.rename(target)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_files(task: Task, folder: Path) -> None:
    for (name, split), values in task.scores.items():
        np.save(folder / f"{name}.{split}.npy", values)
    for split, y in task.labels.items():
        np.save(folder / f"labels.{split}.npy", y)
    for split, y in task.clean.items():
        (folder / f"clean_labels.{split}.txt").write_text("".join(f"{c}\n" for c in y))
    (folder / "classes.txt").write_text("\n".join(task.classes) + "\n", encoding="utf-8")
    text = json.dumps(task.meta, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
