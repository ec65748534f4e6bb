"""Where predictions changed: class by class, and confusion by confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.per_class import ClassMetrics, class_metrics


@dataclass(frozen=True)
class ClassChanges:
    """What a model did to every class, against a baseline.

    Attributes
    ----------
    metrics : ClassMetrics
        Precision, recall, F1 and support of the model.
    before : ClassMetrics
        The same of the baseline.
    fixed, broken : array of shape (C,)
        Rows with this label that went from wrong to right, and from right to wrong.
    """

    metrics: ClassMetrics
    before: ClassMetrics
    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]


class ConfusionChange(NamedTuple):
    """Rows of one class that were taken for another, before and after."""

    label: int
    predicted: int
    before: int
    after: int


def class_changes(
    base: NDArray[Any], new: NDArray[Any], labels: NDArray[np.int64], n_classes: int
) -> ClassChanges:
    """Compare predicted classes of shape (n,), class by class."""
    was_right, is_right = base == labels, new == labels
    return ClassChanges(
        metrics=class_metrics(new, labels, n_classes=n_classes),
        before=class_metrics(base, labels, n_classes=n_classes),
        fixed=np.bincount(labels[is_right & ~was_right], minlength=n_classes),
        broken=np.bincount(labels[was_right & ~is_right], minlength=n_classes),
    )


def confusion_changes(
    base: NDArray[Any] | None, new: NDArray[Any], labels: NDArray[np.int64], n_classes: int
) -> list[ConfusionChange]:
    """Pairs of classes by how much their confusion changed; without a base, by how frequent it is.

    Pairs that did not change are left out. Only pairs that occur are counted, so that many
    classes need no matrix of them all.
    """
    counts: dict[int, list[int]] = {}
    for at, predicted in enumerate((base, new)):
        if predicted is None:
            continue
        wrong = predicted != labels
        pairs = labels[wrong] * n_classes + predicted[wrong]
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True):
            counts.setdefault(int(pair), [0, 0])[at] = int(count)
    changes = [
        ConfusionChange(*divmod(pair, n_classes), before, after)
        for pair, (before, after) in counts.items()
        if before != after
    ]
    return sorted(changes, key=lambda c: (-abs(c.after - c.before), c.label, c.predicted))
