"""Where predictions changed: class by class, and confusion by confusion."""

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


class Confusions:
    """How many rows of each label were predicted as each class.

    Only pairs that occur are held, so that many classes need no matrix of them all.

    Parameters
    ----------
    labels, predicted : array of shape (n,)
        True and predicted classes of the first rows.
    n_classes : int
        Number of classes C.
    """

    def __init__(self, labels: NDArray[np.int64], predicted: NDArray[Any], n_classes: int) -> None:
        self._counts = Tally(*count(labels * n_classes + predicted))
        self.n_classes = n_classes

    def merge(self, other: Confusions) -> None:
        """Take in further rows."""
        self._counts.merge(other._counts)

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs that occur as label * C + class, ascending, and how many rows have each."""
        pairs, counts = self._counts.sums()
        return pairs, counts

    def z_of_order(self) -> float:
        """How far the rows that are right lie above what labels in random order give."""
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
    """How many rows of each label went from wrong to right, and from right to wrong.

    Parameters
    ----------
    base, new, labels : array of shape (n,)
        Classes predicted before and after, and true ones, of the first rows.
    n_classes : int
        Number of classes C.
    """

    def __init__(
        self, base: NDArray[Any], new: NDArray[Any], labels: NDArray[np.int64], n_classes: int
    ) -> None:
        was_right, is_right = base == labels, new == labels
        rows = np.flatnonzero(was_right != is_right)
        self._counts = Tally(*tally(labels[rows], is_right[rows], was_right[rows]))
        self.n_classes = n_classes

    def merge(self, other: Switches) -> None:
        """Take in further rows."""
        self._counts.merge(other._counts)

    def of_classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows fixed and rows broken, each of shape (C,)."""
        labels, *sums = self._counts.sums()
        fixed, broken = np.zeros((2, self.n_classes), np.int64)
        fixed[labels], broken[labels] = sums
        return fixed, broken

    def compare(self, n_rows: int) -> Comparison:
        """Rows fixed and broken of all labels, among n."""
        _, fixed, broken = self._counts.sums()
        return Comparison(n_rows, int(fixed.sum()), int(broken.sum()))


def confusion_changes(base: Confusions | None, new: Confusions, top: int) -> list[ConfusionChange]:
    """The pairs of classes whose confusion changed most; without a base, the most frequent ones.

    Pairs that did not change are left out.
    """
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
