"""Run directories: one task's predictions, `<model>.<split>.npy` and `labels.<split>.npy`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.labels import CLASS_FILE, load_class_names, load_labels
from postproc.files.loading import load_predictions
from postproc.files.multilabels import load_multilabels, load_multilabels_of
from postproc.files.paths import PREDICTION_SUFFIXES, stem_of, suffix_of
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions

SPLITS = ("train", "val", "test")
#: Names before the split that are not models.
NOT_MODELS = ("labels",)


@dataclass(frozen=True)
class RunDirectory:
    """One task: the predictions of several models for its splits, and the splits' labels.

    Attributes
    ----------
    path : Path
        The folder.
    models : tuple of str
        Models that have predictions for both `val` and `test`, in alphabetical order.
    classes : tuple of str or None
        Names in `classes.txt`.
    multilabel : bool
        Whether labels are arrays (n, m) of zeros and ones.
    """

    path: Path
    models: tuple[str, ...]
    classes: tuple[str, ...] | None
    multilabel: bool = False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDirectory:
        """Look through a folder for predictions; nothing is loaded yet.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If no model has predictions for `val` and `test`, or one lacks either.
        """
        folder = Path(path)
        if not folder.is_dir():
            msg = f"{folder}: no such folder"
            raise FileNotFoundError(msg)
        having = {split: set(_models(folder, split)) for split in ("val", "test")}
        lacking = sorted(having["val"].symmetric_difference(having["test"]))
        if lacking:
            split = "test" if lacking[0] in having["val"] else "val"
            msg = f"{folder}: the model {lacking[0]!r} has no predictions for the split {split}"
            raise ValueError(msg)
        models = tuple(sorted(having["val"]))
        if not models:
            msg = (
                f"{folder}: must hold <model>.val.npy and <model>.test.npy, got neither; "
                "name other files one by one; postproc pool puts files of folds together"
            )
            raise ValueError(msg)
        names = folder / CLASS_FILE
        classes = load_class_names(names) if names.is_file() else None
        return cls(folder, models, classes, any(_is_multilabel(folder, split) for split in SPLITS))

    def predictions(self, split: str, models: Sequence[str] | None = None) -> list[Predictions]:
        """Load the predictions of a split, one member a model; each is named as its model.

        A model's kind is decided on `val` and asked of its other splits.

        Raises
        ------
        ValueError
            If a file is not valid, or the files of a split are unlike in rows or classes.
        """
        members: list[Predictions] = []
        for model in self.models if models is None else models:
            kind = None
            if split != "val":
                kind = self._load(model, "val").kind
            member = self._load(model, split, kind)
            if members and member.scores.shape != members[0].scores.shape:
                shape = tuple(members[0].scores.shape)
                rule = f"of shape {shape} like {members[0].name}.{split}"
                fail(member.name, rule, f"shape {tuple(member.scores.shape)}")
            members.append(replace(member, name=model))
        return members

    def labels(self, split: str, *, mapped: bool = False) -> NDArray[Any] | None:
        """Load the labels of a split, None where the folder has none; `mapped` as `load_labels`."""
        path = self.path / f"labels.{split}.npy"
        if not path.is_file():
            return None
        # Every model has predictions for val and test; of train there may be labels alone.
        file = self._find(self.models[0], split)
        like = self._load(self.models[0], split if file else "val")
        if self.multilabel:
            if file is None:
                return load_multilabels(path, classes=like.classes)
            return load_multilabels_of(path, like)
        n_rows = None if file is None else like.n_rows
        return load_labels(
            path,
            n_classes=like.n_classes,
            n_rows=n_rows,
            classes=self.classes,
            mapped=mapped,
            heading=like.heading,
        )

    def _load(self, model: str, split: str, kind: Kind | None = None) -> Predictions:
        return load_predictions(
            self._file(model, split), kind=kind, classes=self.classes, multilabel=self.multilabel
        )

    def _file(self, model: str, split: str) -> Path:
        file = self._find(model, split)
        if file is None:
            msg = f"{self.path}: the model {model!r} has no predictions for the split {split}"
            raise FileNotFoundError(msg)
        return file

    def _find(self, model: str, split: str) -> Path | None:
        files = (self.path / f"{model}.{split}{suffix}" for suffix in PREDICTION_SUFFIXES)
        return next((path for path in files if path.is_file()), None)


def _is_multilabel(folder: Path, split: str) -> bool:
    """Whether the labels of a split have a column for each class, and are not all one-hot."""
    path = folder / f"labels.{split}.npy"
    if not path.is_file():
        return False
    values = np.asarray(formats.read(path, labels=True).values)
    is_wide = values.ndim == 2 and values.shape[1] > 1
    return is_wide and not bool((values.sum(axis=1) == 1).all())


def _models(folder: Path, split: str) -> list[str]:
    """Names of the models with a file for the split."""
    stems = [
        stem_of(path).rpartition(".")
        for path in folder.iterdir()
        if suffix_of(path) in PREDICTION_SUFFIXES
    ]
    return [model for model, _, end in stems if model and end == split and model not in NOT_MODELS]
