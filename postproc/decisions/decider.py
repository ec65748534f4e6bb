"""Estimators that learn from labelled rows how to decide others: what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import array_api_compat as api
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from postproc.decisions.rules import DecideRows, Floats, Ints, Rule, probabilities_of
from postproc.scores.arrays import Array
from postproc.scores.checks import check_labels, fail
from postproc.scores.estimators import ClassesMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import check_label_matrix
from postproc.scores.predictions import Predictions


class Decider(ClassesMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Base of all deciders. A subclass has `_check_options`, `_learn` and `rule_`."""

    kind: Kind | None

    #: Whether `fit` needs labels.
    needs_labels = True

    @takes_frames("scores", labels={"y": "scores"})
    def fit(self, scores: Array, y: Any = None, *, classes: Sequence[str] | None = None) -> Self:
        """Fit on labelled scores.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Logits or probabilities of rows like those to be decided.
        y : array_like of shape (n,)
            Labels, integers in 0..C-1. Of labels that do not exclude each other zeros and ones,
            shape (n, C).
        classes : sequence of C str, optional
            Class names, for aligning files later.

        Returns
        -------
        Decider
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If scores, labels or options are not valid.
        """
        self._check_options()
        given = Predictions.check(
            scores, kind=self.kind, classes=classes, name="scores", multilabel=self.multilabel_
        )
        if y is None and self.needs_labels:
            fail("y", "one label per row", None)
        labels = None
        if y is not None and self.multilabel_:
            labels = check_label_matrix(y, given, name="y").astype(np.int64)
        elif y is not None:
            shape = {"n_classes": given.n_classes, "n_rows": given.n_rows}
            labels = check_labels(y, **shape, name="y")
        if given.n_rows == 0:
            fail("scores", "an array of one row or more", "no row")
        self.kind_ = given.kind
        self.class_names_ = None if given.classes is None else list(given.classes)
        self.n_rows_, self.n_features_in_ = given.n_rows, given.n_classes
        self._learn(probabilities_of(given), labels)
        return self

    @takes_frames("scores", returns="classes")
    def predict(self, scores: Array) -> Array:
        """Label each row of scores (n, C) of the kind that `fit` has seen.

        Returns
        -------
        array or tensor of shape (n,), int64
            Classes in 0..C-1; -1 for rows that are abstained from. Of labels that do not exclude
            each other zeros and ones, shape (n, C).

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid, or have another number of columns.
        """
        decided = self._decide(scores, self.rule_)
        xp = api.array_namespace(decided)
        return xp.astype(decided, xp.int64)

    @property
    def rule_(self) -> Rule:
        """What decides a row."""
        raise NotImplementedError

    def _decide(self, scores: Array, rule: Rule | None) -> Array:
        """Decide all rows, in the library of the scores."""
        check_is_fitted(self, "kind_")
        checked = Predictions.check(
            scores, kind=self.kind_, name="scores", multilabel=self.multilabel_
        )
        if checked.n_classes != self.n_features_in_:
            wanted = f"an array of {self.n_features_in_} columns like those fitted"
            fail("scores", wanted, f"{checked.n_classes} columns")
        part = DecideRows(checked, rule)
        empty = slice(0, 0)  # sets the shape where there is no row
        decided = np.concatenate([part(rows)[0] for rows in (empty, *checked.cuts())])
        if not api.is_torch_array(scores):
            return decided
        xp = api.array_namespace(scores)
        return xp.asarray(decided, device=api.device(scores))

    def _check_options(self) -> None:
        """Check the options of a subclass."""

    def _learn(self, probs: Floats, labels: Ints | None) -> None:
        """Learn from probabilities (n, C) and labels (n,)."""
        raise NotImplementedError
