"""Kind of scores: logits, probabilities or votes, and what each is turned into."""

from __future__ import annotations

import math
import warnings

import array_api_compat as api

from postproc.scores.arrays import Array, as_array, as_floating, log_softmax, row_sums, softmax
from postproc.scores.binary import as_column, is_one_column, like_given, two_columns
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.codes import coded
from postproc.scores.detection import PERCENT_NOTE, Kind, examine
from postproc.scores.frames.arguments import takes_frames

__all__ = ["Kind", "check_scores", "log_probabilities", "probabilities", "two_class_rows"]

#: Exact zeros of probabilities count as this in logarithms: the least normal float32.
LEAST_PROBABILITY = 1.1754943508222875e-38
LOG_LEAST = math.log(LEAST_PROBABILITY)


@takes_frames("scores")
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
    floats), and `logits` if a value is negative, or if some exceed 1 and the rows do not share one
    sum; anything else is ambiguous. One column is binary: a probability of the positive class if
    all values lie in [0, 1], else a logit. The whole array is read, in blocks.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores of n rows for C >= 2 classes (C >= 1 labels with `multilabel`), or one column (n,)
        or (n, 1) of a binary task.
    kind : {"logits", "probs", "votes"}, optional
        The declared kind; it is validated. Without it the kind is detected. Logits may be -inf, a
        probability of exactly 0, while one entry of the row is finite. Votes are counts >= 0; they
        are divided by the row's sum. Declared probabilities that lie in [0, 100], at least a tenth
        of them above 1 and the largest above 1.5, are percentages and divided by 100; rows of
        classes must sum to 100.
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
        The scores, unchanged but for percentages; one column as two, [1 - p, p] or [0, z] of
        logits z.
    kind : {"logits", "probs", "votes"}
        What they are.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If they are not two-dimensional, have too few columns, hold NaN or +inf (row and column are
        named), rows that are all NaN or all zero (they are counted), contradict the declared kind,
        or could be of either kind.

    Warns
    -----
    UserWarning
        If percentages were divided by 100.

    Examples
    --------
    >>> check_scores([[0.25, 0.75]])[1], check_scores([[0.25, 1.75]])[1]
    ('probs', 'logits')
    """
    array, verdict = examine(
        scores,
        kind=kind,
        name=name,
        multilabel=multilabel,
        narrow=narrow,
        map_blocks=map_blocks,
        sizes=sizes,
    )
    if verdict.percent is not None:
        note = PERCENT_NOTE.format(*verdict.percent)
        warnings.warn(coded("read", f"{name}: {note}"), UserWarning, stacklevel=3)
    return array, verdict.kind


@takes_frames("scores", returns="scores")
def probabilities(scores: Array, kind: Kind) -> Array:
    """Turn checked scores into probabilities whose rows sum to 1, in float32 or float64.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores that `check_scores` has passed.
    kind : {"logits", "probs", "votes"}
        Logits pass through the softmax; rows of probabilities and votes are divided by their sum.

    Returns
    -------
    array or tensor of shape (n, C)
        Float64 for float64 and integer scores, else float32.
    """
    if is_one_column(scores):
        return like_given(probabilities(both_classes(scores, kind), kind), scores)
    if kind == "logits":
        return softmax(scores)
    x = as_floating(scores)
    return x / row_sums(x)[:, None]


@takes_frames("scores", returns="scores")
def log_probabilities(scores: Array, kind: Kind) -> Array:
    """Turn checked scores into normalized log-probabilities; exact zeros count as 1.2e-38.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores that `check_scores` has passed.
    kind : {"logits", "probs", "votes"}
        Logits pass through the log-softmax, probabilities through the logarithm.

    Returns
    -------
    array or tensor of shape (n, C)
        Finite log-probabilities, float64 for float64 and integer scores, else float32.
    """
    if is_one_column(scores):
        return like_given(log_probabilities(both_classes(scores, kind), kind), scores)
    if kind == "logits":
        logs = log_softmax(scores)
        xp = api.array_namespace(logs)
        if not len(logs) or float(xp.min(logs)) > LOG_LEAST:
            return logs
        is_zero = as_floating(as_array(scores, "scores")) == -math.inf
        return xp.where(is_zero, xp.full_like(logs, LOG_LEAST), logs)
    x = probabilities(scores, kind)
    xp = api.array_namespace(x)
    return xp.log(xp.clip(x, LEAST_PROBABILITY, None))


def ordering(scores: Array, kind: Kind) -> Array:
    """What ranks the rows of checked scores (n, C) by each class: probabilities or log-odds.

    Log-odds (n, 2) are those of two classes with logits, whose probabilities may round to 0 or 1.
    """
    if kind != "logits" or scores.shape[1] != 2:
        return probabilities(scores, kind)
    x = as_floating(scores)
    odds = x[:, 1] - x[:, 0]
    return api.array_namespace(x).stack([-odds, odds], axis=1)


def both_classes(scores: Array, kind: Kind) -> Array:
    """Scores of both classes, (n, 2), of one column, (n,) or (n, 1)."""
    return two_columns(as_column(as_array(scores, "scores")), kind)


def two_class_rows(scores: Array, kind: Kind) -> Array:
    """Checked multi-label scores (n, m) as probabilities [p, 1 - p], (n·m, 2), row after row."""
    x = as_floating(scores)
    xp = api.array_namespace(x)
    flat = xp.reshape(x, (-1,))
    if kind == "logits":
        return softmax(xp.stack([flat, xp.zeros_like(flat)], axis=1))
    return xp.stack([flat, 1 - flat], axis=1)
