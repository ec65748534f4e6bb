"""scikit-learn's own checks, through an adapter that turns any data into scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

import ensemble
import postproc
from ensemble.base import MemberEstimator

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of few rows and small shifts

SINGLE = {
    "temperature": postproc.TemperatureScaling(),
    "bcts": postproc.BiasCorrectedTemperatureScaling(),
    "matrix": postproc.ResidualMatrixScaling(),
    "structured": postproc.StructuredScaling(),
    "pooled": postproc.PooledScaling(),
    "can": postproc.CAN("uniform"),
    "map": postproc.LabelShiftAdapter(),
    "bbse": postproc.LabelShiftAdapter(method="bbse"),
    "shifted can": postproc.LabelShiftAdapter(method="can"),
    "class weights": postproc.ClassWeights(),
    "selective": postproc.SelectiveClassifier(coverage=1.0),
    "sets": postproc.ConformalSets(),
}
TWO_CLASSES = {
    "beta": postproc.BetaCalibration(),
    "quadratic": postproc.QuadraticScaling(),
    "venn-abers": postproc.VennAbersCalibration(),
    "binary": postproc.BinaryCalibration(),
}
MULTILABEL = {
    "labels": postproc.MultilabelCalibration(),
    "label shift": postproc.MultilabelShiftAdapter(),
    "label pool": ensemble.LabelPool(),
    "label auto": ensemble.MultilabelPostprocessor(),
}
MEMBERS = {
    "soft": ensemble.Voting("soft"),
    "hard": ensemble.Voting("hard"),
    "median": ensemble.Voting("median"),
    "rank": ensemble.Voting("rank"),
    "weights": ensemble.LearnedLogPool(),
    "calibrated": ensemble.CalibratedVoting(),
    "greedy": ensemble.GreedySelection(),
    "gumbel": ensemble.GumbelSelection(size=1),
    "stack": ensemble.Stacking(cs=(0.1,)),
    "bagging": ensemble.Bagging(cs=(0.1,), n_estimators=2),
    "discriminants": ensemble.DiscriminantPool(),
    "blend": ensemble.Blend(),
    "devil": ensemble.DevilsAdvocate(),
    "auto": ensemble.AutoPostprocessor(n_rehearsals=2),
}
ESTIMATORS = {**SINGLE, **TWO_CLASSES, **MULTILABEL, **MEMBERS}


class OnScores(ClassifierMixin, BaseEstimator):
    """Two classifiers by distance, and an estimator on their scores."""

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, x, y):
        x, y = validate_data(self, x, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        if len(self.classes_) > 2 and not self.__sklearn_tags__().classifier_tags.multi_class:
            msg = "Only binary classification is supported. The type of the target is multiclass."
            raise ValueError(msg)
        self.centers_ = np.stack([x[labels == c].mean(axis=0) for c in range(len(self.classes_))])
        self.scale_ = float(np.square(x - self.centers_[labels]).mean()) + 1e-6
        self.fitted_ = clone(self.estimator)
        if self._is_multilabel:
            labels = np.eye(len(self.classes_), dtype=int)[labels]
        several = isinstance(self.estimator, MemberEstimator)
        options = {"multilabel": True} if several and self._is_multilabel else {}
        self.fitted_.fit(self._scores(x), labels, **options)
        return self

    def predict(self, x):
        found = self.fitted_.predict(self._checked(x))
        return self.classes_[found.argmax(axis=1) if found.ndim == 2 else found]

    @property
    def _is_multilabel(self):
        return self.estimator in MULTILABEL.values() or type(self.estimator) in map(
            type, MULTILABEL.values()
        )

    def _checked(self, x):
        check_is_fitted(self, "fitted_")
        return self._scores(validate_data(self, x, reset=False))

    def _scores(self, x):
        away = x[:, None, :] - self.centers_
        square = -np.square(away).sum(axis=2) / self.scale_ / 2
        if not isinstance(self.estimator, MemberEstimator):
            return square
        return [square, -np.abs(away).sum(axis=2) / np.sqrt(self.scale_)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        two = tuple(map(type, TWO_CLASSES.values()))
        tags.classifier_tags.multi_class = not isinstance(self.estimator, two)
        return tags


def reasons(estimator):
    return {}


@parametrize_with_checks(
    [OnScores(each) for each in ESTIMATORS.values()], expected_failed_checks=reasons
)
def test_checks(estimator, check):
    check(estimator)
