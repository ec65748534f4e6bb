"""Predicted labels in place of scores: rows of zeros with a one for the predicted class."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.names import positions, some
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source

#: Whole numbers below this are class numbers; larger ones are names.
MOST_CLASSES = 10_000

#: So many labels do not all differ.
LEAST_ROWS = 20


@dataclass(frozen=True)
class OneHot(Source):
    """Rows of C numbers made of n class numbers as they are read."""

    labels: NDArray[np.int64]
    n_classes: int
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the labels
        """Rows and columns."""
        return len(self.labels), self.n_classes

    def read(self, rows: slice) -> NDArray[np.float32]:
        """Rows start..stop."""
        is_label = self.labels[rows, None] == np.arange(self.n_classes)
        return np.asarray(is_label, dtype=np.float32)

    def signature(self) -> dict[str, Any]:
        """A digest of the labels."""
        digest = hashlib.sha256(np.ascontiguousarray(self.labels).data).hexdigest()[:16]
        return {"classes": self.n_classes, "labels": digest}


def from_labels(
    labels: NDArray[Any], *, ids: NDArray[np.str_] | None = None, name: str = "predictions"
) -> Predictions:
    """Predictions that hold n predicted labels, names or whole numbers; the values are classes."""
    values = labels.astype(np.int64) if labels.dtype.kind in "fb" else labels
    found, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    if len(found) == len(values) >= LEAST_ROWS:
        fail(name, "predicted labels", f"{len(found)} values that all differ")
    scores = OneHot(codes, len(found))
    classes = found.astype(np.str_).tolist()
    named = Predictions.named(scores, "probs", classes=classes, ids=ids, name=name)
    return replace(named, labels_only=True)


def share_classes(
    models: Sequence[Predictions], truth: Collection[str], known: Sequence[str] | None = None
) -> list[Predictions]:
    """Give models that hold labels only the classes of the others, or all labels that occur.

    `truth` are names of true labels, `known` classes that were given. Names that are all numbers
    0, 1, ... are numbers of columns.
    """
    if not any(model.labels_only for model in models):
        return list(models)
    scored = [model for model in models if not model.labels_only]
    classes = next((model.classes for model in scored if model.classes is not None), known)
    if classes is None and scored:
        classes = list(map(str, range(scored[0].n_classes)))
    elif classes is None:
        for model in models:
            _check_known(model, set(truth))
            _check_shared(model, set(truth), set(models[0].classes or ()))
        classes = _classes_of({*truth, *(c for model in models for c in model.classes or ())})
    like = scored[0].name if scored else "--classes"
    return [_with_classes(model, classes, like) if model.labels_only else model for model in models]


def _check_shared(model: Predictions, truth: set[str], first: set[str]) -> None:
    """Refuse predicted labels of which none is one of others, or that are all one larger."""
    own = set(model.classes or ())
    from_one = {str(int(name) + 1) for name in truth if name.isdecimal()}
    others = truth or first
    if not others & own or (len(own) == len(truth) and own == from_one):
        whose = "the true ones" if truth else "those of the first file"
        rule = f"named like {whose} ({some(sorted(others))})"
        mend = "name them alike in both files, or all classes with --classes if they are numbered"
        fail(f"labels of {model.name}", rule, some(sorted(own)), mend)


def _check_known(model: Predictions, truth: set[str]) -> None:
    """Refuse whole numbers most of which are no true labels: they may be scores."""
    own = model.classes or ()
    if not truth or not all(name.lstrip("-").isdecimal() for name in own):
        return
    is_known = np.isin(own, sorted(truth))
    if np.mean(is_known[model.scores.labels]) < 0.5:
        rule = f"among the true ones ({some(sorted(truth))})"
        unlike = some([own[at] for at in np.flatnonzero(~is_known)])
        mend = "declare --logits or --probs if they are scores, or name all classes with --classes"
        fail(f"labels of {model.name}", rule, unlike, mend)


def _classes_of(names: set[str]) -> list[str]:
    """Classes in order: all numbers up to the largest, or the names that occur."""
    if all(name.isdecimal() and str(int(name)) == name for name in names):
        numbers = sorted(map(int, names))
        if numbers[-1] < MOST_CLASSES:
            return list(map(str, range(max(2, numbers[-1] + 1))))
        return list(map(str, numbers))
    return sorted(names)


def _with_classes(model: Predictions, classes: Sequence[str], like: str) -> Predictions:
    own = model.classes or ()
    places = positions(classes, own)
    numbers = [int(name) for name in own if name.isdecimal() and int(name) < len(classes)]
    if len(numbers) == len(own) and not any(name.isdecimal() for name in classes):
        places = np.array(numbers, dtype=np.int64)
    unknown = [own[at] for at in np.flatnonzero(places < 0)]
    if unknown:
        mend = "name all classes with --classes, or declare --logits or --probs if they are scores"
        if len(classes) == 2 and all(name.lstrip("-").isdecimal() for name in own):
            mend = (
                "if these whole numbers are scores on another scale, log-loss, costs and the like "
                "need probabilities: leave only metrics of the order (--metric auc) for "
                "FILE:COLUMN, or calibrate it first (postproc calibrate FILE:COLUMN --logits "
                "--fit ... --fit-labels ...) and report what that writes; if they are classes, "
                "name all with --classes"
            )
        fail(f"labels of {model.name}", f"classes of {like}", some(unknown), mend)
    labels = places[model.scores.labels]
    return replace(model, scores=OneHot(labels, len(classes)), classes=tuple(classes))
