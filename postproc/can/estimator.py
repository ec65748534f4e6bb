"""CAN as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import array_api_compat as api
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from postproc.can.model import CANModel, Moments
from postproc.can.options import CANOptions, ReferenceSize
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.binary import like_given
from postproc.scores.blocks import row_blocks
from postproc.scores.checks import check_labels, fail
from postproc.scores.confidence import TopK
from postproc.scores.estimators import ProbabilityMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind, check_scores, probabilities, two_class_rows
from postproc.scores.prior import check_multilabels, class_prior, multilabel_prior


class CAN(ProbabilityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Classification with alternating normalization: re-adjusts ambiguous predictions.

    `fit` takes the confident rows of its input as the reference; `predict_proba` adjusts the
    ambiguous rows of the target against it, each independently of the others.

    Parameters
    ----------
    prior : array_like of shape (C,), "uniform" or None
        Class distribution q of the target; None takes that of the labels passed to `fit`.
    top_k : int in 2..C, "max" or None
        k of the top-k entropy; None is 3, or C if that is smaller.
    threshold : float
        Rows whose top-k entropy is at or above it are ambiguous; in [0, 1].
    alpha : float
        Exponent α in (0, 1000].
    iterations : int
        Number of iterations d >= 1.
    smoothing : float
        One-hot pseudo-rows added to the reference for each class, >= 0.
    reference_sample : {"all", "stratified"}
        All confident rows, or at most max(5C, 1000), stratified by predicted class.
    reference_size : "exact", "auto" or int
        Number of reference rows beyond which several iterations work with C × C matrices instead:
        the same predicted classes, at a cost that does not grow with the reference.
    kind : {"logits", "probs"} or None
        What the scores are; None detects it once, in `fit`.
    multilabel : bool
        Columns are labels, each a two-class problem of its own; the prior is then that of
        (positives, negatives).
    random_state : int
        Seed of the stratified sample.

    Attributes
    ----------
    prior_ : ndarray of shape (C,)
        The prior, summing to 1.
    kind_ : str
        The kind of the scores, here and in `predict_proba`.
    model_ : CANModel
        The reference, iterated.
    n_features_in_ : int
        Number of columns.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.

    Raises
    ------
    TypeError, ValueError
        From `fit` and `predict_proba`, if scores, prior or options are not valid.

    References
    ----------
    Jia, Reiter, Lim, Artzi, Cardie (2021). When in Doubt: Improving Classification Performance
    with Alternating Normalization. Findings of EMNLP, section 3. arXiv:2109.13449.

    Examples
    --------
    >>> can = CAN(prior=[0.5, 0.5]).fit([[0.05, 0.95], [0.1, 0.9], [0.9, 0.1]])
    >>> can.predict_proba([[0.5, 0.5], [0.99, 0.01]]).round(2)
    array([[0.61, 0.39],
           [0.99, 0.01]])
    """

    def __init__(
        self,
        prior: Any = None,
        *,
        top_k: TopK | None = None,
        threshold: float = 0.9,
        alpha: float = 1.0,
        iterations: int = 1,
        smoothing: float = 0.0,
        reference_sample: str = "all",
        reference_size: ReferenceSize = "exact",
        kind: Kind | None = None,
        multilabel: bool = False,
        random_state: int = 0,
    ) -> None:
        self.prior = prior
        self.top_k = top_k
        self.threshold = threshold
        self.alpha = alpha
        self.iterations = iterations
        self.smoothing = smoothing
        self.reference_sample = reference_sample
        self.reference_size = reference_size
        self.kind = kind
        self.multilabel = multilabel
        self.random_state = random_state

    @takes_frames("scores", labels={"y": "scores"})
    def fit(self, scores: Array, y: Any = None, *, classes: Sequence[str] | None = None) -> CAN:
        """Take the confident rows of `scores` as the reference.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Logits or probabilities.
        y : array_like of shape (n,), optional
            Labels, (n, C) zeros and ones with `multilabel`; they give the prior if it is None.
        classes : sequence of C str, optional
            Class names; those of the columns by default.

        Warns
        -----
        UserWarning
            If classes lack confident mass or prior, or no row is confident.
        """
        options = CANOptions(**{each.name: getattr(self, each.name) for each in fields(CANOptions)})
        scores, self.kind_ = check_scores(scores, kind=self.kind, multilabel=self.multilabel)
        if not scores.shape[0]:
            fail("scores", "an array of one row or more", "no row")
        self.n_features_in_, self.multilabel_ = int(scores.shape[1]), self.multilabel
        self.class_names_ = None if classes is None else list(classes)
        self.prior_ = self._prior(scores, y)
        blocks = (self._probabilities(scores[rows, :]) for rows in row_blocks(*scores.shape))
        self.model_ = CANModel.fit(blocks, self.prior_, options, seed=self.random_state)
        for risk in self.model_.risks():
            warnings.warn(risk, UserWarning, stacklevel=3)
        return self

    @takes_frames("scores", returns="scores")
    def predict_proba(self, scores: Array) -> Array:
        """Adjust the ambiguous rows; the others pass through as probabilities.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Scores of the kind seen in `fit`.

        Returns
        -------
        array or tensor of shape (n, C)
            Probabilities whose rows sum to 1; with `multilabel` each entry is one.

        Warns
        -----
        UserWarning
            If the mean prediction lies far from the prior.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        """
        check_is_fitted(self)
        given = scores
        scores, _ = check_scores(scores, kind=self.kind_, multilabel=self.multilabel)
        if scores.shape[1] != self.n_features_in_:
            wanted = f"an array of {self.n_features_in_} columns like the reference"
            fail("scores", wanted, f"{scores.shape[1]} columns")
        xp = api.array_namespace(scores)
        parts = [self._probabilities(scores[rows, :]) for rows in row_blocks(*scores.shape)]
        probs = xp.concat(parts) if parts else self._probabilities(scores)
        found = Moments(len(self.prior_))
        found.add(as_numpy(probs))
        if found.n_rows and (far := self.model_.mismatch(found.mean, found.standard_error)):
            warnings.warn(far, UserWarning, stacklevel=3)
        adjusted, _ = self.model_.adjust(probs)
        if self.multilabel:
            return xp.reshape(adjusted[:, 0], scores.shape)
        return like_given(adjusted, given)

    def _prior(self, scores: Array, y: Any) -> Any:
        n_rows, n_columns = scores.shape
        n_classes = 2 if self.multilabel else n_columns
        if self.prior is not None:
            classes = None if self.multilabel else self.class_names_
            return class_prior(self.prior, n_classes=n_classes, classes=classes)
        if y is None:
            fail("prior", "given, or labels in `fit`", None)
        if self.multilabel:
            return multilabel_prior(check_multilabels(y, shape=(n_rows, n_columns), name="y"))
        return class_prior(
            check_labels(y, n_classes=n_classes, n_rows=n_rows, name="y"),
            n_classes=n_classes,
            kind="labels",
        )

    def _probabilities(self, scores: Array) -> Array:
        to_rows = two_class_rows if self.multilabel else probabilities
        return to_rows(scores, self.kind_)
