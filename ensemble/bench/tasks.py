"""Tasks of a benchmark: run directories, loaded and checked, with a fingerprint of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble.agreement import label_doubts
from ensemble.members import Members, align_members
from postproc.files import RunDirectory
from postproc.files.labels import CLASS_FILE
from postproc.files.paths import PREDICTION_SUFFIXES, stem_of, suffix_of
from postproc.scores.checks import fail, one_line
from postproc.scores.sources import Picked

Ints = NDArray[np.int64]


class Skipped(NamedTuple):
    """A run directory that cannot be used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Task:
    """A valid run directory; its arrays are loaded when they are needed."""

    name: str
    path: str
    models: tuple[str, ...]
    n_classes: int
    fingerprint: str  # digest of all files used
    doubts: tuple[str, ...] = ()  # signs that predictions and labels do not belong together
    multilabel: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What the header of a results file says of the task."""
        return {
            "task": self.name,
            "models": list(self.models),
            "classes": self.n_classes,
            "fingerprint": self.fingerprint,
            **({"multilabel": True} if self.multilabel else {}),
        }


@dataclass(frozen=True)
class TaskData:
    """Arrays of a task: rows in the order of the labels, columns in that of the classes.

    Labels are (n,), or zeros and ones (n, C) of a multi-label task.
    """

    fit: Members
    fit_labels: Ints
    test: Members
    labels: Ints


def find_tasks(
    paths: Sequence[str | Path], models: Sequence[str] | None = None
) -> tuple[list[Task], list[Skipped]]:
    """Check run directories: valid tasks with their members among `models`, and the others."""
    tasks: list[Task] = []
    skipped = []
    for path in paths:
        try:
            task = _check_task(Path(path), models)
            twin = next((other for other in tasks if other.name == task.name), None)
            if twin is not None:
                rule = "of different names, which identify the results"
                fail("run directories", rule, f"{task.name!r} twice", f"the first is {twin.path}")
            tasks.append(task)
        except (OSError, TypeError, ValueError) as error:
            reason = one_line(error)
            for prefix in (path, Path(path).absolute()):
                reason = reason.removeprefix(f"{prefix}: ")
            inside = _run_directories(Path(path))
            if inside and not any(Path(path).glob("*.val.*")):
                shown = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
                reason = (
                    f"is not a run directory but contains some: {shown}; pass {Path(path) / '*'}/"
                )
            skipped.append(Skipped(str(path), reason))
    return tasks, skipped


def _run_directories(folder: Path) -> list[str]:
    """Names of the run directories inside a folder."""
    found = []
    with suppress(OSError):
        for inner in sorted(folder.iterdir()):
            with suppress(OSError, ValueError):
                RunDirectory.open(inner)
                found.append(inner.name)
    return found


def load_task(task: Task) -> TaskData:
    """The arrays of a task; those loaded last are cached."""
    return _load(task.path, task.models, task.fingerprint)


@lru_cache(maxsize=1)
def _load(path: str, models: tuple[str, ...], _fingerprint: str) -> TaskData:
    run = RunDirectory.open(path)
    fit = align_members(run.predictions("val", models))
    test = align_members(run.predictions("test", models), classes=fit.classes)
    labels = {split: run.labels(split) for split in ("val", "test")}
    for split, found in labels.items():
        if found is None:
            msg = f"{path}: must hold labels.{split}.npy, got none"
            raise ValueError(msg)
        if len(found) == 0:
            fail(f"labels.{split}", "one label or more", "none")
    if fit.n_classes != test.n_classes:
        rule = f"of {fit.n_classes} classes like the split val"
        fail("split test", rule, f"{test.n_classes} classes")
    return TaskData(_read(fit), labels["val"], _read(test), labels["test"])  # type: ignore[arg-type]  # neither is None


def _check_task(path: Path, models: Sequence[str] | None) -> Task:
    run = RunDirectory.open(path)
    kept = tuple(name for name in run.models if models is None or name in models)
    if not kept:
        wanted = f"one of its models ({', '.join(run.models)})"
        fail("models", wanted, ", ".join(models or ()))
    print_ = _fingerprint(path, kept)
    where = str(path.absolute())  # worker processes may be in another folder
    data = _load(where, kept, print_)
    splits = {"val": (data.fit, data.fit_labels), "test": (data.test, data.labels)}
    found = [
        f"on {split}, {doubt}"
        for split, (members, labels) in splits.items()
        for doubt in label_doubts(*_flat(members, labels), f"labels.{split}")
    ]
    name, n_classes = path.resolve().name, data.fit.n_classes
    return Task(name, where, kept, n_classes, print_, tuple(found), run.multilabel)


def _flat(members: Members, labels: Ints) -> tuple[Members, Ints]:
    """Multi-label members as rows of two classes, with their labels; others as they are."""
    if not members.multilabel:
        return members, labels
    return members.two_class(), labels.reshape(-1).astype(np.int64)


def _fingerprint(path: Path, models: Sequence[str]) -> str:
    """Digest of the names and contents of the files of these models, of labels and class names."""
    stems = {f"{name}.{split}" for name in (*models, "labels") for split in ("val", "test")}
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()):
        wanted = stem_of(file) in stems and suffix_of(file) in PREDICTION_SUFFIXES
        if file.is_file() and (wanted or file.name == CLASS_FILE):
            with file.open("rb") as stream:
                digest.update(f"{file.name}\0".encode())
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _read(members: Members) -> Members:
    """Members with the scores in memory where they are not in order."""
    return Members(
        tuple(
            replace(p, scores=np.asarray(p.scores)) if isinstance(p.scores, Picked) else p
            for p in members
        )
    )
