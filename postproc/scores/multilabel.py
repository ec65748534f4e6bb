"""Multi-label tasks as tasks of two classes: every label of every row is a row of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array
from postproc.scores.binary import POSITIVE, as_column, two_columns
from postproc.scores.checks import fail
from postproc.scores.kinds import LEAST_PROBABILITY
from postproc.scores.predictions import Predictions
from postproc.scores.prior import check_multilabels
from postproc.scores.sources import Source, as_source, signature_of

#: Rows that are looked at to see whether labels exclude each other.
SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class LabelRows(Source):
    """Both classes of every label of multi-label scores (n, m), shape (n·m, 2), row by row."""

    scores: Any
    kind: str

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the scores
        """One row for each label of a row, and two columns."""
        n_rows, n_labels = self.scores.shape
        return int(n_rows * n_labels), 2

    @property
    def dtype(self) -> Any:  # type: ignore[override]
        """That of the two columns."""
        return self.read(slice(0, 0)).dtype

    @property
    def device(self) -> Any:  # type: ignore[override]
        """That of the scores."""
        return api.device(self.scores)

    def row_name(self, row: int) -> str:
        """What the scores call the row, and the label."""
        number, label = divmod(row, int(self.scores.shape[1]))
        whole = self.scores
        name = whole.row_name(number) if isinstance(whole, Source) else f"row {number}"
        return f"{name}, column {label}"

    def verify(self) -> None:
        """Check the files of the scores."""
        if isinstance(self.scores, Source):
            self.scores.verify()

    def read(self, rows: slice) -> Array:
        """Read the two-class rows start..stop."""
        n_labels = int(self.scores.shape[1])
        first, last = rows.start // n_labels, -(-rows.stop // n_labels)
        block = self.scores[first : max(first, last), :]
        flat = api.array_namespace(block).reshape(block, (-1,))
        start = rows.start - first * n_labels
        column = as_column(flat[start : start + rows.stop - rows.start])
        return two_columns(column, self.kind)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """That of the scores."""
        return api.array_namespace(self.scores)

    def signature(self) -> dict[str, Any]:
        """That of the scores, and how they are read."""
        return {**signature_of(self.scores), "labels of": self.kind}


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
