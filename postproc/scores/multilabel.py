"""Multi-label tasks as tasks of two classes: every label of every row is a row of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array
from postproc.scores.binary import as_column, two_columns
from postproc.scores.binary_labels import POSITIVE
from postproc.scores.checks import fail
from postproc.scores.kinds import LEAST_PROBABILITY
from postproc.scores.predictions import Predictions
from postproc.scores.prior import check_multilabels
from postproc.scores.sources import Derived, as_source, signature_of

#: Rows that are looked at to see whether labels exclude each other.
SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class LabelRows(Derived):
    """Both classes of every label of multi-label scores (n, m), shape (n·m, 2), row by row."""

    kind: str

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """One row for each label of a row, and two columns."""
        n_rows, n_labels = super().shape
        return n_rows * n_labels, 2

    @property
    def edges(self) -> tuple[int, ...]:
        """None, as shards hold whole rows."""
        return ()

    def row_name(self, row: int) -> str:
        """What the scores call the row, and the label."""
        number, label = divmod(row, int(self.source.shape[1]))
        return f"{super().row_name(number)}, column {label}"

    def read(self, rows: slice) -> Array:
        """Read the two-class rows start..stop."""
        n_labels = int(self.source.shape[1])
        first, last = rows.start // n_labels, -(-rows.stop // n_labels)
        block = self.source[first : max(first, last), :]
        flat = api.array_namespace(block).reshape(block, (-1,))
        start = rows.start - first * n_labels
        column = as_column(flat[start : start + rows.stop - rows.start])
        return two_columns(column, self.kind)

    def signature(self) -> dict[str, Any]:
        """That of the scores, and how they are read."""
        return {**signature_of(self.source), "labels of": self.kind}


def two_class(predictions: Predictions) -> Predictions:
    """Multi-label predictions (n, m) as n·m rows of two classes, the positive one second."""
    rows = LabelRows(as_source(predictions.scores), predictions.kind)
    return replace(
        predictions, scores=rows, classes=None, ids=None, predicted=None, multilabel=False
    )


def label_scores(both: Array, n_labels: int) -> Array:
    """Probabilities of n·m rows of two classes as those of m labels, shape (n, m)."""
    return api.array_namespace(both).reshape(both[:, POSITIVE], (-1, n_labels))


def label_log_odds(scores: Array, kind: str) -> Array:
    """Log-odds (n, m) of multi-label scores in float64, within ±87 as zeros count as 1.2e-38."""
    xp = api.array_namespace(scores)
    x = xp.astype(scores, xp.float64)
    if kind != "logits":
        x = xp.log(xp.clip(x, LEAST_PROBABILITY, None)) - xp.log(
            xp.clip(1 - x, LEAST_PROBABILITY, None)
        )
    most = -math.log(LEAST_PROBABILITY)
    return xp.clip(x, -most, most)


def check_label_matrix(
    labels: Any, predictions: Predictions, *, name: str = "labels"
) -> NDArray[np.int8]:
    """Labels (n, m) of zeros and ones; ValueError if they and the predictions look exclusive."""
    shape = (predictions.n_rows, predictions.n_classes)
    found = check_multilabels(labels, shape=shape, name=name)
    if predictions.kind != "probs" or min(shape) < 2 or not (found.sum(axis=1) == 1).all():
        return found
    sample = np.asarray(predictions.scores[: min(SAMPLE_ROWS, shape[0]), :], dtype=np.float64)
    if (np.abs(sample.sum(axis=1) - 1) < 1e-3).all():
        got = f"one label in each row, and rows of {predictions.name} that sum to 1"
        mend = "omit multilabel (--multilabel), and give the class of each row"
        fail(name, "labels that do not exclude each other", got, mend)
    return found
