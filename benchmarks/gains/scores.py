"""Scores of a classifier for all classes of a task, also those that its training rows lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

#: What a classifier is asked for: logits, logarithms of probabilities, probabilities.
Output = Literal["decision_function", "predict_log_proba", "predict_proba"]


def class_scores(classifier: Any, x: NDArray[Any], n_classes: int, output: Output) -> Floats:
    """Scores in the task's own columns.

    A class that the classifier has not seen gets the least that there is: probability 0, or the
    lowest logit of the row. The decision value d of two classes becomes the logits -d/2 and d/2.

    Parameters
    ----------
    classifier : estimator
        Fitted; `classes_` holds integers in 0..C-1.
    x : array
        n rows.
    n_classes : int
        C.
    output : str
        The method to call.

    Returns
    -------
    array of shape (n, C), float32
        Scores.

    Raises
    ------
    ValueError
        If a score is not finite.
    """
    seen = np.asarray(classifier.classes_, dtype=np.int64)
    values = np.asarray(getattr(classifier, output)(x), dtype=np.float64)
    if values.ndim == 1:
        values = np.stack([-values / 2, values / 2], axis=1)
    if output == "predict_proba":
        scores = np.zeros((len(values), n_classes))
    else:
        scores = np.repeat(values.min(axis=1, keepdims=True), n_classes, axis=1)
    scores[:, seen] = values
    narrow = scores.astype(np.float32)
    if not np.isfinite(narrow).all():
        msg = "its scores are not all finite"
        raise ValueError(msg)
    return narrow


def out_of_fold_scores(
    build: Callable[[int], Any],
    x: NDArray[Any],
    y: Ints,
    folds: Ints,
    n_classes: int,
    output: Output,
) -> Floats:
    """Scores of every training row from a classifier that has not seen the row.

    Parameters
    ----------
    build : callable
        From the number of training rows to an unfitted classifier.
    x : array
        n rows.
    y : array of shape (n,)
        Classes 0..C-1, as the classifiers learn them.
    folds : array of shape (n,)
        Fold of each row.
    n_classes : int
        C.
    output : str
        As for `class_scores`.

    Returns
    -------
    array of shape (n, C), float32
        Scores; where a fold holds all rows of a class, they are filled as in `class_scores`.
    """
    scores = np.empty((len(y), n_classes), np.float32)
    for fold in np.unique(folds):
        out = folds == fold
        classifier = build(int((~out).sum())).fit(x[~out], y[~out])
        scores[out] = class_scores(classifier, x[out], n_classes, output)
    return scores
