"""What is found in rows of scores that speaks of their kind: signs, sums, whole numbers, gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_floating, as_numpy, row_sums
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, sub_blocks
from postproc.scores.checks import fail
from postproc.scores.rounding import decimals_of
from postproc.scores.sources import Source

Entry = tuple[int, int, float]


@dataclass
class Found:
    """What speaks of the kind in some rows of an array; row numbers are those of the array."""

    #: First score below 0 and first above 1: row, column, value.
    negative: Entry | None = None
    above: Entry | None = None
    #: First row that does not sum to 1, and its sum.
    unlike: tuple[int, float] | None = None
    #: Least and largest sum of a row; not known where there are negative scores.
    sums: tuple[float, float] = (math.inf, -math.inf)
    n_off: int = 0
    largest_off: float = 0.0
    #: Whether all scores are whole numbers, and the least and largest of them.
    whole: bool = True
    range: tuple[float, float] = (math.inf, -math.inf)
    #: Rows that were predicted, and numbers of those that are all NaN or all zero.
    n_rows: int = 0
    #: Scores above 1, counted where each column stands for itself.
    n_above: int = 0
    missing: list[NDArray[np.int64]] = field(default_factory=list)
    zeros: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def outside(self) -> Entry | None:
        """First score outside [0, 1]."""
        entries = [entry for entry in (self.negative, self.above) if entry is not None]
        return min(entries, default=None)

    def merge(self, other: Found) -> None:
        """Take in what was found in the rows that come next."""
        self.negative = self.negative or other.negative
        self.above = self.above or other.above
        self.unlike = self.unlike or other.unlike
        self.sums = min(self.sums[0], other.sums[0]), max(self.sums[1], other.sums[1])
        self.n_off += other.n_off
        self.largest_off = max(self.largest_off, other.largest_off)
        self.whole = self.whole and other.whole
        self.range = min(self.range[0], other.range[0]), max(self.range[1], other.range[1])
        self.n_rows += other.n_rows
        self.n_above += other.n_above
        self.missing += other.missing
        self.zeros += other.zeros

    def unpredicted(self, *, zeros: bool) -> NDArray[np.int64]:
        """Numbers of the rows that are all NaN, or with `zeros` all zero."""
        parts = [*self.missing, *(self.zeros if zeros else ())]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


@dataclass(frozen=True)
class CheckRows:
    """Looks through rows of scores for all that speaks of their kind; refuses NaN and infinity."""

    values: Array
    name: str
    tolerance: float
    exact: float
    multilabel: bool = False
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> Found:
        """Look through the rows start..stop."""
        found = Found()
        for part in sub_blocks(rows, self.values.shape[1], self.sizes.cached):
            self._look(as_floating(self.values[part, :]), part.start, found)
        return found

    def _look(self, block: Array, start: int, found: Found) -> None:
        xp = api.array_namespace(block)
        numbers: NDArray[np.int64] | None = None  # of rows, where some have been dropped
        low, high = float(xp.min(block)), float(xp.max(block))  # NaN if any entry is
        if not math.isfinite(low) or not math.isfinite(high):
            missing = xp.all(xp.isnan(block), axis=1)
            self._check_finite(block, missing, start)
            block, numbers = self._without(block, missing, start, numbers, found.missing)
            if not len(block):
                return
            low, high = float(xp.min(block)), float(xp.max(block))
        if not self.multilabel and bool(xp.any(block[:, 0] == 0)):
            zeros = xp.all(block == 0, axis=1)
            if bool(xp.any(zeros)):
                block, numbers = self._without(block, zeros, start, numbers, found.zeros)
                if not len(block):
                    return
        found.n_rows += len(block)
        found.range = min(found.range[0], low), max(found.range[1], high)
        found.whole = found.whole and bool(xp.all(block == xp.floor(block)))

        def entry(mask: Array) -> Entry:
            row, column = _first(mask)
            number = start + row if numbers is None else int(numbers[row])
            return number, column, float(block[row, column])

        if found.negative is None and low < 0:
            found.negative = entry(block < 0)
        if found.above is None and high > 1:
            found.above = entry(block > 1)
        if self.multilabel and high > 1:
            found.n_above += int(xp.sum(xp.astype(block > 1, xp.int64)))
        if found.negative is not None or self.multilabel:
            return
        with np.errstate(over="ignore"):
            sums = row_sums(block)
        off = xp.abs(sums - 1)
        least, largest = float(xp.min(sums)), float(xp.max(sums))
        found.sums = min(found.sums[0], least), max(found.sums[1], largest)
        found.largest_off = max(found.largest_off, abs(least - 1), abs(largest - 1))
        found.n_off += int(xp.sum(xp.astype(off > self.exact, xp.int64)))
        if found.unlike is None and bool(xp.any(bad := off > self.tolerance)):
            row = int(xp.argmax(xp.astype(bad, xp.int8)))
            number = start + row if numbers is None else int(numbers[row])
            found.unlike = (number, float(sums[row]))

    def _check_finite(self, block: Array, missing: Array, start: int) -> None:
        """Refuse NaN in a row with other scores, +inf, and rows of -inf alone."""
        xp = api.array_namespace(block)
        bad = (xp.isnan(block) & ~missing[:, None]) | (block == math.inf)
        if not self.multilabel:
            bad = bad | xp.all(block == -math.inf, axis=1)[:, None]
        if bool(xp.any(bad)):
            row, column = _first(bad)
            value = float(block[row, column])
            where = f"{self.name}, {row_name(self.values, start + row)}"
            if value == -math.inf:
                fail(where, "a row with a finite score", "-inf in every column")
            fail(f"{where}, column {column}", "a finite number", f"{value}")

    @staticmethod
    def _without(
        block: Array,
        drop: Array,
        start: int,
        numbers: NDArray[np.int64] | None,
        dropped: list[NDArray[np.int64]],
    ) -> tuple[Array, NDArray[np.int64]]:
        """The rows that are not dropped, and their numbers; those of the others are kept."""
        of_rows = start + np.arange(len(block)) if numbers is None else numbers
        gone = as_numpy(drop)
        if gone.any():
            dropped.append(of_rows[gone])
        return block[~drop, :], of_rows[~gone]


@dataclass(frozen=True)
class Decimals:
    """Counts the decimals that all scores of some rows are rounded to; 0 where they are not."""

    values: Array

    def __call__(self, rows: slice) -> int:
        """Count those of the rows start..stop."""
        return decimals_of(as_numpy(as_floating(self.values[rows, :])))


def row_name(array: Array, row: int) -> str:
    """What messages call a row."""
    return array.row_name(row) if isinstance(array, Source) else f"row {row}"


def _first(mask: Array) -> tuple[int, int]:
    """Row and column of the first true entry."""
    xp = api.array_namespace(mask)
    flat = int(xp.argmax(xp.reshape(xp.astype(mask, xp.int8), (-1,))))
    return flat // mask.shape[1], flat % mask.shape[1]
