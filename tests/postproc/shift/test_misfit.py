"""Whether class frequencies explain a target: moments against loops, and what they refute."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2, kstest

from postproc import LabelShiftAdapter, softmax
from postproc.shift.evidence import PredictionMoments
from postproc.shift.misfit import ClassMoments, fit_frequencies, score_functions


def logits(y, rng, n_classes=3):
    return 1.5 * (rng.normal(size=(len(y), n_classes)) + 1.5 * np.eye(n_classes)[y])


def moments(z):
    return PredictionMoments.of(score_functions(softmax(z)))


def test_moments_of_classes_against_a_loop():
    rng = np.random.default_rng(0)
    y = np.append(rng.integers(3, size=40), [4])
    probs = softmax(logits(y, rng, 5))  # the class 3 has no row
    found = ClassMoments.of(probs, y)
    rows = np.hstack([probs, np.sqrt(probs)])
    scatter = np.zeros((10, 10))
    for c in range(5):
        own, inside = rows[y == c], probs[:, c] / probs[:, c].sum()
        pseudo = sum(w * row for w, row in zip(inside, rows, strict=True))
        np.testing.assert_allclose(found.means[c], np.vstack([own, pseudo]).mean(axis=0))
        assert found.counts[c] == len(own) + 1
        for row in own:
            scatter += np.outer(row - own.mean(axis=0), row - own.mean(axis=0))
    np.testing.assert_allclose(found.within, scatter / (41 - 4))


def test_the_frequencies_are_those_of_least_misfit():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=500)
    fit = ClassMoments.of(softmax(logits(y, rng)), y)
    target = moments(logits(rng.choice(3, 300, p=[0.6, 0.3, 0.1]), rng) + 0.5 * np.eye(3)[0])
    prior = np.array([0.6, 0.3, 0.1])
    noise = (target.scatter + 3 * fit.within) / 300**2 + fit.within * np.sum(prior**2 / fit.counts)
    inverse = np.linalg.pinv(noise, rcond=1e-9)  # probabilities sum to 1

    def misfit(free):
        rest = target.mean - np.append(free, 1 - free.sum()) @ fit.means
        return rest @ inverse @ rest

    best = minimize(misfit, [0.3, 0.3], method="Nelder-Mead", options={"fatol": 1e-9}).fun
    assert fit_frequencies(target, fit, prior).ratio == pytest.approx(best / (5 - 2), rel=1e-3)


def test_under_label_shift_the_rest_is_noise():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        y = rng.integers(3, size=1000)
        fit = ClassMoments.of(softmax(logits(y, rng)), y)
        prior = rng.dirichlet(np.full(3, 3.0))
        target = moments(logits(rng.choice(3, 600, p=prior), rng))
        found.append(fit_frequencies(target, fit, prior))
    # Covariances differ a little from class to class, so that this is no exact chi-squared.
    assert kstest([3 * each.ratio for each in found], chi2(3).cdf).statistic < 0.15
    assert not any(each.is_refuted for each in found)


@pytest.mark.parametrize("method", ["map", "em", "bbse"])
def test_moved_scores_are_warned_of(method):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=1000)
    adapter = LabelShiftAdapter(method=method).fit(logits(y, rng), y)
    shifted = rng.choice(3, 1000, p=[0.7, 0.2, 0.1])
    found = adapter.adapt_to(logits(shifted, rng)).fit
    assert found.explained > 0.95
    assert found.ratio < 3
    with pytest.warns(UserWarning, match="more than class frequencies.*PP315"):
        moved = adapter.adapt_to(logits(rng.integers(3, size=1000), rng) + 5 * np.eye(3)[0])
    assert moved.fit.is_refuted
    del adapter.class_moments_  # as a model of the first release
    assert adapter.adapt_to(logits(shifted, rng)).fit is None


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_few_rows_refute_nothing(rows):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=30)
    fit = ClassMoments.of(softmax(logits(y, rng)), y)
    found = fit_frequencies(moments(logits(np.zeros(rows, dtype=int), rng)), fit, np.ones(3) / 3)
    assert np.isfinite([found.ratio, found.explained]).all()
    assert not found.is_refuted


def test_equal_rows():
    y = np.arange(30) % 3
    fit = ClassMoments.of(np.full((30, 3), 1 / 3), y)
    found = fit_frequencies(moments(np.zeros((20, 3))), fit, np.ones(3) / 3)
    assert (found.ratio, found.explained) == (0.0, 1.0)
