"""scikit-learn's own checks, through an adapter that turns any data into scores."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

import ensemble
import postproc
from ensemble.base import MemberEstimator
from tests.ensemble.conftest import make_members

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
    "devil": ensemble.DevilsAdvocate(
        head="bias", discussion_weight=1.0, epochs=2, seeds=1, n_folds=2
    ),
    "auto": ensemble.AutoPostprocessor(n_rehearsals=2),
}
ESTIMATORS = {**SINGLE, **TWO_CLASSES, **MULTILABEL, **MEMBERS}


#: Estimators whose checks run in every run of the tests.
QUICK = ("temperature", "can", "selective", "soft")


def _is_multilabel(estimator):
    return isinstance(estimator, tuple(map(type, MULTILABEL.values())))


def _has_probabilities(adapter):
    return hasattr(adapter.estimator, "predict_proba") and not _is_multilabel(adapter.estimator)


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
        options = {}
        if _is_multilabel(self.estimator):
            labels = np.eye(len(self.classes_), dtype=int)[labels]
            options = {"multilabel": True} if isinstance(self.estimator, MemberEstimator) else {}
        self.fitted_.fit(self._scores(x), labels, **options)
        return self

    def predict(self, x):
        scores = self._checked(x)
        found = self.fitted_.predict(scores)
        return self.classes_[found.argmax(axis=1) if found.ndim == 2 else found]

    @available_if(_has_probabilities)
    def predict_proba(self, x):
        scores = self._checked(x)
        return self.fitted_.predict_proba(scores)

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


ALL_ROWS = "each row depends on all rows of the target, by design"


def reasons(adapter):
    """Checks that an estimator fails, and why it should."""
    if isinstance(adapter.estimator, postproc.LabelShiftAdapter):
        return {"check_methods_subset_invariance": ALL_ROWS}
    return {}


def checks_of(names):
    estimators = [OnScores(ESTIMATORS[name]) for name in names]
    return parametrize_with_checks(estimators, expected_failed_checks=reasons)


@checks_of(QUICK)
def test_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks_of([name for name in ESTIMATORS if name not in QUICK])
def test_checks_of_the_others(estimator, check):
    check(estimator)


#: Checks that need no data that an estimator understands.
OF_PARAMETERS = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", OF_PARAMETERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_checks_of_parameters(name, check):
    if name == "devil" and check is estimator_checks.check_no_attributes_set_in_init:
        pytest.skip("its parameter `vote` is kept under another name, as `vote` is a method, too")
    check(type(ESTIMATORS[name]).__name__, clone(ESTIMATORS[name]))


def data_for(name, n_rows=60):
    """Scores, or members, that an estimator understands, with labels and options of `fit`."""
    n_classes = 2 if name in TWO_CLASSES else 5
    members, y = make_members(seed=1, n_rows=n_rows, n_classes=n_classes)
    options = {"multilabel": True} if name in ("label pool", "label auto") else {}
    if name in MULTILABEL:
        y = np.eye(n_classes, dtype=int)[y]
    is_several = isinstance(ESTIMATORS[name], MemberEstimator)
    return members if is_several else members[0], y, options


def each(given, function):
    """A function of the scores, or of each member."""
    return [function(scores) for scores in given] if isinstance(given, list) else function(given)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_classes_after_fit_without_rows_and_of_sparse_scores(name):
    given, y, options = data_for(name)
    n_classes = 2 if name in TWO_CLASSES else 5
    model = clone(ESTIMATORS[name])
    assert not hasattr(model, "classes_")
    model.fit(given, y, **options)
    assert model.classes_.tolist() == [*range(n_classes)]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(given), model.predict(given))
    sparse = each(given, csr_array)
    for call in (lambda: model.predict(sparse), lambda: clone(model).fit(sparse, y, **options)):
        with pytest.raises(TypeError, match=r"must be a dense array, got a csr_array; call toarr"):
            call()
    nothing = each(given, lambda scores: scores[:0])
    if not isinstance(model, ensemble.Voting):  # they learn nothing from rows
        with pytest.raises(ValueError, match=r"must be .*(rows? or more|or more rows)"):
            clone(model).fit(nothing, y[:0], **options)
    try:
        assert len(model.predict(nothing)) == 0
    except ValueError as error:
        assert "one row or more, got no row" in str(error)  # noqa: PT017
    names = [f"class {c}" for c in range(n_classes)]
    assert clone(model).fit(given, y, classes=names, **options).classes_.tolist() == names


@pytest.mark.parametrize("name", [*SINGLE, *TWO_CLASSES, *MULTILABEL])
def test_grid_search_without_scoring(name):
    model = clone(ESTIMATORS[name])
    if isinstance(model, MemberEstimator):
        pytest.skip("members are a list of arrays, whose rows scikit-learn cannot pick")
    if name in ("selective", "sets"):
        pytest.skip("accuracy says nothing of abstention and of sets")
    given, y, _ = data_for(name)
    search = GridSearchCV(model, {"kind": [None, "logits"]}, cv=2).fit(given, y)
    assert 0.3 < search.best_score_ <= 1
    if name not in MULTILABEL and hasattr(model, "predict_proba"):
        losses = -cross_val_score(model, given, y, cv=2, scoring="neg_log_loss")
        assert (losses < 2).all()
