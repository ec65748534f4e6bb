"""Thresholds of labels: exhaustive searches as oracles, real gains, limits, invariances."""

import math
from itertools import product

import numpy as np
import pytest

from postproc import LabelThresholds
from postproc.decisions.label_cuts import fit_cuts
from postproc.decisions.label_thresholds import STRENGTHS
from postproc.evaluation.registry import find_metric

METRICS = ("macro_f1", "micro_f1")


def draw(n, seed, rates=(0.3, 0.1, 0.04), bias=0.0):
    """Log-odds that are calibrated but for a bias, and labels."""
    rng = np.random.default_rng(seed)
    rates = np.array(rates)
    y = (rng.random((n, len(rates))) < rates).astype(int)
    z = np.log(rates / (1 - rates)) + 2 * (2 * y - 2 + rng.normal(size=y.shape)) + 2
    return z + bias, y


def value(name, y, decided):
    return find_metric(name).measure_decided(y, decided, y.shape[1]).value


def own_cuts(z):
    levels = np.unique(z)
    return [levels[0] - 1, *(levels[1:] + levels[:-1]) / 2, levels[-1] + 1]


@pytest.mark.parametrize("name", METRICS)
def test_cuts_of_single_labels_are_the_best_of_all(name):
    z, y = draw(14, 0, (0.4, 0.3))
    cuts = fit_cuts(z, y, [1e-9], name)[0]
    best = max(value(name, y, z >= np.array(pair)) for pair in product(*map(own_cuts, z.T)))
    assert value(name, y, z >= cuts) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_the_cut_in_common_is_the_best_of_all(name):
    z, y = draw(60, 1)
    cuts = fit_cuts(z, y, [math.inf], name)[0]
    assert len(set(cuts.tolist())) == 1
    best = max(value(name, y, z >= cut) for cut in own_cuts(z))
    assert value(name, y, z >= cuts[0]) == pytest.approx(best, abs=1e-12)


def test_a_cut_counts_rows_of_an_average_label_as_its_own():
    z, y = draw(80, 2)
    strength, positives = 7.0, y.sum()
    common, cuts = fit_cuts(z, y, [math.inf, strength], "macro_f1")
    pool, own = z.ravel(), y.ravel() == 1
    for j, cut in enumerate(cuts):

        def f1(t, j=j):
            right = (z[y[:, j] == 1, j] >= t).sum() + strength * (pool[own] >= t).sum() / positives
            decided = (z[:, j] >= t).sum() + strength * (pool >= t).sum() / positives
            return 2 * right / (y[:, j].sum() + strength + decided)

        best = max(map(f1, [*own_cuts(z[:, j]), common[0]]))
        assert f1(cut) == pytest.approx(best, abs=1e-12)


def test_one_label_has_the_threshold_of_scikit_learn():
    from sklearn.metrics import precision_recall_curve

    z, y = draw(300, 3, (0.2,))
    precision, recall, _ = precision_recall_curve(y[:, 0], z[:, 0])
    best = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    cuts = fit_cuts(z, y, [1e-9], "macro_f1")[0]
    assert value("macro_f1", y, z >= cuts) == pytest.approx(best, abs=1e-9)


def test_a_label_without_a_positive_row_keeps_close_to_the_others():
    z, y = draw(400, 4)
    y[:, 2] = 0
    for name in METRICS:
        cuts = fit_cuts(z, y, STRENGTHS, name)
        assert np.isfinite(cuts).all()
        assert cuts[-1, 2] >= cuts[0, 2]  # it is decided more rarely, as no row has it


@pytest.mark.parametrize("name", METRICS)
def test_gains_are_real_on_other_rows(name):
    z, y = draw(1500, 5, bias=np.array([-1.0, -2.0, 0.5]))
    test, truth = draw(20_000, 6, bias=np.array([-1.0, -2.0, 0.5]))
    found = LabelThresholds(metric=name, kind="logits").fit(z, y)
    assert found.improved_
    gain = value(name, truth, found.predict(test)) - value(name, truth, test >= 0)
    low, high = found.gain_ci_
    assert low > 0
    assert low - 0.03 < gain < high + 0.03


def test_what_cannot_be_improved_is_left_alone():
    for seed in range(5):
        z, y = draw(300, seed, (0.5, 0.5, 0.5))
        found = LabelThresholds(metric="micro_f1", kind="logits").fit(10 * z, y)
        assert found.improved_ == (found.gain_ci_[0] > 0)
        if not found.improved_:
            assert found.thresholds_.tolist() == [0.5] * 3
            assert found.strength_ is None
            assert (found.predict(10 * z) == (z >= 0)).all()


def test_order_of_rows_does_not_matter():
    z, y = draw(400, 8, bias=-1.0)
    order = np.random.default_rng(0).permutation(400)
    one = LabelThresholds(kind="logits").fit(z, y)
    other = LabelThresholds(kind="logits").fit(z[order], y[order])
    np.testing.assert_allclose(one.thresholds_, other.thresholds_, rtol=1e-9)
    assert one.gain_ == pytest.approx(other.gain_)


def test_probabilities_are_decided_as_their_logits():
    z, y = draw(400, 9, bias=-1.0)
    probs = 1 / (1 + np.exp(-z))
    one = LabelThresholds(kind="logits").fit(z, y)
    other = LabelThresholds(kind="probs").fit(probs, y)
    assert (one.predict(z) == other.predict(probs)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "accuracy"}, '`metric` must be one of "macro_f1", "micro_f1"'),
        ({"n_folds": 2}, "`n_folds` must be an integer >= 3, got 2"),
        ({"n_folds": 31}, "`scores` must be an array of 31 rows or more, one a fold, got 30"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LabelThresholds(kind="logits", **options).fit(*draw(30, 0))
