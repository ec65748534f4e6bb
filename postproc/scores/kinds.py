"""Kind of scores: logits or probabilities, decided once for a whole array and never guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import array_api_compat as api

from postproc.scores.arrays import Array, as_array, as_floating, log_softmax, row_sums, softmax
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

Kind = Literal["logits", "probs"]

#: How far the sum of a row of probabilities may lie from 1.
SUM_TOLERANCE = 1e-3
SUM_TOLERANCE_FLOAT16 = 1e-2

#: Exact zeros of probabilities count as this in logarithms: the least normal float32.
LEAST_PROBABILITY = 1.1754943508222875e-38


def check_scores(
    scores: Array,
    *,
    kind: Kind | None = None,
    name: str = "scores",
    multilabel: bool = False,
    narrow: bool = False,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> tuple[Array, Kind]:
    """Validate an (n, C) array of scores and say what kind it is.

    The kind is `probs` if every row lies in [0, 1] and sums to 1 within 1e-3 (1e-2 for 16-bit
    floats), `logits` if any value lies outside [0, 1]; anything else is ambiguous. The whole
    array is read, in blocks.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores of n rows for C >= 2 classes (C >= 1 labels with `multilabel`).
    kind : {"logits", "probs"}, optional
        The declared kind; it is validated. Without it the kind is detected.
    name : str
        What messages call the scores: an argument or a file.
    multilabel : bool
        Every column is a two-class problem of its own, so rows need not sum to 1.
    narrow : bool
        The scores come from 16-bit floats, also if they have been widened since.
    map_blocks : MapBlocks
        Where blocks of rows are computed.
    sizes : Sizes
        How large these are.

    Returns
    -------
    scores : array or tensor of shape (n, C)
        The scores, unchanged.
    kind : {"logits", "probs"}
        What they are.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If they are not two-dimensional, have too few columns, hold NaN or infinity (row and column
        are named), contradict the declared kind, or could be either kind.

    Examples
    --------
    >>> check_scores([[0.25, 0.75]])[1], check_scores([[0.25, 1.75]])[1]
    ('probs', 'logits')
    """
    array = scores if isinstance(scores, Source) else as_array(scores, name)
    declared = None if kind is None else cast(Kind, check_choice(kind, "kind", ("logits", "probs")))
    least = 1 if multilabel else 2
    if array.ndim != 2:
        rule = "two-dimensional, (rows, classes)"
        fail(name, rule, f"shape {tuple(array.shape)}", _label_hint(array))
    if array.shape[1] < least:
        what = "label" if multilabel else "classes"
        rule = f"an array of {least} or more {what}"
        fail(name, rule, f"{array.shape[1]} column(s)", _label_hint(array))
    tolerance = SUM_TOLERANCE_FLOAT16 if narrow or _is_narrow(array) else SUM_TOLERANCE
    values = array.detach() if api.is_torch_array(array) else array  # floats leave the graph
    check = CheckRows(values, name, math.inf if multilabel else tolerance, sizes)
    outside: tuple[int, int, float] | None = None
    unlike: tuple[int, float] | None = None
    cuts = row_cuts(array.shape[0], array.shape[1], sizes)
    for found in map_blocks(check, cuts, f"checking {name}"):
        outside = outside or found.outside
        unlike = unlike or found.unlike
    return array, _decide(declared, outside, unlike, check, array)


@dataclass(frozen=True)
class Found:
    """What speaks of the kind in some rows.

    Attributes
    ----------
    outside : (row, column, value), optional
        The first score outside [0, 1].
    unlike : (row, sum), optional
        The first row that does not sum to 1.
    """

    outside: tuple[int, int, float] | None
    unlike: tuple[int, float] | None


@dataclass(frozen=True)
class CheckRows:
    """Looks through rows of scores for what is not finite, outside [0, 1] or of another sum."""

    values: Array
    name: str
    tolerance: float
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> Found:
        """Look through the rows start..stop."""
        outside: tuple[int, int, float] | None = None
        unlike: tuple[int, float] | None = None
        for part in sub_blocks(rows, self.values.shape[1], self.sizes.cached):
            block = as_floating(self.values[part, :])
            xp = api.array_namespace(block)
            low, high = float(xp.min(block)), float(xp.max(block))  # NaN if any entry is
            if not math.isfinite(low) or not math.isfinite(high):
                row, column = _first(~xp.isfinite(block))
                where = f"{self.name}, {_row_name(self.values, part.start + row)}, column {column}"
                fail(where, "a finite number", f"{float(block[row, column])}")
            if outside is None and (low < 0 or high > 1):
                row, column = _first((block < 0) | (block > 1))
                outside = (part.start + row, column, float(block[row, column]))
            if unlike is None and outside is None and self.tolerance < math.inf:
                sums = row_sums(block)
                bad = xp.abs(sums - 1) > self.tolerance
                if xp.any(bad):
                    row = int(xp.argmax(xp.astype(bad, xp.int8)))
                    unlike = (part.start + row, float(sums[row]))
        return Found(outside, unlike)


def _decide(
    declared: Kind | None,
    outside: tuple[int, int, float] | None,
    unlike: tuple[int, float] | None,
    check: CheckRows,
    array: Array,
) -> Kind:
    values, name, tolerance = check.values, check.name, check.tolerance
    if declared == "logits" or (declared is None and outside is not None):
        return "logits"
    if outside is not None:
        row, column, value = outside
        where = f"{name}, {_row_name(array, row)}, column {column}"
        mend = _mend(values, row, tolerance)
        fail(where, "in [0, 1] for probabilities", f"{value:g}", mend)
    if unlike is not None and declared == "probs":
        row, total = unlike
        rule = f"a row that sums to 1 within {tolerance:g} for probabilities"
        where = f"{name}, {_row_name(array, row)}"
        fail(where, rule, f"a sum of {total:g}", _mend(values, row, tolerance))
    if unlike is not None:
        row, total = unlike
        fail(
            name,
            "clearly logits or clearly probabilities",
            f"values all in [0, 1] whose {_row_name(array, row)} sums to {total:g}",
            'declare the kind: kind="logits" or kind="probs" (--logits or --probs)',
        )
    return "probs"


def _mend(values: Array, row: int, tolerance: float) -> str:
    """How to make probabilities of a row that was declared to be, where that can be seen."""
    block = as_floating(values[row : row + 1, :])
    xp = api.array_namespace(block)
    low, high, total = float(xp.min(block)), float(xp.max(block)), float(row_sums(block)[0])
    if tolerance < math.inf and low >= 0 and abs(total - 100) <= 1:
        return "divide by 100"
    if tolerance < math.inf and 0.9 < total < 1.1 and -SUM_TOLERANCE <= low <= high <= 1.1:
        inside = low >= 0 and high <= 1
        return "renormalize the rows (divide each by its sum)" if inside else "clip them to [0, 1]"
    return "declare logits if they are"


def probabilities(scores: Array, kind: Kind) -> Array:
    """Turn checked scores into probabilities whose rows sum to 1, in float32 or float64.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores that `check_scores` has passed.
    kind : {"logits", "probs"}
        Logits pass through the softmax, probabilities are renormalized.

    Returns
    -------
    array or tensor of shape (n, C)
        Float64 for float64 and integer scores, else float32.
    """
    if kind == "logits":
        return softmax(scores)
    x = as_floating(scores)
    return x / row_sums(x)[:, None]


def log_probabilities(scores: Array, kind: Kind) -> Array:
    """Turn checked scores into normalized log-probabilities; exact zeros count as 1.2e-38.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores that `check_scores` has passed.
    kind : {"logits", "probs"}
        Logits pass through the log-softmax, probabilities through the logarithm.

    Returns
    -------
    array or tensor of shape (n, C)
        Finite log-probabilities, float64 for float64 and integer scores, else float32.
    """
    if kind == "logits":
        return log_softmax(scores)
    x = probabilities(scores, kind)
    xp = api.array_namespace(x)
    return xp.log(xp.clip(x, LEAST_PROBABILITY, None))


def two_class_rows(scores: Array, kind: Kind) -> Array:
    """Turn checked multi-label scores (n, m) into n·m rows [p, 1 - p] of two classes.

    Parameters
    ----------
    scores : array or tensor of shape (n, m)
        One column a label; logits pass through the logistic function.
    kind : {"logits", "probs"}
        What the scores are.

    Returns
    -------
    array or tensor of shape (n·m, 2)
        Probabilities of "has the label" and "has it not", label after label within a row.
    """
    x = as_floating(scores)
    xp = api.array_namespace(x)
    flat = xp.reshape(x, (-1,))
    if kind == "logits":
        return softmax(xp.stack([flat, xp.zeros_like(flat)], axis=1))
    return xp.stack([flat, 1 - flat], axis=1)


def _row_name(array: Array, row: int) -> str:
    return array.row_name(row) if isinstance(array, Source) else f"row {row}"


def _label_hint(array: Array) -> str:
    """Say that what is no array of scores looks like labels, where it does."""
    xp = api.array_namespace(array)
    is_column = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)
    if is_column and xp.isdtype(array.dtype, "integral"):
        return "one column of integers looks like labels, not predictions"
    return ""


def _is_narrow(array: Array) -> bool:
    xp = api.array_namespace(array)
    return bool(xp.isdtype(array.dtype, "real floating") and xp.finfo(array.dtype).bits < 32)


def _first(mask: Array) -> tuple[int, int]:
    """Row and column of the first true entry."""
    xp = api.array_namespace(mask)
    flat = int(xp.argmax(xp.reshape(xp.astype(mask, xp.int8), (-1,))))
    return flat // mask.shape[1], flat % mask.shape[1]
