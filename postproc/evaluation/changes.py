"""Where predictions changed, by class and by confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.agreement import z_of_order
from postproc.evaluation.paired import Comparison
from postproc.evaluation.per_class import ClassMetrics, metrics_of_counts
from postproc.evaluation.tallies import Tally, count, tally


@dataclass(frozen=True)
class ClassChanges:
    """What a model changed in every class, relative to a baseline."""

    metrics: ClassMetrics  # of the model
    before: ClassMetrics  # of the baseline
    fixed: NDArray[np.int64]  # (C,), rows by label that went from wrong to right
    broken: NDArray[np.int64]  # (C,), from right to wrong


class ConfusionChange(NamedTuple):
    """Rows of one class predicted as another, before and after."""

    label: int
    predicted: int
    before: int
    after: int


class Confusions:
    """Rows by label and predicted class; only pairs that occur are stored."""

    def __init__(self, labels: NDArray[np.int64], predicted: NDArray[Any], n_classes: int) -> None:
        self._counts = Tally(*count(labels * n_classes + predicted))
        self.n_classes = n_classes

    def merge(self, other: Confusions) -> None:
        """Add further rows."""
        self._counts.merge(other._counts)

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs that occur, as label * C + class in ascending order, and their numbers of rows."""
        pairs, counts = self._counts.sums()
        return pairs, counts

    def z_of_order(self) -> float:
        """z-score of the number of correct rows among random orders of the labels."""
        metrics = self.class_metrics()
        n_rows = int(metrics.support.sum())
        shares, means = metrics.support / n_rows, metrics.predicted / n_rows
        right = float(metrics.correct.sum())
        return z_of_order(right, shares, means, means, float(means @ shares**2), n_rows)

    def class_metrics(self) -> ClassMetrics:
        """Metrics of every class."""
        pairs, counts = self.pairs()
        labels, predicted = np.divmod(pairs, self.n_classes)
        n_rows, n_predicted, correct = np.zeros((3, self.n_classes), np.int64)
        np.add.at(n_rows, labels, counts)
        np.add.at(n_predicted, predicted, counts)
        right = labels == predicted
        correct[labels[right]] = counts[right]
        return metrics_of_counts(n_rows, n_predicted, correct)


class Switches:
    """Rows by label that went from wrong to right, and from right to wrong."""

    def __init__(
        self, base: NDArray[Any], new: NDArray[Any], labels: NDArray[np.int64], n_classes: int
    ) -> None:
        was_right, is_right = base == labels, new == labels
        rows = np.flatnonzero(was_right != is_right)
        self._counts = Tally(*tally(labels[rows], is_right[rows], was_right[rows]))
        self.n_classes = n_classes

    def merge(self, other: Switches) -> None:
        """Add further rows."""
        self._counts.merge(other._counts)

    def of_classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows fixed and rows broken, each of shape (C,)."""
        labels, *sums = self._counts.sums()
        fixed, broken = np.zeros((2, self.n_classes), np.int64)
        fixed[labels], broken[labels] = sums
        return fixed, broken

    def compare(self, n_rows: int) -> Comparison:
        """Rows fixed and broken over all labels, out of n."""
        _, fixed, broken = self._counts.sums()
        return Comparison(n_rows, int(fixed.sum()), int(broken.sum()))


def confusion_changes(base: Confusions | None, new: Confusions, top: int) -> list[ConfusionChange]:
    """The pairs of classes whose confusion changed most; without a base, the most frequent ones."""
    pairs, after = new.pairs()
    before = np.zeros_like(after)
    if base is not None:
        others, counts = base.pairs()
        pairs, before, after = tally(
            np.append(pairs, others),
            np.append(before, counts),
            np.append(after, np.zeros_like(counts)),
        )
    label, predicted = np.divmod(pairs, new.n_classes)
    changed = np.flatnonzero((label != predicted) & (before != after))
    order = changed[np.argsort(-np.abs(after - before)[changed], kind="stable")][:top]
    columns = (column[order].tolist() for column in (label, predicted, before, after))
    return [ConfusionChange(*change) for change in zip(*columns, strict=True)]
