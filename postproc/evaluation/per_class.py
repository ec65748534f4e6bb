"""Metrics of every class: precision, recall and F1 of predicted classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import check_count, check_labels, fail
from postproc.scores.frames.arguments import takes_frames


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of every class, shape (C,); NaN if undefined (no such label or prediction)."""

    support: NDArray[np.int64]  # rows with this label
    predicted: NDArray[np.int64]  # rows with this prediction
    correct: NDArray[np.int64]  # rows with both
    precision: NDArray[np.float64]  # correct / predicted
    recall: NDArray[np.float64]  # correct / support
    f1: NDArray[np.float64]  # 2 correct / (predicted + support)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur among the labels or the predictions."""
        return float(np.nanmean(self.f1))


@takes_frames(labels={"labels": "labels", "predicted": "labels"})
def class_metrics(predicted: Any, labels: Any, *, n_classes: int) -> ClassMetrics:
    """Precision, recall, F1 and support of every class.

    Parameters
    ----------
    predicted, labels : array_like of shape (n,)
        Predicted and true classes in 0..C-1.
    n_classes : int
        Number of classes C.

    Returns
    -------
    ClassMetrics
        Counts and metrics of shape (C,). As in scikit-learn, the macro-F1 omits classes that
        occur in neither. A precision without predictions or a recall without labels is NaN.

    Raises
    ------
    TypeError, ValueError
        If the classes are not integers of 0..C-1 or the lengths differ.

    Examples
    --------
    >>> class_metrics([0, 1, 1], [0, 1, 0], n_classes=3).f1.round(4)
    array([0.6667, 0.6667,    nan])
    """
    n_classes = check_count(n_classes, "n_classes", low=1)
    y = check_labels(labels, n_classes=n_classes)
    z = check_labels(predicted, n_classes=n_classes, name="predicted")
    if len(z) != len(y):
        fail("predicted", f"as long as `labels` ({len(y)} rows)", f"{len(z)} rows")
    return count_classes(z, y, n_classes)


def count_classes(
    predicted: NDArray[Any], labels: NDArray[np.int64], n_classes: int
) -> ClassMetrics:
    """Pure core of `class_metrics`."""
    right = labels[labels == predicted]
    support, n_predicted, correct = (
        np.bincount(classes, minlength=n_classes) for classes in (labels, predicted, right)
    )
    return metrics_of_counts(support, n_predicted, correct)


def metrics_of_counts(
    support: NDArray[np.int64], predicted: NDArray[np.int64], correct: NDArray[np.int64]
) -> ClassMetrics:
    """Metrics of every class from its numbers of labels, of predictions, and of both at once."""
    return ClassMetrics(
        support=support,
        predicted=predicted,
        correct=correct,
        precision=_ratio(correct, predicted),
        recall=_ratio(correct, support),
        f1=_ratio(2 * correct, predicted + support),
    )


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
