"""Sums over rows from which values and standard errors of metrics follow, merged block by block."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.influence import Spread, spread_of_sums
from postproc.evaluation.tallies import Tally, weighted_counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """What rows count: their weights and the groups they belong to, where there are any."""

    weights: Floats | None = None  # (n,)
    groups: NDArray[np.int64] | None = None  # (n,), in 0..G-1

    @property
    def are_rows(self) -> bool:
        """Whether every row counts once, and for itself."""
        return self.weights is None and self.groups is None

    def __getitem__(self, rows: slice) -> Units:
        """Those of some rows."""
        return Units(
            None if self.weights is None else self.weights[rows],
            None if self.groups is None else self.groups[rows],
        )

    def at(self, positions: NDArray[np.int64]) -> Units:
        """The same with row i at position i, (n,)."""
        inverse = np.argsort(positions)
        return Units(
            None if self.weights is None else self.weights[inverse],
            None if self.groups is None else self.groups[inverse],
        )

    def weights_of(self, n_rows: int) -> Floats:
        """The weights, (n,); 1 where none are given."""
        return np.ones(n_rows) if self.weights is None else self.weights


class Moments:
    """Weighted sums of row values (k, b), for the mean of each and its standard error."""

    def __init__(self, values: Floats, units: Units) -> None:
        weights = units.weights_of(values.shape[1])
        heavy = weights * values
        self._weight, self._rows = float(weights.sum()), len(weights)
        self._first = heavy.sum(axis=1)
        self._groups: Tally | None = None
        if units.groups is not None:
            self._groups = Tally(units.groups, weights, *heavy)
        else:
            powers = np.ones((5, *values.shape))
            for p in range(1, 5):  # many times as fast as powers by `**`
                np.multiply(powers[p - 1], values, out=powers[p])
            if units.weights is None:
                self._fourth = powers.sum(axis=2)
                self._second = self._fourth.copy()
            else:
                self._second, self._fourth = (powers @ weights**p for p in (2, 4))  # (5, k)

    def merge(self, other: Moments) -> None:
        """Add further rows."""
        self._weight += other._weight
        self._rows += other._rows
        self._first += other._first
        if self._groups is not None and other._groups is not None:
            self._groups.merge(other._groups)
        else:
            self._second += other._second
            self._fourth += other._fourth

    def spread(self, k: int) -> Spread:
        """Mean of the values of one line, and its standard error."""
        mean = float(self._first[k] / self._weight)
        if self._groups is not None:
            _, weights, *sums = self._groups.sums()
            return spread_of_sums(mean, sums[k] - mean * weights, self._weight)
        squares, fourths = (
            float(sum(comb(p, i) * (-mean) ** (p - i) * sums[i, k] for i in range(p + 1)))
            for p, sums in ((2, self._second), (4, self._fourth))
        )
        return Spread.of(mean, squares, fourths, self._rows, self._weight)


class LabelTally:
    """Weights of rows by label and decided class; of two models together where rows stand alone.

    With groups, rows are counted by group, label and decided class of one model.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        decided: NDArray[Any],
        base: NDArray[Any] | None,
        units: Units,
        n_classes: int,
    ) -> None:
        self.n_classes, self._rows = n_classes, len(labels)
        self._joint, self._grouped = base is not None, units.groups is not None
        keys = labels * n_classes + decided
        if units.groups is not None:
            keys += units.groups * n_classes**2
        elif base is not None:
            keys = keys * n_classes + base
        weights = np.ones(len(labels), np.int64) if units.weights is None else units.weights
        powers = () if units.weights is None or self._grouped else (weights**2, weights**4)
        self._tally = Tally(keys, weights, *powers)

    def merge(self, other: LabelTally) -> None:
        """Add further rows."""
        self._tally.merge(other._tally)
        self._rows += other._rows

    def spread(self, function: Any) -> Spread:
        """A metric of decided labels, and its standard error."""
        entries = self._entries()
        found = function(entries.labels, entries.decided, entries.shares, self.n_classes)
        return self._spread(found.value, found.influence, entries)

    def gain(self, function: Any, base: LabelTally) -> Spread:
        """How much more a metric is than that of a base, and its standard error."""
        own = self._entries()
        first = function(own.labels, own.decided, own.shares, self.n_classes)
        if self._grouped:
            other = base._entries()
            second = function(other.labels, other.decided, other.shares, self.n_classes)
            sums = self._group_sums(first.influence, own)
            sums -= self._group_sums(second.influence, other)
            return spread_of_sums(first.value - second.value, sums, 1.0)
        second = function(own.labels, own.base, own.shares, self.n_classes)
        return self._spread(first.value - second.value, first.influence - second.influence, own)

    def _spread(self, value: float, influence: Floats, entries: _Entries) -> Spread:
        if self._grouped:
            return spread_of_sums(value, self._group_sums(influence, entries), 1.0)
        squared = influence**2
        squares, fourths = float(entries.squares @ squared), float(entries.fourths @ squared**2)
        return Spread.of(value, squares, fourths, self._rows, entries.total)

    def _group_sums(self, influence: Floats, entries: _Entries) -> Floats:
        """Shares times influences, summed over each group that occurs."""
        _, places = np.unique(entries.groups, return_inverse=True)
        return weighted_counts(places, entries.shares * influence, int(places.max()) + 1)

    def _entries(self) -> _Entries:
        keys, weights, *powers = self._tally.sums()
        base = groups = keys[:0]
        if self._joint and not self._grouped:
            keys, base = np.divmod(keys, self.n_classes)
        keys, decided = np.divmod(keys, self.n_classes)
        groups, labels = np.divmod(keys, self.n_classes)
        total = float(weights.sum())
        squares, fourths = powers or (weights, weights)
        return _Entries(labels, decided, base, groups, weights / total, squares, fourths, total)


class _Entries(NamedTuple):
    """Rows of equal label and decided classes, (k,)."""

    labels: NDArray[np.int64]
    decided: NDArray[np.int64]
    base: NDArray[np.int64]
    groups: NDArray[np.int64]
    shares: Floats  # of all weight
    squares: NDArray[Any]  # sums of squared weights
    fourths: NDArray[Any]  # of their fourth powers
    total: float
