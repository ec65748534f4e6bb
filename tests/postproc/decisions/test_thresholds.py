"""Class weights: exact searches and scikit-learn as oracles, gains that are real, invariances."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.special import log_softmax

from postproc import ClassWeights
from postproc.decisions.ascent import ascend
from postproc.decisions.counts import SEARCHED, Counts
from postproc.decisions.nested import choose_nested, recall_error
from postproc.decisions.thresholds import (
    candidates_for,
    decide_candidates,
    fit_candidates,
    matching_bias,
)
from postproc.evaluation.registry import find_metric


def draw(n, seed, prior=(0.7, 0.2, 0.1), sharp=1.5):
    """Logits that are calibrated for a prior, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(prior), n, p=prior)
    x = rng.normal(size=(n, len(prior))) + sharp * np.eye(len(prior))[y]
    return log_softmax(sharp * x + np.log(prior), axis=1), y


@pytest.mark.parametrize("name", SEARCHED)
def test_counts_give_the_metrics_of_the_registry(name):
    rng = np.random.default_rng(0)
    y, decided = rng.choice(5, 300, p=[0.5, 0.3, 0.1, 0.1, 0]), rng.integers(4, size=(7, 300))
    decided[3] = 2
    many = Counts(
        np.bincount(y, minlength=5).astype(float),
        np.stack([np.bincount(d, minlength=5) for d in decided]).astype(float),
        np.stack([np.bincount(d[d == y], minlength=5) for d in decided]).astype(float),
        np.array([((d - y) ** 2).sum() for d in decided], dtype=float),
    )
    wanted = [find_metric(name).measure_decided(y, d, 5).value for d in decided]
    np.testing.assert_allclose(SEARCHED[name](many), wanted, atol=1e-7)


def value(name, logs, y, weights):
    return (
        find_metric(name).measure_decided(y, (logs + weights).argmax(axis=1), logs.shape[1]).value
    )


@pytest.mark.parametrize("name", SEARCHED)
def test_one_threshold_is_the_best_of_all(name):
    logs, y = draw(200, 0, (0.8, 0.2))  # f1 is of the rarer class
    found = ascend(logs, y, SEARCHED[name], np.zeros(2), np.zeros(2), 0.0)
    flips = np.sort(logs[:, 0] - logs[:, 1])
    cuts = [-20.0, *((flips[1:] + flips[:-1]) / 2), 20.0]
    best = max(value(name, logs, y, np.array([0.0, cut])) for cut in cuts)
    assert value(name, logs, y, found) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "f1_macro", "matthews_corrcoef"])
def test_one_threshold_is_as_good_as_that_of_scikit_learn(scoring):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import TunedThresholdClassifierCV

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_, self.n_features_in_ = np.arange(2), 2
            return self

        def predict_proba(self, X):
            return X

    name = {"f1_macro": "macro_f1", "matthews_corrcoef": "mcc"}.get(scoring, scoring)
    logs, y = draw(300, 1, (0.85, 0.15))
    probs = np.exp(logs)
    tuned = TunedThresholdClassifierCV(
        FrozenEstimator(Given().fit(probs, y)),
        scoring=scoring,
        thresholds=np.unique(probs[:, 1]) + 1e-12,
        cv="prefit",
        refit=False,
    ).fit(probs, y)
    found = ascend(logs, y, SEARCHED[name], np.zeros(2), np.zeros(2), 0.0)
    assert value(name, logs, y, found) == pytest.approx(tuned.best_score_, abs=1e-9)


@pytest.mark.parametrize("name", SEARCHED)
def test_ascent_reaches_nearly_the_best_of_a_grid(name):
    logs, y = draw(150, 2)
    found = ascend(logs, y, SEARCHED[name], np.zeros(3), np.zeros(3), 0.0)
    assert value(name, logs, y, found) >= value(name, logs, y, np.zeros(3))
    grid = product(np.linspace(-2, 2, 17), repeat=2)
    best = max(value(name, logs, y, np.array([0.0, *point])) for point in grid)
    assert value(name, logs, y, found) >= best - 0.02


def test_a_strong_penalty_keeps_the_center():
    logs, y = draw(150, 2)
    center = np.array([0.3, -0.2, -0.1])
    found = ascend(logs, y, SEARCHED["macro_f1"], center, center, 1e6)
    np.testing.assert_array_equal(found, center)


def test_bias_gives_each_class_its_count():
    logs, _ = draw(2000, 3)
    probs, counts = np.exp(logs), np.array([500.0, 500.0, 1000.0])
    moved = np.exp(log_softmax(logs + matching_bias(probs, counts), axis=1))
    np.testing.assert_allclose(moved.sum(axis=0), counts, atol=0.5)


def test_balanced_accuracy_takes_weights_of_one_over_the_prior():
    logs, y = draw(20_000, 4)
    weights = ClassWeights(metric="balanced_accuracy", kind="logits").fit(logs, y).weights_
    np.testing.assert_allclose(
        np.log(weights), -np.log([0.7, 0.2, 0.1]) + np.log([0.7, 0.2, 0.1]).mean(), atol=0.25
    )


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "mcc", "kappa"])
def test_gains_are_real_on_other_rows(name):
    logs, y = draw(3000, 5, (0.9, 0.07, 0.03))
    test, truth = draw(20_000, 6, (0.9, 0.07, 0.03))
    found = ClassWeights(metric=name, kind="logits").fit(logs, y)
    gain = value(name, test, truth, np.log(found.weights_)) - value(name, test, truth, 0.0)
    low, high = found.gain_ci_
    assert found.improved_ == (low > 0)
    assert gain > -0.002
    assert low - 0.02 < gain < high + 0.02
    if name in ("balanced_accuracy", "macro_f1"):
        assert found.improved_
        assert gain > 0.01


def test_what_cannot_be_improved_is_left_alone():
    for seed in range(5):
        logs, y = draw(400, seed, (1 / 3, 1 / 3, 1 / 3))
        found = ClassWeights(metric="balanced_accuracy", kind="logits").fit(logs, y)
        assert found.improved_ == (found.gain_ci_[0] > 0)
        if not found.improved_:
            assert found.weights_.tolist() == [1.0, 1.0, 1.0]
            assert (found.predict(logs) == logs.argmax(axis=1)).all()


def test_quoted_gain_takes_no_label_of_the_rows_it_is_measured_on():
    logs, y = draw(300, 7)
    metric, candidates = find_metric("macro_f1"), candidates_for(300, 3)
    folds = np.arange(300) % 3

    def decided(labels):
        decide = partial(decide_candidates, logs, labels, candidates, metric.name)
        return choose_nested(decide, labels, folds, metric, 3).decided

    other = np.where(folds == 1, 2, y)
    assert (decided(y)[folds == 1] == decided(other)[folds == 1]).all()


def test_order_of_rows_does_not_matter():
    logs, y = draw(400, 8)
    order = np.random.default_rng(0).permutation(400)
    one = ClassWeights(metric="macro_f1", kind="logits").fit(logs, y)
    other = ClassWeights(metric="macro_f1", kind="logits").fit(logs[order], y[order])
    np.testing.assert_allclose(one.weights_, other.weights_, rtol=1e-6)
    assert one.gain_ == pytest.approx(other.gain_)


def test_error_of_a_gain_in_recall_is_that_of_the_loop():
    rng = np.random.default_rng(0)
    y, new, old = rng.choice(4, (3, 200), p=[0.6, 0.3, 0.1, 0.0])
    variances = []
    for c in range(3):
        rows = y == c
        change = (new[rows] == c).astype(float) - (old[rows] == c)
        cells = np.array(
            [(change == d).sum() + extra for d, extra in ((1, 0.5), (-1, 0.5), (0, 1))]
        )
        shares = cells / cells.sum()
        variances.append((shares[0] + shares[1] - (shares[0] - shares[1]) ** 2) / cells.sum())
    assert recall_error(y, new, old) == pytest.approx(np.sqrt(sum(variances)) / 3)


def test_few_rows_that_all_stay_right_are_no_evidence():
    """Class 0 has six rows, of which hardly any seems to be lost on the fit rows."""
    changed = []
    for seed in range(8):
        logs, y = draw(600, seed, (0.01, 0.33, 0.66), sharp=2.0)
        logs = log_softmax(logs - np.log([0.01, 0.33, 0.66]), axis=1)  # as for equal classes
        found = ClassWeights(metric="balanced_accuracy", kind="logits").fit(logs, y)
        changed.append(found.improved_)
    assert not any(changed)


def test_classes_without_a_row_have_finite_weights():
    logs, y = draw(200, 9, (0.7, 0.2, 0.05, 0.05))
    found = fit_candidates(logs, np.minimum(y, 2), candidates_for(200, 4), "macro_f1")
    assert np.isfinite(found).all()


def test_two_classes_have_a_threshold_and_three_have_none():
    logs, y = draw(3000, 10, (0.9, 0.1))
    found = ClassWeights(kind="logits").fit(logs, y)
    assert 0.02 < found.threshold_ < 0.3
    probs = np.exp(logs)[:, 1]
    clear = np.abs(probs - found.threshold_) > 1e-9
    assert ((probs > found.threshold_) == found.predict(logs))[clear].all()
    with pytest.raises(ValueError, match="`n_features_in_` must be 2 for a threshold, got 3"):
        _ = ClassWeights(kind="logits").fit(*draw(100, 0)).threshold_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "f1"}, "`metric` must be one of .* for multiclass predictions, got f1"),
        ({"metric": "log_loss"}, '`metric` must be one of "accuracy", "balanced_accuracy"'),
        ({"n_folds": 2}, "`n_folds` must be an integer >= 3, got 2"),
        ({"n_folds": 31}, "`scores` must be an array of 31 rows or more, one a fold, got 30"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ClassWeights(kind="logits", **options).fit(*draw(30, 0))
