"""What scikit-learn expects of every classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from postproc.scores.arrays import Array, as_numpy
from postproc.scores.binary import winners
from postproc.scores.checks import check_labels, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.prior import check_multilabels


class ClassesMixin:
    """`classes_`, from the class names that `fit` was given."""

    class_names_: list[str] | None

    #: Whether every column is a label of its own.
    multilabel_: bool = False

    @property
    def classes_(self) -> NDArray[Any]:
        """Class names, or 0..C-1 if there are none, shape (C,)."""
        if self.class_names_ is not None:
            return np.asarray(self.class_names_)
        return np.arange(getattr(self, "n_classes_", None) or self.n_features_in_)  # type: ignore[attr-defined]


class ScoreMixin(ClassesMixin, ClassifierMixin):  # type: ignore[misc]  # scikit-learn is untyped
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
        predicted = as_numpy(self.predict(scores))
        if not len(predicted):
            fail("scores", "an array of one row or more", "no row")
        if predicted.ndim == 2:
            matrix = check_multilabels(y, shape=predicted.shape, name="y")
            return float(np.mean((predicted == matrix).all(axis=1)))
        n_classes = self.n_features_in_
        labels = check_labels(y, n_classes=n_classes, n_rows=len(predicted), name="y")
        return float(np.mean(predicted == labels))


class ProbabilityMixin(ScoreMixin):
    """`predict`, where there is `predict_proba`."""

    @takes_frames("scores", returns="classes")
    def predict(self, scores: Array) -> Array:
        """Most probable class of each row, the lowest of tied ones.

        Of labels that do not exclude each other zeros and ones, (n, C): 1 where the probability is
        1/2 or more.
        """
        return winners(self.predict_proba(scores), multilabel=self.multilabel_)
