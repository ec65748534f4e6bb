"""Sums over equal keys, in memory that grows with the number of different keys alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[Any], ...]


def tally(keys: NDArray[Any], *columns: NDArray[Any]) -> Columns:
    """Sum columns over equal keys; returns the keys, ascending, and the sums.

    Integers are keys >= 0 and counts.

    Examples
    --------
    >>> tally(np.array([3, 1, 3]), np.array([1, 1, 1]))
    (array([1, 3]), array([1, 2]))
    """
    if _is_dense(keys):
        present = np.flatnonzero(np.bincount(keys))
        # In float64, where counts stay whole up to 2^53.
        sums = (np.bincount(keys, column)[present].astype(np.int64) for column in columns)
        return present, *sums
    order = np.argsort(keys, kind="stable")  # quick where they come in few runs, each ascending
    keys = keys[order]
    starts = run_starts(keys)
    return keys[starts], *(sums_of_runs(column[order], starts) for column in columns)


def count(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different keys >= 0, ascending, and how often each occurs."""
    if _is_dense(keys):
        counts = np.bincount(keys)
        present = np.flatnonzero(counts)
        return present, counts[present]
    keys = np.sort(keys)  # several times as fast as their order
    starts = run_starts(keys)
    return keys[starts], np.diff(starts, append=len(keys))


def _is_dense(keys: NDArray[Any]) -> bool:
    """Whether counts of all keys up to the highest take no more than what there is to count."""
    return keys.dtype.kind == "i" and len(keys) > 0 and int(keys.max()) < 8 * len(keys)


def run_starts(values: NDArray[Any]) -> NDArray[np.intp]:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.append(np.full(min(1, len(values)), True), values[1:] != values[:-1]))


def sums_of_runs(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    """Sums from each start to the next; integers are summed in 64 bits."""
    wide = values if values.dtype.kind == "f" else values.astype(np.int64, copy=False)
    return np.add.reduceat(wide, starts)  # to cast on the way takes twice as long


class Tally:
    """Gathers sums over equal keys from parts; what is gathered is summed now and then.

    Parameters
    ----------
    *columns : array of shape (k,)
        The first keys and what is summed over them.
    least : int
        Entries to gather before they are summed, however few keys there are.

    Examples
    --------
    >>> total = Tally(np.array([1, 3]), np.array([1, 2]))
    >>> total.merge(Tally(np.array([0, 3]), np.array([5, 5])))
    >>> total.sums()
    (array([0, 1, 3]), array([5, 1, 7]))
    """

    def __init__(self, *columns: NDArray[Any], least: int = 2**16) -> None:
        self._least = least
        self._parts: list[Columns] = [columns]
        self._summed = 0
        self._pending = len(columns[0])

    def merge(self, other: Tally) -> None:
        """Take in all of another."""
        self._parts += other._parts
        self._pending += other._summed + other._pending
        if self._pending > self._summed + self._least:
            self._sum()

    def sums(self) -> Columns:
        """The keys, ascending and each once, and the sums over them."""
        if self._pending:
            self._sum()
        return self._parts[0]

    def _sum(self) -> None:
        summed = tally(*map(np.concatenate, zip(*self._parts, strict=True)))
        self._parts, self._summed, self._pending = [summed], len(summed[0]), 0
