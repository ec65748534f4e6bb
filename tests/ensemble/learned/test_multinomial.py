"""Multinomial regression against its own objective and scikit-learn; folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from ensemble.learned.multinomial import MultinomialProblem
from postproc import softmax
from postproc.evaluation.folds import stratified_folds


def test_folds_follow_their_rows_and_spread_the_classes():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((103, 3)), rng.integers(4, size=103)
    folds = stratified_folds(x, y, 5, 0)
    order = rng.permutation(103)
    np.testing.assert_array_equal(stratified_folds(x[order], y[order], 5, 0), folds[order])
    sizes = np.array([np.bincount(folds[y == c], minlength=5) for c in range(4)])
    assert np.ptp(sizes, axis=1).max() <= 1
    assert np.ptp(np.bincount(folds)) <= 1


@pytest.mark.parametrize("shape", [(200, 6), (20, 40)])
@pytest.mark.parametrize("ridge", [0.3, 10.0])
def test_multinomial_is_the_optimum(shape, ridge):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) @ np.diag(np.geomspace(0.01, 5, shape[1]))
    y = np.arange(shape[0]) % 3
    guess = np.full((shape[0], 3), 1 / 3)

    def loss(theta):
        w, b = theta[: 3 * shape[1]].reshape(-1, 3), theta[3 * shape[1] :]
        fit = log_loss(y, softmax(x @ w + b))
        return fit + (ridge * np.sum(w**2) + np.sum(b**2) / 2) / shape[0]

    fit = MultinomialProblem(x, y, guess).solve(ridge, tolerance=1e-13)
    theta = np.concatenate([fit.coef.ravel(), fit.intercept])
    assert fit.converged
    assert fit.loss == pytest.approx(loss(theta), abs=1e-12)
    rng = np.random.default_rng(1)
    for scale in (1e-1, 1e-2, 1e-3):  # a convex function: no better point nearby, none anywhere
        for _ in range(20):
            assert loss(theta + scale * rng.standard_normal(theta.shape)) > fit.loss


def test_multinomial_from_a_start_gives_the_same():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((100, 4)), rng.integers(3, size=100)
    problem = MultinomialProblem(x, y, np.full((100, 3), 1 / 3))
    cold = problem.solve(1.0, tolerance=1e-13)
    warm = problem.solve(1.0, start=problem.solve(30.0), tolerance=1e-13)
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-4)


def test_multinomial_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 5)), rng.integers(4, size=300)
    ours = MultinomialProblem(x, y, np.full((300, 4), 0.25)).solve(2.0, tolerance=1e-14)
    theirs = LogisticRegression(C=1 / (2 * 2.0), tol=1e-10, max_iter=5000).fit(x, y)
    np.testing.assert_allclose(
        softmax(x @ ours.coef + ours.intercept), theirs.predict_proba(x), atol=5e-3
    )
