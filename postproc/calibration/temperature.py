"""Calibration of saved scores: temperature, and temperature with a class bias.

Both start as the identity, are penalized towards it, and are kept only if they beat it on held-out
rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from postproc.calibration.affine import (
    LOG_BETA,
    AffineMap,
    AffineProblem,
    Curvature,
    Floats,
    Ints,
    Solution,
    apply_to_rows,
    fit_temperature,
    identity_map,
    left_out_temperatures,
    mean_log_loss,
    mean_solution,
    start_solution,
    unseen_classes,
)
from postproc.calibration.mixing import MixedMap, mix_uniform
from postproc.calibration.score_maps import apply_map, as_logs, check_like_fitted, like_scores
from postproc.evaluation.folds import random_folds
from postproc.scores.arrays import Array
from postproc.scores.binary import winners
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import check_count, check_labels, check_number, fail
from postproc.scores.codes import coded
from postproc.scores.estimators import ScoreMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.threads import blas_threads_for

#: Penalties on the class bias to choose from by cross-validation, strong ones first.
BIAS_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)

#: A path of penalties ends where the loss exceeds the best by this factor: it has a single minimum
#: but for noise, and weaker penalties are costlier to fit.
PATIENCE = 1.002


class Calibrator(ScoreMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Base of all calibrators. A subclass has `_search`, which sets `model_` and `out_of_fold_`."""

    kind: Kind | None
    n_folds: int
    max_iter: int
    random_state: int

    #: Not saved with a calibrator, because applying it needs only the map.
    unsaved = ("out_of_fold_",)

    #: The fitted map from log-probabilities to calibrated ones.
    model_: Any
    class_names_: list[str] | None
    out_of_fold_: Floats
    held_out_log_loss_: float
    inverse_temperature_: float
    converged_: bool
    n_iter_: int

    @takes_frames("scores", labels={"y": "scores"})
    def fit(self, scores: Array, y: Any, *, classes: Sequence[str] | None = None) -> Self:
        """Fit on labelled scores.

        Parameters
        ----------
        scores : array or tensor of shape (n, C)
            Logits or probabilities.
        y : array_like of shape (n,)
            Labels, integers in 0..C-1.
        classes : sequence of C str, optional
            Class names, for aligning files later.

        Returns
        -------
        Calibrator
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If scores, labels or options are not valid.

        Warns
        -----
        UserWarning
            If classes have no label, the temperature is at the bound of its range, or the
            optimizer has not converged.
        """
        check_count(self.n_folds, "n_folds", low=2)
        check_count(self.max_iter, "max_iter", low=1)
        check_count(self.random_state, "random_state", low=0)
        self._check_options()
        given = Predictions.check(scores, kind=self.kind, classes=classes, name="scores")
        self.kind_ = given.kind
        self.class_names_ = None if given.classes is None else list(given.classes)
        logs = as_logs(given.scores, given.kind)
        labels = check_labels(y, n_classes=logs.shape[1], n_rows=len(logs), name="y")
        if len(labels) < 2:
            fail("scores", "an array of 2 rows or more", f"{len(labels)}")
        self.n_rows_, self.n_features_in_ = map(int, logs.shape)
        self.unseen_ = unseen_classes(labels, logs.shape[1])
        if len(self.unseen_):
            msg = unseen_message(self.unseen_, logs.shape[1])
            warnings.warn(coded("unseen-classes", msg), UserWarning, stacklevel=3)
        with blas_threads_for(logs.size):
            self._search(logs, labels)
        if abs(np.log(self.inverse_temperature_)) > LOG_BETA - 0.01:
            msg = (
                f"the temperature is {self.temperature_:.3g}, at the bound of its range, so the "
                "scores are not calibrated; scale them to log-odds first"
            )
            warnings.warn(coded("at-bound", msg), UserWarning, stacklevel=3)
        share = 1.0 / (len(labels) + 1)
        self.model_ = MixedMap(self.model_, share)
        for rows in row_blocks(*logs.shape, block_bytes=DEFAULT_SIZES.cached):
            self.out_of_fold_[rows] = mix_uniform(self.out_of_fold_[rows], share)
        self.held_out_log_loss_ = mean_log_loss(self.out_of_fold_, labels)
        self.identity_log_loss_ = mean_log_loss(logs, labels)
        alike = bool((logs == logs[0]).all())
        if alike:
            msg = "all rows of the fit split are the same, so nothing can be learned from them"
            warnings.warn(coded("all-alike", msg), UserWarning, stacklevel=3)
        self.improved_ = bool(self.held_out_log_loss_ < self.identity_log_loss_) and not alike
        if not self.improved_:
            self.model_, self.out_of_fold_ = identity_map(logs.shape[1]), logs
            self._keep_identity()
        if not self.converged_:
            msg = (
                f"{type(self).__name__} has not converged after {self.n_iter_} iterations; "
                "raise `max_iter`"
            )
            warnings.warn(coded("converged", msg), UserWarning, stacklevel=3)
        return self

    @takes_frames("scores", returns="scores")
    def predict_log_proba(self, scores: Array) -> Floats:
        """Calibrated log-probabilities of scores (n, C) of the kind that `fit` has seen.

        Returns
        -------
        ndarray of shape (n, C)
            Float64.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid, or have another number of columns.
        """
        checked = check_like_fitted(self, scores)
        return apply_map(self.model_, checked, self.kind_)

    @takes_frames("scores", returns="scores")
    def predict_proba(self, scores: Array) -> Array:
        """Calibrated probabilities of scores (n, C) of the kind that `fit` has seen.

        Returns
        -------
        array or tensor of shape (n, C)
            Rows sum to 1; float32 for floats of 32 bits or fewer, else float64.
        """
        return like_scores(np.exp(self.predict_log_proba(scores)), scores)

    @takes_frames("scores", returns="classes")
    def predict(self, scores: Array) -> Array:
        """Class with the highest calibrated probability in each row; the lowest of tied classes."""
        return winners(self.predict_proba(scores))

    @property
    def temperature_(self) -> float:
        """The temperature T = 1/β: above 1 where the scores were too confident."""
        return 1.0 / self.inverse_temperature_

    def _check_options(self) -> None:
        """Check the options of a subclass."""

    def _keep_identity(self) -> None:
        self.inverse_temperature_ = 1.0

    def _search(self, logs: Floats, y: Ints) -> None:
        raise NotImplementedError

    def _splits(self, logs: Floats, y: Ints) -> Iterator[tuple[Ints, Ints]]:
        n_folds = min(self.n_folds, len(y))
        folds = random_folds(logs, y, n_folds, self.random_state)
        for fold in range(n_folds):
            yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


class TemperatureScaling(Calibrator):
    r"""One temperature for all classes: softmax(β log p), with β > 0 of lowest log-loss.

    Parameters
    ----------
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    n_folds : int
        Folds >= 2 of the cross-validation that decides whether the fit is kept.
    max_iter : int
        Maximum number of iterations of the optimizer.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    temperature_ : float
        Temperature T = 1/β.
    inverse_temperature_ : float
        β.
    improved_ : bool
        Whether held-out log-loss decreased; if not, the estimator is the identity.
    held_out_log_loss_, identity_log_loss_ : float
        Mean log-loss of the out-of-fold predictions, and of the scores as given, in nats.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of the fit rows, each by a fit without its fold.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of classes C.
    unseen_ : ndarray of int
        Classes without a label in `fit`.
    converged_ : bool
        Whether the optimizer met its tolerance.
    n_iter_ : int
        Number of iterations.
    model_ : MixedMap or AffineMap
        The fitted map, mixed with the share 1/(n + 1) of the uniform distribution, or the identity.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017). On Calibration of Modern Neural Networks. ICML, section
    4.2.

    Examples
    --------
    >>> logits = [[2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, 2.0]] * 5
    >>> labels = [0, 1, 0, 0] * 5
    >>> round(TemperatureScaling().fit(logits, labels).temperature_, 1)
    3.0
    """

    def __init__(
        self,
        *,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.kind = kind
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.random_state = random_state

    def _search(self, logs: Floats, y: Ints) -> None:
        self.inverse_temperature_ = fit_temperature(logs, y)
        plain = identity_map(logs.shape[1])
        held_out = np.empty_like(logs)
        splits = list(self._splits(logs, y))
        betas = left_out_temperatures(logs, y, splits, self.inverse_temperature_)
        for beta, (_, test) in zip(betas, splits, strict=True):
            apply_to_rows(AffineMap(beta, plain.bias, plain.unseen), logs, test, held_out)
        self.out_of_fold_ = held_out
        self.model_ = AffineMap(self.inverse_temperature_, plain.bias, plain.unseen)
        self.converged_, self.n_iter_ = True, 1


class BiasCorrectedTemperatureScaling(Calibrator):
    r"""A temperature and a class bias (BCTS): softmax(β log p + a).

    The penalty on the bias is r_a mean(a²), with r_a chosen by cross-validation on log-loss.

    Parameters
    ----------
    bias_ridges : sequence of float
        Candidates r_a > 0.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    bias_ : ndarray of shape (C,)
        The class bias a.
    bias_ridge_ : float
        The chosen penalty.
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`.

    References
    ----------
    Alexandari, Kundaje, Shrikumar (2020). Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation. ICML, section 3.2.

    Examples
    --------
    >>> logits = [[2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, 2.0]] * 5
    >>> labels = [0, 1, 0, 0] * 5
    >>> scaling = BiasCorrectedTemperatureScaling().fit(logits, labels)
    >>> bool(scaling.bias_[0] > scaling.bias_[1])
    True
    """

    bias_: Floats

    def __init__(
        self,
        *,
        bias_ridges: Sequence[float] = BIAS_RIDGES,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.bias_ridges = bias_ridges
        self.kind = kind
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.random_state = random_state

    def _check_options(self) -> None:
        check_penalties(self.bias_ridges, "bias_ridges")

    def _search(self, logs: Floats, y: Ints) -> None:
        curvature, solutions = self._search_bias(logs, y)
        problem = AffineProblem(logs, None, y, curvature)
        solution = self._step(problem, 0.0, mean_solution(solutions))
        self.inverse_temperature_ = float(np.exp(solution.log_beta))
        self.bias_ = solution.bias
        self.model_ = AffineMap(self.inverse_temperature_, self.bias_, self.unseen_)
        self.converged_, self.n_iter_ = solution.converged, solution.n_iter

    def _search_bias(self, logs: Floats, y: Ints) -> tuple[Curvature, list[Solution]]:
        """Choose the penalty of the bias; return the curvature at its start, folds' solutions."""
        beta = fit_temperature(logs, y)
        curvature = Curvature.at(beta, logs)
        folds, solutions = [], []
        for train, test in self._splits(logs, y):
            inside = logs[train]
            folds.append((test, AffineProblem(inside, None, y[train], curvature)))
            solutions.append(start_solution(inside, y[train], beta))
        kept = solutions
        best, chosen = np.inf, float("nan")
        for ridge in check_penalties(self.bias_ridges, "bias_ridges"):
            self.bias_ridge_ = ridge
            held_out = np.empty_like(logs)
            for k, (test, problem) in enumerate(folds):
                found = solutions[k] = self._step(problem, 0.0, solutions[k])
                unseen = np.flatnonzero(~problem.seen)
                fitted = AffineMap(float(np.exp(found.log_beta)), found.bias, unseen)
                apply_to_rows(fitted, logs, test, held_out)
            loss = mean_log_loss(held_out, y)
            if loss < best:
                best, chosen, kept = loss, ridge, list(solutions)
                self.out_of_fold_ = held_out
            elif loss > PATIENCE * best:
                break
        self.bias_ridge_ = chosen
        return curvature, kept

    def _step(self, problem: AffineProblem, ridge: float, start: Solution) -> Solution:
        return problem.solve(ridge, self.bias_ridge_, start, max_iter=self.max_iter)

    def _keep_identity(self) -> None:
        super()._keep_identity()
        self.bias_ = np.zeros(self.n_features_in_)


def check_penalties(values: Any, name: str) -> list[float]:
    """Checked penalties > 0, strong ones first."""
    listed = [check_number(value, name, low=0.0, open_low=True) for value in values]
    if not listed:
        fail(name, "one number > 0 or more", "none")
    return sorted(listed, reverse=True)


def unseen_message(unseen: Ints, n_classes: int) -> str:
    """A warning that classes have no label."""
    shown = first_few(unseen.tolist())
    return (
        f"{len(unseen)} of {n_classes} classes have no row in the fit split ({shown}); nothing is "
        "learned about them, so temperature scaling alone sets their share"
    )
