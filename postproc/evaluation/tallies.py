"""Sums over equal keys, in memory that grows only with the number of distinct keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[Any], ...]


def tally(keys: NDArray[Any], *columns: NDArray[Any]) -> Columns:
    """Distinct integer keys >= 0 in ascending order, and the sums of columns >= 0 over them."""
    if _is_dense(keys):
        present = np.flatnonzero(np.bincount(keys))
        # In float64, where counts stay whole up to 2^53.
        sums = (np.bincount(keys, column)[present] for column in columns)
        return present, *(
            each if column.dtype.kind == "f" else each.astype(np.int64)
            for each, column in zip(sums, columns, strict=True)
        )
    order = np.argsort(keys, kind="stable")  # fast if there are few ascending runs
    keys = keys[order]
    starts = run_starts(keys)
    return keys[starts], *(sums_of_runs(column[order], starts) for column in columns)


def count(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys >= 0 in ascending order, and how often each occurs."""
    if _is_dense(keys):
        counts = np.bincount(keys)
        present = np.flatnonzero(counts)
        return present, counts[present]
    keys = np.sort(keys)  # several times as fast as argsort
    starts = run_starts(keys)
    return keys[starts], np.diff(starts, append=len(keys))


def weighted_counts(
    keys: NDArray[np.integer[Any]], weights: NDArray[Any] | None, n_keys: int
) -> NDArray[np.float64]:
    """Sums of weights, or counts, of each of the keys 0..n-1."""
    return np.bincount(keys, weights, minlength=n_keys).astype(np.float64, copy=False)


def _is_dense(keys: NDArray[Any]) -> bool:
    """Whether counting up to the highest key takes no more memory than the keys."""
    return keys.dtype.kind == "i" and len(keys) > 0 and int(keys.max()) < 8 * len(keys)


def run_starts(values: NDArray[Any]) -> NDArray[np.intp]:
    """Start of each run of equal values."""
    return np.flatnonzero(np.append(np.full(min(1, len(values)), True), values[1:] != values[:-1]))


def sums_of_runs(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    """Sums from each start to the next; integers are summed in 64 bits."""
    wide = values if values.dtype.kind == "f" else values.astype(np.int64, copy=False)
    return np.add.reduceat(wide, starts)  # casting inside would take twice as long


class Tally:
    """Sums over equal keys, merged from parts; summed once `least` further entries are there."""

    def __init__(self, *columns: NDArray[Any], least: int = 2**16) -> None:
        self._least = least
        self._parts: list[Columns] = [columns]
        self._summed = 0
        self._pending = len(columns[0])

    def merge(self, other: Tally) -> None:
        """Add all of another."""
        self._parts += other._parts
        self._pending += other._summed + other._pending
        if self._pending > self._summed + self._least:
            self._sum()

    def sums(self) -> Columns:
        """The distinct keys in ascending order, and the sums over them."""
        if self._pending:
            self._sum()
        return self._parts[0]

    def _sum(self) -> None:
        summed = tally(*map(np.concatenate, zip(*self._parts, strict=True)))
        self._parts, self._summed, self._pending = [summed], len(summed[0]), 0
