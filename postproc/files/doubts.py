"""Doubts about the kind of scores: logits that look like probabilities, or are on another scale."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.files.shards import ShardSource
from postproc.scores.arrays import as_floating, as_numpy
from postproc.scores.binary_labels import POSITIVE
from postproc.scores.codes import coded
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.rounding import SUM_TOLERANCE_FLOAT16

#: Rows are sampled in so many blocks, evenly spread, each of so many rows and bytes at most.
SAMPLE_BLOCKS = 4
SAMPLE_ROWS = 256
SAMPLE_BYTES = 2**20

#: The first rows of each shard that are sampled.
SHARD_ROWS = 64

#: How far below zero an entry may lie, and how far off the sum of a row, for a sum of 1.
ENTRY_TOLERANCE = 1e-3
SUM_TOLERANCE = 1e-2

#: The share of rows that must look alike.
NEARLY_ALL = 0.95

#: Fewer rows may be in order by chance.
LEAST_ROWS = 20

#: Difference of two logits from which a probability of 64 bits rounds to 1, and share of the rows.
CERTAIN = 36.8
SATURATED = 0.5

#: What rows look like, by their sum.
LOOKS = {None: "logits", 1: "probabilities", 100: "percentages"}


def order_doubts(predictions: Predictions) -> list[str]:
    """Say where scores fall from left to right in every row, as those of top-k lists do."""
    if predictions.n_classes < 3 or predictions.labels_only or predictions.multilabel:
        return []
    sample = np.concatenate([_rows(predictions, rows) for rows in _sampled(predictions)])
    falls = (sample[:, 1:] <= sample[:, :-1]).all() and (sample[:, 0] > sample[:, -1]).all()
    if len(sample) < LEAST_ROWS or not falls:
        return []
    said = (
        f"{predictions.name}: scores fall from left to right in every row; are they top-k lists, "
        "with other classes in each row?"
    )
    return [coded("sorted-scores", said)]


def kind_doubts(predictions: Predictions, *, declared: bool = False) -> list[str]:
    """Say where scores are read as logits, or labels, though their rows look like probabilities.

    One negative value makes logits of a whole file. A few blocks of rows are sampled; the others
    are read only where there is a doubt, up to that value.
    """
    name = predictions.name
    labels = predictions.multilabel
    if predictions.kind != "logits":
        return _exclusive_doubts(predictions) if labels else _top_doubts(predictions)
    if isinstance(predictions.scores, ShardSource) and not labels:
        odd = _odd_shards(predictions, predictions.scores)
        if odd is not None:
            return [coded("kind", f"{name}: {odd}; all are read as logits")]
    sample = np.concatenate([_rows(predictions, rows) for rows in _sampled(predictions)])
    lost = _saturation_doubts(predictions, sample)
    if lost or labels:
        return lost
    inside = bool(sample.min() >= 0 and sample.max() <= 1)
    total = _common_sum(sample)
    if (total is None or declared) and not inside:
        return []
    value = None if declared else _first_outside(predictions)
    if value is None:  # the values alone would not have made logits of them
        if _are_probabilities(sample):
            said, mend = "every row sampled is a probability vector", "--probs"
        else:
            said = "every score sampled lies in [0, 1]"
            mend = "--probs" if predictions.column is not None else "--multilabel or --probs"
        told = f"{name}: declared logits, but {said}; declare {mend} if they are"
        return [coded("kind", told)]
    if total is None:
        return []
    mend = "declare --votes" if total == 100 else "declare --probs (after clipping) or --logits"
    told = (
        f"{name} is read as logits since {value!s} lies outside [0, 1], but its rows sum to "
        f"{total}: {mend}"
    )
    return [coded("kind", told)]


def _saturation_doubts(predictions: Predictions, sample: NDArray[np.floating]) -> list[str]:
    """Say where most rows have logits so far apart that their probabilities round to 0 and 1."""
    margins = abs(sample).reshape(-1)
    if not predictions.multilabel:
        second, first = np.partition(sample, -2, axis=1)[:, -2:].T
        margins = first - second  # infinite beside probabilities of exactly 0
    certain = np.isfinite(margins) & (margins > CERTAIN)
    lost = certain.mean()
    if len(margins) < LEAST_ROWS or lost <= SATURATED or not np.ptp(margins[certain]):
        return []
    scores = sample[:, POSITIVE] if predictions.column is not None else sample
    finite = scores[np.isfinite(scores)]
    ends = "0 and 1"
    if predictions.column is not None and (finite.min() > 0 or finite.max() < 0):
        ends = "1" if finite.min() > 0 else "0"
    share = "all" if lost == 1 else f"{100 * lost:.0f} % of the"
    ranks = predictions.multilabel or predictions.n_classes == 2
    mend = "postproc calibrate makes probabilities of them"
    if ranks:
        mend = f"metrics of their order (auc, average_precision) hold; {mend}"
    told = (
        f"{predictions.name}: scores from {finite.min():g} to {finite.max():g} read as logits give "
        f"probability {ends} for {share} rows sampled, so log-loss and the like say nothing if "
        f"they are on another scale; {mend}"
    )
    return [coded("saturated-logits", told)]


def _top_doubts(predictions: Predictions) -> list[str]:
    """Say where no row of one column lies below 1/2, as none of a predicted class does."""
    if predictions.column is None or predictions.n_rows < LEAST_ROWS:
        return []
    sample = np.concatenate([_rows(predictions, rows) for rows in _sampled(predictions)])
    if sample[:, POSITIVE].min() < 0.5:
        return []
    told = (
        f"{predictions.name}: no probability of the positive class lies below 1/2; are these the "
        "scores of predicted classes?"
    )
    return [coded("kind", told)]


def _exclusive_doubts(predictions: Predictions) -> list[str]:
    """Say where rows of labels sum to 1, as those of classes that exclude each other do."""
    if predictions.n_classes < 2:
        return []
    sample = np.concatenate([_rows(predictions, rows) for rows in _sampled(predictions)])
    if len(sample) < LEAST_ROWS or not _are_probabilities(sample):
        return []
    told = (
        f"{predictions.name}: every row sampled sums to 1; omit --multilabel if its classes "
        "exclude each other"
    )
    return [coded("kind", told)]


def _sampled(predictions: Predictions) -> Iterator[slice]:
    n_rows = predictions.n_rows
    length = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // (8 * predictions.n_classes)))
    if n_rows <= SAMPLE_BLOCKS * length:
        yield slice(0, n_rows)
        return
    for start in np.linspace(0, n_rows - length, SAMPLE_BLOCKS).astype(np.int64).tolist():
        yield slice(start, start + length)


def _rows(predictions: Predictions, rows: slice) -> NDArray[np.floating]:
    scores = predictions.scores
    values = scores.detach() if api.is_torch_array(scores) else scores
    return as_numpy(as_floating(values[rows, :]))


def _common_sum(block: NDArray[np.floating]) -> int | None:
    """1 or 100 where nearly all rows look like parts of that, else None."""
    lowest, sums = block.min(axis=1), block.sum(axis=1, dtype=np.float64)
    for total in (1, 100):
        alike = (lowest >= -ENTRY_TOLERANCE * total) & (abs(sums - total) <= SUM_TOLERANCE * total)
        if alike.mean() >= NEARLY_ALL:
            return total
    return None


def _are_probabilities(block: NDArray[np.floating]) -> bool:
    sums = block.sum(axis=1, dtype=np.float64)
    return bool((abs(sums - 1) <= SUM_TOLERANCE_FLOAT16).all())


def _first_outside(predictions: Predictions) -> Any:
    """The first score outside [0, 1], None if none is."""
    for rows in predictions.blocks():
        block = _rows(predictions, rows)
        outside = block[(block < 0) | (block > 1)]
        if outside.size:
            return outside[0]
    return None


def _odd_shards(predictions: Predictions, source: ShardSource) -> str | None:
    """Name the shards whose first rows look otherwise than those of most shards."""
    alike: dict[int | None, list[str]] = {}
    for shard, (start, stop) in zip(source.shards, pairwise(source.edges), strict=True):
        if stop > start:
            first = _rows(predictions, slice(start, min(stop, start + SHARD_ROWS)))
            alike.setdefault(_common_sum(first), []).append(Path(shard.path).name)
    if len(alike) == 1:
        return None
    # Of as many of each, those that are no logits are the odd ones.
    groups = sorted(alike.items(), key=lambda group: (len(group[1]), group[0] is None))
    (odd, names), (usual, _) = groups[0], groups[-1]
    verb = "looks" if len(names) == 1 else "look"
    return f"{first_few(names)} {verb} like {LOOKS[odd]}, the others like {LOOKS[usual]}"
