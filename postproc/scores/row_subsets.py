"""Predictions of some rows alone, such as those that several files share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Picked, Source


def keep_rows(predictions: Predictions, kept: NDArray[np.bool_]) -> Predictions:
    """The rows where `kept`, (n,), is true; scores that stay in a file are read when wanted."""
    if kept.all():
        return predictions
    scores, ids = predictions.scores, predictions.ids
    if isinstance(scores, Source):
        scores = Picked.of(scores, np.flatnonzero(kept), None, 0.0)
    else:
        scores = scores[np.flatnonzero(kept), :]
    predicted = predictions.predicted
    of_file = np.ones(len(kept), np.bool_) if predicted is None else predicted.copy()
    of_file[of_file] = kept
    return replace(
        predictions, scores=scores, ids=None if ids is None else ids[kept], predicted=of_file
    )


def common_rows(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Keep only the rows whose ids all predictions have; each keeps its own order.

    Raises
    ------
    ValueError
        If some have no ids, or they share none.
    """
    named = [each.ids for each in predictions if each.ids is not None]
    without = next((each.name for each in predictions if each.ids is None), None)
    if without is not None:
        mend = "name the rows of all files to match them"
        fail(without, "predictions with row ids, to find the rows that all have", "no ids", mend)
    shared = set.intersection(*(set(ids.tolist()) for ids in named))
    if not shared:
        names = ", ".join(each.name for each in predictions)
        fail("ids", f"shared by some rows of {names}", "none that all have")
    kept = [np.array([name in shared for name in ids.tolist()], np.bool_) for ids in named]
    return [keep_rows(*each) for each in zip(predictions, kept, strict=True)]
