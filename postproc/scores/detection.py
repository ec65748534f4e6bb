"""What scores are: logits, probabilities or votes, decided once for a whole array."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn, cast

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_array, as_floating, as_numpy, row_sums
from postproc.scores.blocks import (
    DEFAULT_SIZES,
    MapBlocks,
    Sizes,
    in_order,
    row_cuts,
    sub_blocks,
)
from postproc.scores.checks import check_choice, fail
from postproc.scores.sources import Source

Kind = Literal["logits", "probs", "votes"]

KINDS: tuple[Kind, ...] = ("logits", "probs", "votes")

#: How far the sum of a row of probabilities may lie from 1.
SUM_TOLERANCE = 1e-3
SUM_TOLERANCE_FLOAT16 = 1e-2

#: Sums further from 1 than this, and than rounding to the dtype explains, are worth a note.
EXACT_SUM = 1e-6

#: Sums within this share of each other count as one sum.
SHARED_SUM = 1e-2

#: Most decimals that probabilities count as rounded to, and what may be left of the last one, by
#: the width of their floats in bytes.
ROUNDED = {4: (4, 1e-3), 8: (6, 1e-7)}

SKIP = "leave them out with skip_unpredicted=True (--skip-unpredicted)"
VOTES = 'declare kind="votes" (--votes), which divides each row by its sum'
LOGITS = 'kind="logits" (--logits)'


@dataclass(frozen=True)
class Verdict:
    """What an array of scores is."""

    kind: Kind
    #: Numbers of the rows that were never predicted, ascending.
    unpredicted: NDArray[np.int64]
    #: Rows of probabilities whose sum is off by more than rounding, and the largest difference.
    n_off: int
    largest_off: float


def examine(
    scores: Array,
    *,
    kind: Kind | None = None,
    name: str = "scores",
    multilabel: bool = False,
    narrow: bool = False,
    rounded: bool = False,
    skip_unpredicted: bool = False,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> tuple[Array, Verdict]:
    """Validate an (n, C) array as `check_scores`; `rounded` allows for the decimals it is given in.

    With `skip_unpredicted` rows that are all NaN or all zero are no error but part of the verdict.
    """
    array = scores if isinstance(scores, Source) else as_array(scores, name)
    declared = None if kind is None else cast(Kind, check_choice(kind, "kind", KINDS))
    _check_shape(array, name, multilabel)
    if multilabel and declared == "votes":
        fail("kind", "logits or probs for labels that do not exclude each other", '"votes"')
    is_narrow = narrow or _bits(array) < 32
    tolerance = SUM_TOLERANCE_FLOAT16 if is_narrow else SUM_TOLERANCE
    values = array.detach() if api.is_torch_array(array) else array  # floats leave the graph
    exact = max(EXACT_SUM, array.shape[1] * (1e-2 if is_narrow else _epsilon(array)))
    check = CheckRows(values, name, tolerance, exact, multilabel, sizes)
    found = Found()
    cuts = row_cuts(array.shape[0], array.shape[1], sizes)
    for each in map_blocks(check, cuts, f"checking {name}"):
        found.merge(each)
    in_range = found.above is None and found.negative is None
    if in_range and found.unlike is not None and (rounded or declared == "probs"):
        # How numbers were rounded matters only where rows do not sum to 1.
        decimals = max(map_blocks(Decimals(values), cuts, f"checking {name}"))
        allowed = rounding(max(decimals, 1 if rounded else 2), array.shape[1])
        check = replace(check, tolerance=max(tolerance, allowed))
        if found.largest_off <= check.tolerance + 1e-9:
            found.unlike = None
    decided = decide(found, declared, check, array)
    unpredicted = found.unpredicted(zeros=decided != "logits" or declared is None)
    if len(unpredicted) and (not skip_unpredicted or len(unpredicted) == len(array)):
        _refuse_unpredicted(found, unpredicted, declared, decided, array, name)
    off = (found.n_off, found.largest_off) if decided == "probs" and not multilabel else (0, 0.0)
    return array, Verdict(decided, unpredicted, *off)


def decide(found: Found, declared: Kind | None, check: CheckRows, array: Array) -> Kind:
    """The kind of scores, from what was found in all of their rows; the only place that says so."""
    if declared == "logits":
        return "logits"
    if declared == "votes":
        _refuse_outside(found.negative, ">= 0 for votes", check, array)
        return "votes"
    if declared == "probs":
        _refuse_outside(found.outside, "in [0, 1] for probabilities", check, array)
        if found.unlike is not None:
            row, total = found.unlike
            rule = f"a row that sums to 1 within {check.tolerance:g} for probabilities"
            where = f"{check.name}, {_row_name(array, row)}"
            fail(where, rule, f"a sum of {total:g}", _advice(found))
        return "probs"
    if found.negative is not None:
        return "logits"
    if check.multilabel or not found.n_rows:
        return "probs" if found.above is None else "logits"
    if found.above is None and found.unlike is None:
        return "probs"
    clearly = "clearly logits or clearly probabilities"
    low, high = found.sums
    one_sum = math.isfinite(high) and high - low <= SHARED_SUM * high
    if found.above is not None:
        if one_sum and abs(high - 100) <= 1:
            fail(check.name, clearly, "rows that sum to 100, like percentages", VOTES)
        if one_sum and found.n_rows > 1:
            got = f"rows that all sum to {high:g}, like votes"
            if abs(high - 1) <= SHARED_SUM:
                got = f"rows that sum to 1 with {found.above[2]!r} outside [0, 1]"
            fail(check.name, clearly, got, f"{VOTES}, or {LOGITS}")
        if found.whole and math.isfinite(high):
            got = "whole numbers >= 0, like counts of votes"
            fail(check.name, clearly, got, f"{VOTES}, or {LOGITS}")
        return "logits"
    assert found.unlike is not None
    row, total = found.unlike
    got = f"values all in [0, 1] whose {_row_name(array, row)} sums to {total:g}"
    return fail(check.name, clearly, got, f"{_advice(found)}, or {LOGITS}")


def _advice(found: Found) -> str:
    """What to declare of values in [0, 1] whose rows do not all sum to 1."""
    low, high = found.sums
    if high - low <= SHARED_SUM * high or max(abs(low - 1), abs(high - 1)) < 0.1:
        return f"if they are probabilities that were not normalized, {VOTES}"
    return "if each column is a label of its own, declare multilabel=True (--multilabel)"


def rounding(decimals: int, n_classes: int) -> float:
    """How far numbers rounded to some decimals may take the sum of a row from 1."""
    return min(0.5, 0.5 * 10.0**-decimals * n_classes)


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
    #: Whether all scores are whole numbers.
    whole: bool = True
    #: Rows that were predicted, and numbers of those that are all NaN or all zero.
    n_rows: int = 0
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
        self.n_rows += other.n_rows
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

        def entry(mask: Array) -> Entry:
            row, column = _first(mask)
            number = start + row if numbers is None else int(numbers[row])
            return number, column, float(block[row, column])

        if found.negative is None and low < 0:
            found.negative = entry(block < 0)
        if found.above is None and high > 1:
            found.above = entry(block > 1)
        if found.negative is not None or self.multilabel:
            return
        found.whole = found.whole and bool(xp.all(block == xp.floor(block)))
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
            where = f"{self.name}, {_row_name(self.values, start + row)}"
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


def decimals_of(block: NDArray[np.floating]) -> int:
    """The least number of decimals that all numbers are rounded to; 99 where they are not."""
    wide = np.abs(block[np.isfinite(block)]).astype(np.float64)
    most, left = ROUNDED[block.dtype.itemsize]
    for decimals in range(1, most + 1):
        scaled = wide * 10.0**decimals
        if (np.abs(scaled - np.rint(scaled)) < left).all():
            return decimals
    return 99


def _refuse_outside(entry: Entry | None, rule: str, check: CheckRows, array: Array) -> None:
    if entry is not None:
        row, column, value = entry
        where = f"{check.name}, {_row_name(array, row)}, column {column}"
        fail(where, rule, f"{value:g}", _mend(check.values, row, sums=not check.multilabel))


def _refuse_unpredicted(
    found: Found,
    rows: NDArray[np.int64],
    declared: Kind | None,
    kind: Kind,
    array: Array,
    name: str,
) -> NoReturn:
    n_missing = sum(map(len, found.missing))
    what = (
        "all NaN" if n_missing == len(rows) else "all NaN or all zero" if n_missing else "all zero"
    )
    got = f"{len(rows)} of {len(array)} rows {what} (the first is {_row_name(array, int(rows[0]))})"
    mend = SKIP
    if len(rows) == len(array):
        mend = "it holds no predictions"
    elif declared is None and kind == "logits" and not n_missing:
        mend += f", or declare {LOGITS} if zeros are their scores"
    fail(name, "predicted in every row", got, mend)


def _mend(values: Array, row: int, *, sums: bool = True) -> str:
    """What to do about a row that leaves the range declared for it."""
    block = as_floating(values[row : row + 1, :])
    xp = api.array_namespace(block)
    low, high, total = float(xp.min(block)), float(xp.max(block)), float(row_sums(block)[0])
    if sums and low >= 0 and abs(total - 100) <= 1:
        return f"percentages? {VOTES}"
    if sums and 0.9 < total < 1.1 and -SUM_TOLERANCE <= low <= high <= 1.1:
        return "clip them to [0, 1]"
    return "declare logits if they are"


def _check_shape(array: Array, name: str, multilabel: bool) -> None:
    if array.ndim != 2:
        rule = "two-dimensional, (rows, classes)"
        fail(name, rule, f"shape {tuple(array.shape)}", _hint(array))
    least = 1 if multilabel else 2
    if array.shape[1] < least:
        what = "label" if multilabel else "classes"
        rule = f"an array of {least} or more {what}"
        fail(name, rule, f"{array.shape[1]} column(s)", _hint(array))


def _hint(array: Array) -> str:
    """Say what an array of another shape looks like, where that can be seen."""
    xp = api.array_namespace(array)
    if array.ndim == 3:
        return "load the members of an (m, n, C) stack one by one, with load_members"
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        if xp.isdtype(array.dtype, "integral"):
            return "one column of integers looks like labels, not predictions"
        return "of a binary task, give both columns, 1 - p and p (for a logit z, 0 and z)"
    return ""


def _row_name(array: Array, row: int) -> str:
    return array.row_name(row) if isinstance(array, Source) else f"row {row}"


def _bits(array: Array) -> int:
    xp = api.array_namespace(array)
    floating = xp.isdtype(array.dtype, "real floating")
    return int(xp.finfo(array.dtype).bits) if floating else 64


def _epsilon(array: Array) -> float:
    return float(np.finfo(np.float32 if _bits(array) <= 32 else np.float64).eps)


def _first(mask: Array) -> tuple[int, int]:
    """Row and column of the first true entry."""
    xp = api.array_namespace(mask)
    flat = int(xp.argmax(xp.reshape(xp.astype(mask, xp.int8), (-1,))))
    return flat // mask.shape[1], flat % mask.shape[1]
