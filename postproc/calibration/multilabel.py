"""Calibration of labels that do not exclude each other, each shrunk to what all have in common."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from postproc.calibration.affine import Floats
from postproc.calibration.labelwise import LabelMaps, fit_labels, label_losses
from postproc.calibration.score_maps import as_type_of, check_like_fitted
from postproc.scores.arrays import Array, as_numpy, sigmoid
from postproc.scores.checks import check_count, fail
from postproc.scores.codes import coded
from postproc.scores.estimators import ProbabilityMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import check_label_matrix, label_log_odds
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.zeros import warn_of_zeros


class MultilabelCalibration(ProbabilityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    r"""One slope and offset a label: logit p' = a_l logit p + b_l, with a_l >= 0.

    A normal prior around a slope and an offset that all labels share, worth λ rows, keeps a label
    with few positive rows close to them. λ is chosen by the log-loss of held-out rows, and the map
    is used only if it lowers that.

    Parameters
    ----------
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    n_folds : int
        Folds >= 2 of the cross-validation.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    slope_, offset_ : ndarray of shape (m,)
        The map of each label.
    shared_slope_, shared_offset_ : float
        The map that they are shrunk to.
    strength_ : float
        λ; infinite where all labels have the shared map.
    improved_ : bool
        Whether held-out log-loss decreased; if not, the estimator is the identity.
    held_out_log_loss_, identity_log_loss_ : float
        Mean log-loss of a label out of fold, and of the scores as given, in nats.
    out_of_fold_ : ndarray of shape (n, m)
        Log-odds of the fit rows, each by a fit without its fold.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (m,)
        Names of the labels, or 0..m-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of labels m.
    unseen_ : ndarray of int
        Labels without a positive row in `fit`.
    converged_ : bool
        Whether the optimizer met its tolerance.
    model_ : LabelMaps
        The fitted maps.

    References
    ----------
    Platt (1999). Probabilistic outputs for support vector machines. Advances in Large Margin
    Classifiers, section 2, for each label.

    Examples
    --------
    >>> logits = [[4.0, -4.0], [-4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]] * 25
    >>> labels = [[1, 0], [0, 0], [0, 1], [0, 1]] * 25
    >>> scaling = MultilabelCalibration(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([[4.0, -4.0]]).round(1)
    array([[0.5, 0. ]])
    """

    #: Not written by `save_model`.
    unsaved = ("out_of_fold_",)

    multilabel_ = True

    def __init__(
        self, *, kind: Kind | None = None, n_folds: int = 5, random_state: int = 0
    ) -> None:
        self.kind = kind
        self.n_folds = n_folds
        self.random_state = random_state

    @takes_frames("scores", labels={"y": "scores"})
    def fit(self, scores: Array, y: Any, *, classes: Sequence[str] | None = None) -> Self:
        """Fit on labelled scores.

        Parameters
        ----------
        scores : array or tensor of shape (n, m)
            Logits or probabilities, one column a label.
        y : array_like of shape (n, m)
            Zeros and ones.
        classes : sequence of m str, optional
            Names of the labels, for messages and for aligning files later.

        Raises
        ------
        TypeError, ValueError
            If scores, labels or options are not valid.

        Warns
        -----
        UserWarning
            If labels have no positive row, many probabilities are exactly 0 or 1, or the optimizer
            has not converged.
        """
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.random_state, "random_state", low=0)
        given = Predictions.check(
            scores, kind=self.kind, classes=classes, name="scores", multilabel=True
        )
        labels = check_label_matrix(y, given, name="y")
        if len(labels) < 2:
            fail("scores", "an array of 2 rows or more", f"{len(labels)}")
        self.kind_, self.n_features_in_ = given.kind, given.n_classes
        self.class_names_ = None if given.classes is None else list(given.classes)
        self.n_rows_ = len(labels)
        self.unseen_ = np.flatnonzero(labels.sum(axis=0) == 0)
        z = label_log_odds(as_numpy(given.scores), given.kind)
        found = fit_labels(z[:, :, None], labels, n_folds=n_folds, seed=seed)
        self.model_, self.strength_ = found.maps, found.strength
        self.shared_slope_ = float(found.shared.weights[0, 0])
        self.shared_offset_ = float(found.shared.bias[0])
        self.out_of_fold_, self.held_out_log_loss_ = found.held_out, found.log_loss
        self.identity_log_loss_ = float(label_losses(z, labels).mean())
        self.converged_ = found.converged
        warn_of_zeros(found.zeros, [given.name], stacklevel=3)
        self.improved_ = self.held_out_log_loss_ < self.identity_log_loss_
        if not self.improved_:
            m = given.n_classes
            self.model_, self.out_of_fold_ = LabelMaps(np.ones((m, 1)), np.zeros(m)), z
        self._warn()
        return self

    @takes_frames("scores", returns="scores")
    def predict_proba(self, scores: Array) -> Array:
        """Calibrated probabilities of scores (n, m) of the kind that `fit` has seen.

        Returns
        -------
        array or tensor of shape (n, m)
            Float32 for floats of 32 bits or fewer, else float64.
        """
        checked = check_like_fitted(self, scores, multilabel=True)
        return as_type_of(calibrated_labels(self.model_, checked, self.kind_), checked)

    @property
    def slope_(self) -> Floats:
        """Slope of each label, shape (m,)."""
        return np.asarray(self.model_.weights[:, 0])

    @property
    def offset_(self) -> Floats:
        """Offset of each label, shape (m,)."""
        return np.asarray(self.model_.bias)

    @property
    def temperature_(self) -> float:
        """The temperature of the shared map: 1 over its slope."""
        return 1.0 / self.shared_slope_ if self.improved_ and self.shared_slope_ else 1.0

    def _warn(self) -> None:
        """Warn of labels without positive rows, and of a rough fit."""
        if len(self.unseen_):
            shown = first_few(self.classes_[self.unseen_].tolist())
            msg = (
                f"{len(self.unseen_)} of {self.n_features_in_} labels have no positive row in the "
                f"fit split ({shown}); they are given "
                "what all labels share"
            )
            warnings.warn(coded("unseen-classes", msg), UserWarning, stacklevel=3)
        if not self.converged_:
            msg = "the optimiser has not converged; the fit is rough"
            warnings.warn(coded("converged", msg), UserWarning, stacklevel=3)


def calibrated_labels(maps: LabelMaps | None, scores: Array, kind: Kind) -> Array:
    """Probabilities (n, m) of checked scores by fitted maps, in float64; without maps their own."""
    z = label_log_odds(scores, kind)
    if maps is not None:
        z = maps.log_odds(z[:, :, None])
    return sigmoid(z)
