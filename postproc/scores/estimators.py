"""What scikit-learn expects of every classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import check_labels, fail
from postproc.scores.frames.arguments import takes_frames


class ScoreMixin:
    """Accuracy as `score`, by which scikit-learn's searches choose parameters."""

    @takes_frames("scores", labels={"y": "scores"})
    def score(self, scores: Array, y: Any) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Scores of the kind seen in `fit`.
        y : array_like of shape (n,)
            Labels; (n, C) zeros and ones with `multilabel`, where a row counts as a whole.

        Returns
        -------
        float
            Share of the rows that are right.

        Raises
        ------
        TypeError, ValueError
            If scores or labels are not valid.
        """
        predicted = as_numpy(self.predict(scores))  # type: ignore[attr-defined]
        if predicted.ndim == 2:
            return float(np.mean((predicted == as_numpy(y)).all(axis=1)))
        n_classes = self.n_features_in_  # type: ignore[attr-defined]
        labels = check_labels(y, n_classes=n_classes, n_rows=len(predicted), name="y")
        if not len(labels):
            fail("y", "one label or more", "none")
        return float(np.mean(predicted == labels))
