"""What scores are: logits, probabilities or votes, decided once for a whole array."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NoReturn, cast

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_array, as_floating, row_sums
from postproc.scores.binary import TwoColumns, as_column, is_one_column, two_columns
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order, row_cuts
from postproc.scores.checks import check_choice, fail
from postproc.scores.findings import CheckRows, Decimals, Entry, Found, row_name
from postproc.scores.rounding import SUM_TOLERANCE, SUM_TOLERANCE_FLOAT16, rounding
from postproc.scores.sources import Percent, Source

Kind = Literal["logits", "probs", "votes"]

KINDS: tuple[Kind, ...] = ("logits", "probs", "votes")

#: Sums further from 1 than this, and than rounding to the dtype explains, are worth a note.
EXACT_SUM = 1e-6

#: Sums within this share of each other count as one sum.
SHARED_SUM = 1e-2

SKIP = "leave them out with skip_unpredicted=True (--skip-unpredicted)"
VOTES = 'declare kind="votes" (--votes), which divides each row by its sum'
LOGITS = 'kind="logits" (--logits)'
EITHER = f'declare kind="probs" (--probs) or {LOGITS}'

#: How far rounding may take a probability in one column out of [0, 1].
SLACK = 1e-3

#: One column without a negative score holds percentages if the largest lies between these.
PERCENT = (20, 100)

#: Declared probabilities are percentages if the largest exceeds this, and at least this share of
#: the scores 1: neither rounding nor a few slips take probabilities there.
PERCENT_DECLARED = (1.5, 0.1)

#: What is said of percentages that are declared probabilities.
PERCENT_NOTE = "percentages, from {0:g} to {1:g}, declared as probabilities: divided by 100"


@dataclass(frozen=True)
class Verdict:
    """What an array of scores is."""

    kind: Kind
    #: Numbers of the rows that were never predicted, ascending.
    unpredicted: NDArray[np.int64]
    #: Rows of probabilities whose sum is off by more than rounding, and the largest difference.
    n_off: int
    largest_off: float
    #: Least and largest of percentages, which were divided by 100.
    percent: tuple[float, float] | None = None


def examine(
    scores: Array,
    *,
    kind: Kind | None = None,
    name: str = "scores",
    multilabel: bool = False,
    narrow: bool = False,
    rounded: bool = False,
    skip_unpredicted: bool = False,
    any_scale: bool = False,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> tuple[Array, Verdict]:
    """Validate an (n, C) array as `check_scores`; `rounded` allows for the decimals it is given in.

    With `skip_unpredicted` rows that are all NaN or all zero are no error but part of the verdict;
    with `any_scale` one column outside [0, 1] is logits, whatever else its numbers look like. One
    column of a binary task comes back as two.
    """
    array = scores if isinstance(scores, Source) else as_array(scores, name)
    one_column = not multilabel and is_one_column(array)
    if one_column:
        array = as_column(array)
    declared = None if kind is None else cast(Kind, check_choice(kind, "kind", KINDS))
    _check_shape(array, name, multilabel)
    if multilabel and declared == "votes":
        fail("kind", "logits or probs for labels that do not exclude each other", '"votes"')
    is_narrow = narrow or _bits(array) < 32
    tolerance = SUM_TOLERANCE_FLOAT16 if is_narrow else SUM_TOLERANCE
    values = array.detach() if api.is_torch_array(array) else array  # floats leave the graph
    epsilon = float(np.finfo(np.float32 if _bits(array) <= 32 else np.float64).eps)
    exact = max(EXACT_SUM, array.shape[1] * (1e-2 if is_narrow else epsilon))
    check = CheckRows(values, name, tolerance, exact, multilabel or one_column, sizes)
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
    percent = declared == "probs" and are_percent(found, check)
    if percent:
        array = Percent(array) if isinstance(array, Source) else as_floating(array) / 100
        decided: Kind = "probs"
    elif one_column:
        is_floating = api.array_namespace(array).isdtype(array.dtype, "real floating")
        if any_scale and found.outside is not None:
            declared = declared or "logits"
        decided = decide_column(found, declared, name, is_floating=is_floating)
        if decided == "probs":
            _refuse_outside(found.outside, "in [0, 1] for probabilities", check, array)
    else:
        decided = decide(found, declared, check, array)
    unpredicted = found.unpredicted(zeros=decided != "logits" or declared is None)
    if len(unpredicted) and (not skip_unpredicted or len(unpredicted) == len(array)):
        _refuse_unpredicted(found, unpredicted, declared, decided, array, name)
    off = (found.n_off, found.largest_off) if decided == "probs" and not percent else (0, 0.0)
    if one_column:
        whole = TwoColumns(array, decided) if isinstance(array, Source) else None
        array = two_columns(array, decided) if whole is None else whole
    return array, Verdict(decided, unpredicted, *off, found.range if percent else None)


def are_percent(found: Found, check: CheckRows) -> bool:
    """Whether declared probabilities are percentages, from what was found in all rows.

    Rows of classes sum to 100; columns that stand for themselves lie in [0, 100].
    """
    low, high = found.range
    least, share = PERCENT_DECLARED
    if low < 0 or not least < high <= 100 * (1 + 1e-6):
        return False
    if not check.multilabel:
        return all(abs(total - 100) <= 1 for total in found.sums)
    if found.whole and high <= PERCENT[0]:  # labels 0, 1, 2, perhaps
        return False
    return bool(found.n_above >= share * found.n_rows * check.values.shape[1])


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
            where = f"{check.name}, {row_name(array, row)}"
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
            mend = f"{VOTES}; beside files of logits, write it anew first: postproc convert --votes"
            fail(check.name, clearly, "rows that sum to 100, like percentages", mend)
        if one_sum and found.n_rows > 1:
            got = f"rows that all sum to {high:g}, like votes"
            if abs(high - 1) <= SHARED_SUM:
                got = f"rows that sum to 1 with {found.above[2]!r} outside [0, 1]"
            fail(check.name, clearly, got, f"{VOTES}, or {LOGITS}")
        if found.whole and math.isfinite(high):
            got = "whole numbers >= 0, like counts of votes"
            fail(check.name, clearly, got, f"{VOTES}, or {LOGITS}")
        return "logits"
    n_classes = array.shape[1]
    if one_sum and n_classes > 2 and abs(high - n_classes + 1) <= SHARED_SUM:
        got = f"rows that all sum to {high:g}, like 1 - probability"
        fail(check.name, clearly, got, f"save 1 - scores if they are; else {VOTES}, or {LOGITS}")
    assert found.unlike is not None
    row, total = found.unlike
    got = f"values all in [0, 1] whose {row_name(array, row)} sums to {total:g}"
    return fail(check.name, clearly, got, f"{_advice(found)}, or {LOGITS}")


def decide_column(found: Found, declared: Kind | None, name: str, *, is_floating: bool) -> Kind:
    """The kind of one column of the positive class, from what was found in all of its rows."""
    low, high = found.range
    if declared == "votes":
        fail(name, "an array with a column for each class to be read as votes", "one column")
    if declared is not None:
        return declared
    clearly = "a column that is clearly a probability or a logit of the positive class"
    shown = f"values from {low:g} to {high:g}"
    if found.n_rows and found.whole and (low >= -1 or not is_floating):
        numbers = "zeros and ones" if low >= 0 and high <= 1 else "whole numbers"
        mend = f"one column of integers looks like labels, not predictions; if not, {EITHER}"
        fail(name, clearly, f"only {numbers}", mend)
    if low >= 0 and high <= 1:
        return "probs"
    if low >= -SLACK and high <= 1 + SLACK:
        fail(name, clearly, shown, f"clip probabilities to [0, 1], or {EITHER}")
    if low >= 0 and PERCENT[0] < high <= PERCENT[1]:
        by_100 = f'declare kind="probs" (--probs), which divides them by 100, or {LOGITS}'
        if found.n_above < PERCENT_DECLARED[1] * found.n_rows:
            by_100 = f"divide them by 100, or declare {LOGITS}"
        fail(name, clearly, f"{shown}, like percentages", by_100)
    return "logits"


def _advice(found: Found) -> str:
    """What to declare of values in [0, 1] whose rows do not all sum to 1."""
    low, high = found.sums
    if high - low <= SHARED_SUM * high or max(abs(low - 1), abs(high - 1)) < 0.1:
        return f"if they are probabilities that were not normalized, {VOTES}"
    return "if each column is a label of its own, declare multilabel=True (--multilabel)"


def _refuse_outside(entry: Entry | None, rule: str, check: CheckRows, array: Array) -> None:
    if entry is not None:
        row, column, value = entry
        where = f"{check.name}, {row_name(array, row)}, column {column}"
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
    what = "all NaN or all zero" if n_missing else "all zero"
    if n_missing == len(rows):
        what = "all NaN"
    got = f"{len(rows)} of {len(array)} rows {what} (the first is {row_name(array, int(rows[0]))})"
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
        mend = ""
        if array.ndim == 3:
            mend = (
                "an (m, n, C) stack holds m members, which ensemble, auto, report and inspect take "
                "(in Python, load_members)"
            )
        fail(name, "two-dimensional, (rows, classes)", f"shape {tuple(array.shape)}", mend)
    if array.shape[1] < 1:
        what = "label" if multilabel else "column"
        fail(name, f"an array of 1 or more {what}s", "0 columns")


def _bits(array: Array) -> int:
    xp = api.array_namespace(array)
    floating = xp.isdtype(array.dtype, "real floating")
    return int(xp.finfo(array.dtype).bits) if floating else 64
