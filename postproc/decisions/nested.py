"""Choice among ways to decide by nested cross-validation; the first of them leaves rows alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.decisions.rules import Ints
from postproc.evaluation.influence import Estimate
from postproc.evaluation.registry import Metric


class Nested(NamedTuple):
    """What was chosen, and what the choice gains on rows that took no part in it."""

    chosen: int  # 0 for leaving rows alone
    decided: NDArray[Any]  # (n,) or (n, m), each row by a choice without it
    baseline: float  # the metric of rows left alone
    gain: Estimate

    @property
    def improved(self) -> bool:
        """Whether the choice gains clearly."""
        return self.chosen > 0 and self.gain.interval[0] > 0


def choose_nested(
    decide: Callable[[Ints, Ints], NDArray[Any]],
    labels: Ints,
    folds: Ints,
    metric: Metric,
    n_classes: int,
) -> Nested:
    """The way that is best on held-out rows, and decisions by choices without them.

    `decide` takes training rows and held-out rows and gives their classes by every way, (ways, k);
    (ways, k, m) where labels are zeros and ones (n, m). For each pair of folds there is one fit
    without both: it serves the inner choice of either, as the other's held-out rows.
    """
    n_folds, everyone = int(folds.max()) + 1, np.arange(len(labels))
    members = [np.flatnonzero(folds == fold) for fold in range(n_folds)]

    def best(decided: NDArray[Any], rows: Ints) -> int:
        values = np.array(
            [metric.measure_decided(labels[rows], each[rows], n_classes).value for each in decided]
        )
        return int(np.nanargmax(values)) if not np.isnan(values).all() else 0

    first = decide(np.flatnonzero(folds != 0), members[0])
    outer = np.empty((len(first), *labels.shape), first.dtype)
    inner = np.empty((n_folds, *outer.shape), first.dtype)
    for a in range(n_folds):
        train = np.flatnonzero(folds != a)
        outer[:, members[a]] = decide(train, members[a]) if a else first
        for b in range(a):
            found = decide(train[folds[train] != b], np.concatenate([members[a], members[b]]))
            inner[b][:, members[a]] = found[:, : len(members[a])]
            inner[a][:, members[b]] = found[:, len(members[a]) :]
    honest = np.empty_like(outer[0])
    for fold, held in enumerate(members):
        honest[held] = outer[best(inner[fold], np.flatnonzero(folds != fold))][held]
    before, after = (metric.measure_decided(labels, each, n_classes) for each in (outer[0], honest))
    gain = metric.gain(after, before)
    if metric.name == "balanced_accuracy":
        error = recall_error(labels, honest, outer[0])
        gain = replace(gain, standard_error=max(gain.standard_error, error))
    return Nested(best(outer, everyone), honest, before.value, gain)


def recall_error(labels: Ints, new: Ints, old: Ints) -> float:
    """Standard error of the gain in mean recall, from decisions (n,), where classes have few rows.

    Nine rows of a class that all stay as they are do not show that it loses nothing. So each class
    has half a row more for each way in which a row may turn out, and two rows more in all.
    """
    rows = np.bincount(labels)
    present = rows > 0
    fixed, broken = (
        np.bincount(labels[one & ~other], minlength=len(rows))[present]
        for one, other in ((new == labels, old == labels), (old == labels, new == labels))
    )
    size = rows[present] + 2
    variance = (fixed + broken + 1 - (fixed - broken) ** 2 / size) / size**2
    return float(np.sqrt(variance.sum()) / np.count_nonzero(present))
