"""Adaptation to label shift as an estimator: fitted to labelled rows, adapted to a target."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from postproc.calibration.affine import Floats, Ints, unseen_classes
from postproc.calibration.by_name import METHODS as CALIBRATIONS
from postproc.calibration.by_name import make_calibrator
from postproc.calibration.score_maps import as_logs, check_like_fitted, like_scores
from postproc.can.model import CANModel
from postproc.can.options import CANOptions
from postproc.jobs.cuda import to_device
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import MapBlocks, in_order
from postproc.scores.checks import (
    check_choice,
    check_count,
    check_groups,
    check_labels,
    check_number,
    check_saved,
    fail,
    fail_type,
)
from postproc.scores.codes import coded
from postproc.scores.estimators import ProbabilityMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.shift.bbse import N_BOOTSTRAP, one_hot_winners, solve_confusion
from postproc.shift.evidence import (
    NoShiftTest,
    PredictionMoments,
    compare_moments,
    sums_by_group,
)
from postproc.shift.misfit import ClassMoments, LabelShiftFit, fit_frequencies, score_functions
from postproc.shift.prior import MAX_ITER, TOLERANCE, PriorEstimate, estimate_prior, evidence_counts
from postproc.shift.reweight import match_columns, prior_factors
from postproc.shift.streaming import (
    AdaptedRows,
    CalibratedRows,
    ReadRows,
    in_memory,
    target_likelihood,
    target_moments,
)

METHODS = ("em", "map", "bbse", "sinkhorn", "can")

#: With fewer rows per class, an unregularized estimate is unreliable.
FEW_ROWS = 10


@dataclass(frozen=True)
class Adaptation:
    """How a target is adapted, and on what evidence."""

    test: NoShiftTest  # the target against the fit split
    prior: PriorEstimate  # estimated class prior of the target
    factors: Floats  # (C,): column factors of the calibrated probabilities
    can: CANModel | None = None  # used instead of the factors
    #: How well class frequencies explain the shift; None in adapters of the first release.
    fit: LabelShiftFit | None = None


class LabelShiftAdapter(ProbabilityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Calibrate predictions, estimate the class prior of a target, and adapt to it.

    `fit` learns from labelled rows. The prior is estimated for each target, from all of its rows.

    Parameters
    ----------
    method : {"em", "map", "bbse", "sinkhorn", "can"}
        "em", "map" and "bbse" estimate the prior and re-weight by it. "sinkhorn" (joint
        normalization) and "can" use the prior of "map".
    calibration : {"temperature", "bcts", "matrix", "structured", "pooled", "none"}
        How predictions are calibrated first.
    soft : bool
        Whether "bbse" averages probabilities instead of counting predicted classes.
    strength : float
        In [0, 1]: how far "sinkhorn" moves the mean prediction to the prior.
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    random_state : int
        Seed of the folds, and of the resamples of "bbse".

    Attributes
    ----------
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_features_in_ : int
        Number of classes C.
    model_ : AffineMap, MatrixMap or None
        The fitted calibration; None if there is none.
    moments_ : PredictionMoments
        Moments of the calibrated out-of-fold predictions; their mean is the source prior.
    groups_ : ndarray of shape (m,), or None
        Groups of these rows, 0..G-1, for "bbse".
    class_moments_ : ClassMoments
        Moments of their functions within classes, for whether label shift explains a target.
    unseen_ : ndarray of int
        Classes without a label in `fit`.
    held_out_, labels_ : ndarray of shape (m, C) and (m,), or None
        Those predictions and the labels, for "bbse".
    reference_ : ndarray of shape (m, C), or None
        Calibrated rows of the fit split, for "can".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, target = rng.integers(3, size=400), rng.choice(3, 400, p=[0.8, 0.1, 0.1])
    >>> val, test = (2 * np.eye(3)[c] + rng.standard_normal((400, 3)) for c in (y, target))
    >>> adapter = LabelShiftAdapter(calibration="bcts").fit(val, y)
    >>> adapter.adapt_to(test).prior.prior.round(1)
    array([0.8, 0.1, 0.1])
    >>> before, after = (p.argmax(axis=1) for p in (test, adapter.predict_proba(test)))
    >>> bool((after == target).mean() > (before == target).mean())
    True
    """

    def __init__(
        self,
        *,
        method: str = "map",
        calibration: str = "matrix",
        soft: bool = True,
        strength: float = 1.0,
        kind: Kind | None = None,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.calibration = calibration
        self.soft = soft
        self.strength = strength
        self.kind = kind
        self.random_state = random_state

    @takes_frames("scores", labels={"y": "scores"})
    def fit(
        self, scores: Array, y: Any, *, classes: Sequence[str] | None = None, groups: Any = None
    ) -> Self:
        """Fit on labelled scores.

        Parameters
        ----------
        scores : array or tensor of shape (m, C)
            Logits or probabilities.
        y : array_like of shape (m,)
            Labels, integers in 0..C-1.
        classes : sequence of C str, optional
            Class names, for messages and for aligning files later.
        groups : array_like of shape (m,), optional
            What each row belongs to, if only groups are independent; for the test of a shift.

        Raises
        ------
        TypeError, ValueError
            If scores, labels or options are not valid.

        Warns
        -----
        UserWarning
            As those of the calibrators.
        """
        check_choice(self.method, "method", METHODS)
        check_choice(self.calibration, "calibration", (*CALIBRATIONS, "none"))
        if not isinstance(self.soft, bool | np.bool_):
            fail_type("soft", "True or False", repr(self.soft))
        check_number(self.strength, "strength", low=0.0, high=1.0)
        check_count(self.random_state, "random_state", low=0)
        given = Predictions.check(scores, kind=self.kind, classes=classes, name="scores")
        labels = check_labels(y, n_classes=given.n_classes, n_rows=given.n_rows, name="y")
        if len(labels) < 2:
            fail("scores", "an array of 2 rows or more", f"{len(labels)}")
        logs, self.model_ = as_logs(given.scores, given.kind), None
        if self.calibration != "none":
            options = {"kind": given.kind, "random_state": self.random_state}
            scaling = make_calibrator(self.calibration, **options).fit(given.scores, labels)
            logs, self.model_ = scaling.out_of_fold_, scaling.model_
        self.kind_, self.n_features_in_ = given.kind, given.n_classes
        self.class_names_ = None if given.classes is None else list(given.classes)
        self.unseen_ = unseen_classes(labels, given.n_classes)
        held_out = np.exp(logs)
        own = None if groups is None else check_groups(groups, given.n_rows)
        self.moments_ = PredictionMoments.of(held_out)
        if own is not None:
            self.moments_ = PredictionMoments.of_sums(sums_by_group(held_out, own)[1])
        self.class_moments_ = ClassMoments.of(held_out, labels)
        self.held_out_: Floats | None = None
        self.labels_: Ints | None = None
        self.groups_: Ints | None = None
        self.reference_: Floats | None = None
        if self.method == "bbse":
            self.held_out_, self.labels_, self.groups_ = held_out, labels, own
        if self.method == "can":
            rows = CalibratedRows(Predictions(as_numpy(given.scores), given.kind), self.model_)
            self.reference_ = as_numpy(rows.probabilities(slice(0, given.n_rows)))
        return self

    def check_saved(self) -> None:
        """Refuse rows of the fit split that are none."""
        n_classes = self.n_features_in_
        check_saved(self.moments_.mean, "moments_", (n_classes,))
        for probs in (self.held_out_, self.reference_):
            if probs is not None:
                check_saved(probs, "held_out_", (len(probs), n_classes))
        if self.held_out_ is not None:
            y = self.labels_
            check_labels(y, n_classes=n_classes, n_rows=len(self.held_out_), name="labels_")

    @takes_frames("scores")
    def adapt_to(self, scores: Array, *, groups: Any = None) -> Adaptation:
        """Estimate the prior of a target, from all of its rows.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Scores of the target, of the kind that `fit` has seen.
        groups : array_like of shape (n,), optional
            What each row belongs to, if only groups are independent; for the test and for standard
            errors.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid, or the confusion matrix of "bbse" is singular.

        Warns
        -----
        UserWarning
            If the result is doubtful: no shift, few rows, an estimate that rests on pseudo-rows,
            classes without labels, or an iteration that has not converged.
        """
        rows = self._checked(scores)
        return self._adapt(rows, None if groups is None else check_groups(groups, len(scores)))

    @takes_frames("scores", returns="scores")
    def predict_proba(self, scores: Array) -> Array:
        """Adapt to a target and return its probabilities.

        Each row depends on all rows of the target. Parameters, errors and warnings are those of
        `adapt_to`.

        Returns
        -------
        array or tensor of shape (n, C)
            Rows sum to 1; float32 for floats of 32 bits or fewer, else float64.
        """
        rows = self._checked(scores)
        found = self._adapt(rows)
        part = AdaptedRows(rows, found.factors, found.can)
        return like_scores(np.concatenate([part(cut)[0] for cut in rows.target.cuts()]), scores)

    def adapt(
        self, read: ReadRows, map_blocks: MapBlocks, groups: Ints | None = None
    ) -> Adaptation:
        """`adapt_to` a target, calibrated by `model_`, that is read block by block."""
        moments = target_moments(read, map_blocks, "looking for a shift", groups=groups)
        test = compare_moments(moments, self.moments_)
        prior = self._estimate(read, moments, map_blocks, groups)
        source, factors, can = self.moments_.mean, np.ones(self.n_features_in_), None
        if self.reference_ is not None:
            reference = to_device(self.reference_, read.device)
            can = CANModel.fit([reference], prior.prior, CANOptions())
            mismatch = can.mismatch(moments.mean, moments.standard_error)
            for risk in filter(None, (*can.risks(self.class_names_), mismatch)):
                warnings.warn(risk, UserWarning, stacklevel=5)
        elif self.method == "sinkhorn":
            sums = target_likelihood(read, factors, map_blocks, "matching columns")
            factors = match_columns(sums, prior.prior, self.strength)
        else:
            factors = prior_factors(source, prior.prior)
        fit = None
        if hasattr(self, "class_moments_"):
            functions = target_moments(
                read, map_blocks, "checking the shift", score_functions, groups
            )
            fit = fit_frequencies(functions, self.class_moments_, prior.prior)
        for doubt in self._doubts(test, prior, moments.n_rows, fit):
            warnings.warn(doubt, UserWarning, stacklevel=5)
        return Adaptation(test, prior, factors, can, fit)

    def _adapt(self, rows: CalibratedRows, groups: Ints | None = None) -> Adaptation:
        """Adapt to a target in memory."""
        with in_memory(rows, rows.target.cuts()) as read:
            return self.adapt(read, in_order, groups)

    def _checked(self, scores: Array) -> CalibratedRows:
        checked = check_like_fitted(self, scores)
        if len(checked) == 0:
            fail("scores", "an array of one row or more", "no row")
        return CalibratedRows(Predictions(as_numpy(checked), self.kind_), self.model_)

    def _estimate(
        self,
        read: ReadRows,
        moments: PredictionMoments,
        map_blocks: MapBlocks,
        groups: Ints | None,
    ) -> PriorEstimate:
        if self.held_out_ is not None and self.labels_ is not None:
            fit, seed = self.held_out_, self.random_state
            if not self.soft:
                what = "counting classes"
                moments = target_moments(read, map_blocks, what, one_hot_winners, groups)
                fit = one_hot_winners(fit)
            how: Any = {
                "n_bootstrap": N_BOOTSTRAP,
                "seed": seed,
                "groups": getattr(self, "groups_", None),
            }
            return solve_confusion(moments, fit, self.labels_, **how)
        source = self.moments_.mean
        ratios = prior_factors(source, np.ones_like(source))
        what = "estimating the prior"
        likelihood = target_likelihood(read, ratios, map_blocks, what, groups)
        pseudo = np.zeros_like(source)
        if self.method != "em":
            pseudo = evidence_counts(moments, self.moments_, source)
        return estimate_prior(likelihood, source, pseudo, max_iter=MAX_ITER, tol=TOLERANCE)

    def _doubts(
        self, test: NoShiftTest, prior: PriorEstimate, n_rows: int, fit: LabelShiftFit | None
    ) -> Iterator[str]:
        """Reasons not to trust the result."""
        n_classes = self.n_features_in_
        if fit is not None and fit.is_refuted:
            yield fit.doubt("adapting may lower accuracy")
        if test.p_value >= 0.05:
            yield coded(
                "no-shift",
                f"the target shows no label shift (p = {test.p_value:.2g}): its class prior may "
                "be that of the fit rows, and adapting predictions to another may make them worse",
            )
        if self.method in ("em", "bbse") and n_rows < FEW_ROWS * n_classes:
            rows = "1 row" if n_rows == 1 else f"{n_rows} rows"
            yield coded(
                "few-rows",
                f"{self.method} estimates {n_classes} class frequencies from {rows} without "
                "regularization, which is unreliable; use map",
            )
        if prior.strength > n_rows:
            yield coded(
                "few-rows",
                f"the estimated prior rests on {prior.strength:.3g} pseudo-rows of the source "
                f"prior and only {n_rows} rows of the target, so it is mostly assumed; its "
                "standard errors are those of the rows alone; method em estimates it from these",
            )
        if len(self.unseen_):
            shown = first_few(self.classes_[self.unseen_].tolist())
            yield coded(
                "unseen-classes",
                f"no row of the fit split has the label {shown}, so the estimated share of "
                f"{'this class' if len(self.unseen_) == 1 else 'these classes'} is unreliable",
            )
