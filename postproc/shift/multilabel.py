"""Adaptation of multi-label predictions: the prior of each label, where it has shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from postproc.calibration.affine import Floats
from postproc.calibration.labelwise import LabelMaps
from postproc.calibration.multilabel import MultilabelCalibration, calibrated_labels
from postproc.calibration.score_maps import as_type_of, check_like_fitted
from postproc.evaluation.paired import holm
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import check_choice, check_number, fail
from postproc.scores.estimators import ProbabilityMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.shift.evidence import LEAST_SHARE, PredictionMoments, compare_moments
from postproc.shift.prior import (
    MAX_ITER,
    TOLERANCE,
    Likelihood,
    estimate_prior,
    evidence_counts,
    likelihood_ratios,
    share_interval,
)

METHODS = ("em", "map")


@dataclass(frozen=True)
class LabelPriors:
    """Priors of m labels in a target; each is that of the fit rows where no shift was found.

    Attributes
    ----------
    source, share : ndarray of shape (m,)
        Share of rows with each label in the fit rows, and in the target, by calibrated
        probabilities.
    std : ndarray of shape (m,)
        Standard error of the share in the target.
    p_value : ndarray of shape (m,)
        Of the test that a label has not shifted, with Holm's correction for m labels; 1 where too
        few rows tell.
    adapted : ndarray of bool, shape (m,)
        Whether a label is adapted to its share in the target.
    maps : LabelMaps
        From log-odds to adapted log-odds.
    """

    source: Floats
    share: Floats
    std: Floats
    p_value: Floats
    adapted: NDArray[np.bool_]
    maps: LabelMaps

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """95 % interval of the share of each label in the target."""
        return share_interval(self.share, self.std)


class MultilabelShiftAdapter(ProbabilityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Calibrate labels, and adapt those whose prior has shifted in a target.

    The prior of a label is estimated by EM on its calibrated probabilities, label by label. A label
    is adapted only if the test of its mean prediction, corrected for the number of labels, finds a
    shift; otherwise it keeps the prior of the fit rows.

    Parameters
    ----------
    method : {"em", "map"}
        Maximum likelihood, or with pseudo-rows of the prior of the fit rows.
    alpha : float
        Level, in (0, 1), of the test.
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    calibration_ : MultilabelCalibration
        The fitted calibration.
    moments_ : list of PredictionMoments
        Moments of the calibrated out-of-fold predictions of each label, in two columns.
    kind_, classes_, n_features_in_, n_rows_
        As of `MultilabelCalibration`.

    References
    ----------
    Saerens, Latinne, Decaestecker (2002). Adjusting the Outputs of a Classifier to New a Priori
    Probabilities. Neural Computation 14, equation 2.9, for each label.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, target = (rng.random((500, 2)) < share for share in ([0.2, 0.2], [0.7, 0.2]))
    >>> val, test = (3.0 * a - 2.5 + rng.standard_normal((500, 2)) for a in (y, target))
    >>> adapter = MultilabelShiftAdapter(kind="logits").fit(val, y.astype(int))
    >>> found = adapter.adapt_to(test)
    >>> found.adapted, found.share.round(1)
    (array([ True, False]), array([0.7, 0.2]))
    """

    multilabel_ = True

    def __init__(
        self,
        *,
        method: str = "map",
        alpha: float = 0.05,
        kind: Kind | None = None,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.alpha = alpha
        self.kind = kind
        self.random_state = random_state

    @takes_frames("scores", labels={"y": "scores"})
    def fit(self, scores: Array, y: Any, *, classes: Sequence[str] | None = None) -> Self:
        """Fit on labelled scores; all is as of `MultilabelCalibration.fit`."""
        check_choice(self.method, "method", METHODS)
        check_number(self.alpha, "alpha", low=0.0, high=1.0)
        scaling = MultilabelCalibration(kind=self.kind, random_state=self.random_state)
        self.calibration_ = scaling.fit(scores, y, classes=classes)
        self.kind_, self.class_names_ = scaling.kind_, scaling.class_names_
        self.n_features_in_, self.n_rows_ = scaling.n_features_in_, scaling.n_rows_
        probs = calibrated_labels(None, scaling.out_of_fold_, "logits")
        self.moments_ = label_moments(probs)
        return self

    @takes_frames("scores")
    def adapt_to(self, scores: Array) -> LabelPriors:
        """Estimate the prior of each label in a target, from all of its rows.

        Parameters
        ----------
        scores : array or tensor of shape (n, m)
            Scores of the target, of the kind that `fit` has seen.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid.
        """
        probs = as_numpy(calibrated_labels(self.model_, self._checked(scores), self.kind_))
        return self.adapt(probs)

    @takes_frames("scores", returns="scores")
    def predict_proba(self, scores: Array) -> Array:
        """Adapt to a target and return its probabilities, (n, m).

        Each row depends on all rows of the target. Parameters and errors are those of `adapt_to`.
        """
        checked = self._checked(scores)
        maps = self.adapt_to(checked).maps
        return as_type_of(calibrated_labels(maps, checked, self.kind_), checked)

    @property
    def model_(self) -> LabelMaps:
        """The maps of the calibration."""
        return self.calibration_.model_

    def adapt(self, probs: Floats) -> LabelPriors:
        """`adapt_to` a target of calibrated probabilities (n, m)."""
        found = estimate_shares(probs, self.moments_, self.method)
        adapted = found.p_value < self.alpha
        bias = self.model_.bias + np.where(adapted, found.log_odds, 0.0)
        return LabelPriors(*found, adapted, replace(self.model_, bias=bias))

    def _checked(self, scores: Array) -> Array:
        check_is_fitted(self, "calibration_")
        checked = check_like_fitted(self, scores, multilabel=True)
        if len(checked) == 0:
            fail("scores", "an array of one row or more", "no row")
        return checked


class Shares(NamedTuple):
    """Shares of labels, (m,): in the fit rows, in a target, their errors and corrected p-values."""

    source: Floats
    share: Floats
    std: Floats
    p_value: Floats

    @property
    def log_odds(self) -> Floats:
        """By how much the log-odds of each label are higher in the target."""
        target, source = (
            np.clip(each, LEAST_SHARE, 1 - LEAST_SHARE) for each in (self.share, self.source)
        )
        return np.log(target / (1 - target)) - np.log(source / (1 - source))


def estimate_shares(probs: Floats, fit: Sequence[PredictionMoments], method: str) -> Shares:
    """Shares of labels in a target of calibrated probabilities (n, m), label by label.

    `fit` are the moments of the fit rows' probabilities of each label, in two columns.
    """
    found = np.empty((4, len(fit)))
    for j, (both, inside) in enumerate(zip(_two_columns(probs), fit, strict=True)):
        moments = PredictionMoments.of(both)
        prior = np.clip(inside.mean, LEAST_SHARE, 1 - LEAST_SHARE)
        pseudo = evidence_counts(moments, inside, prior) if method == "map" else np.zeros(2)
        likelihood = Likelihood.of(likelihood_ratios(both, prior))
        prior_of = estimate_prior(likelihood, prior, pseudo, max_iter=MAX_ITER, tol=TOLERANCE)
        p_value = compare_moments(moments, inside).p_value
        found[:, j] = prior[1], prior_of.prior[1], prior_of.std[1], p_value
    return Shares(found[0], found[1], found[2], np.array(holm(found[3].tolist())))


def label_moments(probs: Floats) -> list[PredictionMoments]:
    """Moments of the probabilities (n, m) of each label, in two columns."""
    return [PredictionMoments.of(both) for both in _two_columns(probs)]


def _two_columns(probs: Floats) -> list[Floats]:
    """Probabilities of both classes of each label, (n, 2) a label, of those of labels (n, m)."""
    return [np.column_stack([1 - column, column]) for column in probs.T]
