"""The discriminant against scikit-learn's, and its leave-one-out scores against refits."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from postproc import log_softmax, softmax
from postproc.calibration.affine import mean_log_loss
from postproc.calibration.discriminant import Discriminant, best_strength


@pytest.fixture
def task():
    """Classes of 1 to 14 rows; the features are no function of the probabilities."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), [14, 9, 6, 2, 1])
    features = rng.normal(size=(32, 7)) * np.linspace(0.2, 3, 7) + 0.8 * np.eye(5, 7)[y]
    return features, softmax(rng.normal(size=(32, 5)) + 2 * np.eye(5)[y]), y


def with_pseudo_rows(features, shares, y):
    """Rows, then one for each class at the mean that the probabilities imply."""
    own = shares.T @ features / shares.sum(axis=0)[:, None]
    return np.vstack([features, own]), np.append(y, np.arange(shares.shape[1]))


@pytest.mark.parametrize("shrinkage", [1.0, 0.5, 0.01])
def test_against_scikit_learn(task, shrinkage):
    features, shares, y = task
    rows, labels = with_pseudo_rows(*task)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(rows, labels)
    expected = theirs.decision_function(features) - np.log(theirs.priors_)
    weight, bias = Discriminant(features, shares, y).linear(shrinkage)
    np.testing.assert_allclose(
        log_softmax(features @ weight + bias), log_softmax(expected), atol=1e-6
    )


@pytest.mark.parametrize("shrinkage", [1.0, 0.5, 0.01])
def test_left_out_scores_are_those_of_refits(task, shrinkage):
    features, shares, y = task
    fits = Discriminant(features, shares, y)
    rows, labels = with_pseudo_rows(*task)
    found = log_softmax(fits.left_out(shrinkage, np.arange(len(y))))
    for i in range(len(y)):
        kept = np.arange(len(rows)) != i
        centers = np.array([rows[kept & (labels == c)].mean(axis=0) for c in range(5)])
        inside = rows[kept] - centers[labels[kept]]
        covariance = (1 - shrinkage) * inside.T @ inside / len(rows)
        covariance += shrinkage * fits.scale * np.eye(7)
        apart = features[i] - centers
        scores = -0.5 * np.einsum("ck,ck->c", apart, np.linalg.solve(covariance, apart.T).T)
        np.testing.assert_allclose(found[i], log_softmax(scores), atol=1e-8)


def test_left_out_scores_of_some_rows(task):
    fits = Discriminant(*task)
    everyone = fits.left_out(0.3, np.arange(len(task[2])))
    np.testing.assert_allclose(fits.left_out(0.3, np.array([7, 2])), everyone[[7, 2]], atol=1e-12)


def test_a_class_without_rows_sits_where_its_probabilities_are(task):
    features, shares, y = task
    fits = Discriminant(features[y != 4], shares[y != 4], y[y != 4])
    weight, bias = fits.linear(0.5)
    own = shares[y != 4].T @ features[y != 4] / shares[y != 4].sum(axis=0)[:, None]
    assert (own @ weight + bias).argmax(axis=1)[4] == 4
    assert np.isfinite(fits.left_out(0.5, np.arange(3))).all()


def test_rows_that_are_all_alike():
    y = np.arange(20) % 4
    fits = Discriminant(np.ones((20, 3)), np.full((20, 4), 0.25), y)
    np.testing.assert_allclose(softmax(fits.left_out(0.1, np.arange(20))), 0.25)


def test_the_best_strength_is_that_of_least_tempered_loss():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    signal = np.eye(3)[y]
    candidates = {4.0: 0.5 * signal, 2.0: 3 * signal, 1.0: 0 * signal}
    noise = rng.normal(size=(300, 3))
    tried = []

    def left_out(strength):
        tried.append(strength)
        return 7 * (candidates[strength] + noise)

    strength, beta = best_strength([4.0, 2.0, 1.0, 0.5], left_out, y)
    assert (strength, tried) == (2.0, [4.0, 2.0, 1.0])
    losses = [
        mean_log_loss(log_softmax(b * left_out(2.0)), y) for b in (0.9 * beta, beta, 1.1 * beta)
    ]
    assert np.argmin(losses) == 1
