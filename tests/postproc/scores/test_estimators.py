"""Estimators in scikit-learn's searches, without rows, and given sparse matrices."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV, cross_val_score

import ensemble
import postproc

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=120)
Z = 2 * np.eye(3)[Y] + RNG.normal(size=(120, 3))

ESTIMATORS = {
    "can": (lambda: postproc.CAN(prior="uniform"), {"alpha": [0.5, 1.0]}),
    "temperature": (postproc.TemperatureScaling, {"n_folds": [3, 5]}),
    "adapter": (postproc.LabelShiftAdapter, {"method": ["em", "map"]}),
}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_parameters_are_chosen_by_accuracy(name):
    make, grid = ESTIMATORS[name]
    search = GridSearchCV(make(), grid, cv=3).fit(Z, Y)
    expected = np.mean(search.predict(Z) == Y)
    assert search.score(Z, Y) == expected
    assert len(cross_val_score(make(), Z, Y, cv=3)) == 3


def test_labels_may_be_names():
    can = postproc.CAN(prior="uniform").fit(Z, classes=["a", "b", "c"])
    assert can.score(Z, np.array(["a", "b", "c"])[Y]) == can.score(Z, Y)


def test_the_score_of_labels_of_their_own_counts_whole_rows():
    probs, labels = RNG.random((30, 4)), RNG.integers(2, size=(30, 4))
    can = postproc.CAN(multilabel=True, kind="probs").fit(probs, labels)
    expected = np.mean([(can.predict(probs)[i] == labels[i]).all() for i in range(30)])
    assert can.score(probs, labels) == expected


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_rows_to_fit_to_are_refused(name):
    with pytest.raises(ValueError, match=r"`scores` must be an array of (one|2) rows? or more"):
        ESTIMATORS[name][0]().fit(Z[:0], Y[:0])


def test_no_rows_to_predict_are_no_rows():
    pool = ensemble.LearnedLogPool().fit([Z, Z], Y)
    assert pool.predict_proba([Z[:0], Z[:0]]).shape == (0, 3)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_sparse_matrices_are_refused_by_name(name):
    message = r"must be a dense array, got a csr_matrix; call toarray\(\) first"
    with pytest.raises(TypeError, match=message):
        ESTIMATORS[name][0]().fit(sparse.csr_matrix(Z), Y)
    with pytest.raises(TypeError, match=message):
        ensemble.soft_vote([sparse.csr_matrix(Z)] * 2)
