"""What every calibrator of saved scores is: fitted, kept if it helps out of fold, applied."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from postproc.calibration.affine import (
    LOG_BETA,
    Floats,
    Ints,
    identity_map,
    mean_log_loss,
    unseen_classes,
)
from postproc.calibration.mixing import MixedMap, mix_uniform
from postproc.calibration.score_maps import apply_map, as_logs, check_like_fitted, like_scores
from postproc.evaluation.folds import random_folds
from postproc.scores.arrays import Array
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import check_count, check_labels, fail
from postproc.scores.codes import coded
from postproc.scores.estimators import ProbabilityMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.threads import blas_threads_for
from postproc.scores.zeros import are_absent, find_zeros, warn_of_zeros


class Calibrator(ProbabilityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Base of all calibrators. A subclass has `_search`, which sets `model_` and `out_of_fold_`."""

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
            If classes have no label, many probabilities are exactly 0, the temperature is at the
            bound of its range, or the optimizer has not converged.
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
        zeros, given_logs = find_zeros([logs]), logs
        if zeros.share:
            logs = np.maximum(logs, zeros.log)
        with blas_threads_for(logs.size):
            self._search(logs, labels)
        if not are_absent(given.kind, given_logs[np.arange(len(labels)), labels]):
            warn_of_zeros([zeros], [given.name], stacklevel=3)
        if abs(np.log(self.inverse_temperature_)) > LOG_BETA - 0.01:
            msg = (
                f"the temperature is {self.temperature_:.3g}, at the bound of its range, so the "
                "scores are not calibrated; scale them to log-odds first"
            )
            warnings.warn(coded("at-bound", msg), UserWarning, stacklevel=3)
        share = 1.0 / (len(labels) + 1)
        self.model_ = MixedMap(self.model_, share, zeros.log)
        for rows in row_blocks(*logs.shape, block_bytes=DEFAULT_SIZES.cached):
            self.out_of_fold_[rows] = mix_uniform(self.out_of_fold_[rows], share)
        self.held_out_log_loss_ = mean_log_loss(self.out_of_fold_, labels)
        self.identity_log_loss_ = mean_log_loss(given_logs, labels)
        alike = bool((logs == logs[0]).all())
        if alike:
            msg = "all rows of the fit split are the same, so nothing can be learned from them"
            warnings.warn(coded("all-alike", msg), UserWarning, stacklevel=3)
        self.improved_ = bool(self.held_out_log_loss_ < self.identity_log_loss_) and not alike
        if not self.improved_:
            self.model_, self.out_of_fold_ = identity_map(logs.shape[1]), given_logs
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


def unseen_message(unseen: Ints, n_classes: int) -> str:
    """A warning that classes have no label."""
    shown = first_few(unseen.tolist())
    return (
        f"{len(unseen)} of {n_classes} classes have no row in the fit split ({shown}); nothing is "
        "learned about them, so temperature scaling alone sets their share"
    )
