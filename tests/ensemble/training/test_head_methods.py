"""Training methods of heads: what is accepted, and when one is chosen."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import ensemble
from ensemble.training.head_methods import (
    GRID,
    PLAIN,
    HeadMethods,
    check_training,
    choose_methods,
    gain_of,
)
from tests.ensemble.conftest import make_members


def test_what_is_asked_for():
    assert check_training(None) == (PLAIN,)
    assert check_training({}) == (PLAIN,)
    assert check_training("auto") == GRID
    assert check_training({"flooding": 0, "fgm": np.float64(0.5)}) == (
        HeadMethods(flooding=0.0, fgm=0.5),
    )
    assert str(PLAIN) == "none"
    assert str(HeadMethods(fgm=0.5, child_free=0.3)) == "fgm=0.5,child_free=0.3"


@pytest.mark.parametrize(
    ("training", "error", "message"),
    [
        ({"flood": 0.1}, ValueError, "`training` must be of the methods flooding, fgm, "),
        ({"fgm": 0.0}, ValueError, r"`training\['fgm'\]` must be in \(0, inf\), got 0"),
        ({"flooding": -1}, ValueError, r"`training\['flooding'\]` must be in \[0, inf\), got -1"),
        ({"child_free": 1.5}, ValueError, r"`training\['child_free'\]` must be in \(0, 1\]"),
        ({"child_free": 0.3, "child_driven": 0.3}, ValueError, "must be one way of child tuning"),
        ({"fgm": "much"}, TypeError, "got 'much'"),
        ("plain", TypeError, '`training` must be None, "auto" or a mapping'),
    ],
)
@pytest.mark.parametrize("make", [ensemble.Stacking, ensemble.YTuning, ensemble.DevilsAdvocate])
def test_errors(make, training, error, message):
    with pytest.raises(error, match=message):
        make(training=training).fit(*make_members())


def test_gain_is_the_mean_with_the_interval_of_student():
    from scipy import stats

    differences = np.random.default_rng(0).normal(0.1, 1, 50)
    low, high = stats.t.interval(0.95, 49, differences.mean(), stats.sem(differences))
    np.testing.assert_allclose(gain_of(differences), [differences.mean(), low, high], rtol=1e-6)


def rehearse(gains, n=300):
    """Choose where each method lowers the losses by so much on average, with some noise."""
    rng = np.random.default_rng(0)
    plain = rng.gamma(1.0, 1.0, n)
    tried = {
        methods: plain - gain + 0.1 * rng.standard_normal(n)
        for methods, gain in zip(GRID, gains, strict=False)
    }
    return choose_methods(plain, tried, [np.arange(n) % 5 == fold for fold in range(5)])


def test_the_best_of_methods_that_gain_is_chosen():
    found = rehearse([0.0, 0.1, 0.02])
    assert found.chosen == GRID[1]
    assert found.gain[1] > 0
    assert found.gain[0] == pytest.approx(0.1, abs=0.02)


def test_the_first_is_chosen_of_those_that_gain_the_same():
    assert rehearse([0.1, 0.1, 0.1]).chosen == GRID[0]


@pytest.mark.parametrize("gains", [(0.0, 0.0, 0.0), (-0.1, -0.02, -0.1), (0.001, 0.0, 0.0)])
def test_no_method_without_a_clear_gain(gains):
    assert rehearse(gains).chosen == PLAIN


def test_methods_by_chance_are_seldom_chosen():
    """Six methods that do nothing, forty times over: none is adopted more often than promised."""
    rng = np.random.default_rng(1)
    folds = [np.arange(200) % 5 == fold for fold in range(5)]
    adopted = 0
    for _ in range(40):
        plain = rng.gamma(1.0, 1.0, 200)
        tried = {each: plain + 0.1 * rng.standard_normal(200) for each in GRID}
        adopted += choose_methods(plain, tried, folds).chosen != PLAIN
    assert adopted <= 4


def test_without_methods_stacking_loads_no_torch():
    code = (
        "import sys, ensemble; a = [[.9, .1], [.8, .2], [.3, .7], [.1, .9]];"
        "ensemble.Stacking(n_folds=2).fit([a, a], [0, 0, 1, 1]).predict([a, a]);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestStacking:
    def test_a_gentle_step_stays_near_the_minimum(self, fit_split, target_split):
        """The minimum of the ridge is where training starts; nearly plain training stays there."""
        cs = {"cs": (0.1,)}
        plain = ensemble.Stacking(**cs).fit(*fit_split)
        moved = ensemble.Stacking(training={"fgm": 1e-6}, **cs).fit(*fit_split)
        a, b = (model.predict_proba(target_split[0]) for model in (plain, moved))
        assert np.abs(a - b).max() < 0.03
        assert not np.array_equal(a, b)

    def test_two_classes_have_one_column_of_coefficients_in_the_ridge(self):
        members, y = make_members(n_classes=2, n_rows=200)
        plain = ensemble.Stacking(cs=(0.01,)).fit(members, y)
        moved = ensemble.Stacking(cs=(0.01,), training={"fgm": 1e-6}).fit(members, y)
        a, b = (model.predict_proba(members) for model in (plain, moved))
        assert np.abs(a - b).max() < 0.02

    def test_flooding_lifts_the_loss_to_its_level(self, fit_split):
        members, y = fit_split

        def loss(training):
            probs = ensemble.Stacking(cs=(10.0,), training=training).fit(members, y)
            return -np.log(probs.predict_proba(members)[np.arange(len(y)), y]).mean()

        assert loss(None) < 0.15
        assert loss({"flooding": 0.3}) == pytest.approx(0.3, abs=0.1)

    def test_auto_says_what_it_chose(self, fit_split):
        model = ensemble.Stacking(cs=(0.1,), training="auto", n_folds=3).fit(*fit_split)
        assert model.training_gain_.shape == (3,)
        assert (model.training_ == {}) == (model.training_gain_[1] <= 0)
        plain = ensemble.Stacking(cs=(0.1,), n_folds=3).fit(*fit_split)
        assert (plain.training_, plain.training_gain_) == ({}, None)
        if not model.training_:
            np.testing.assert_array_equal(plain.head_.coef, model.head_.coef)

    def test_same_for_a_seed_in_any_order_of_the_rows(self, fit_split):
        members, y = fit_split
        options = {"cs": (0.1,), "training": {"child_free": 0.3, "flooding": 0.1}, "seed": 4}
        a = ensemble.Stacking(**options).fit(members, y)
        order = np.random.default_rng(0).permutation(len(y))
        b = ensemble.Stacking(**options).fit([z[order] for z in members], y[order])
        np.testing.assert_allclose(a.head_.coef, b.head_.coef, atol=1e-3)
        again = ensemble.Stacking(**options).fit(members, y)
        np.testing.assert_array_equal(a.head_.coef, again.head_.coef)


class TestDevil:
    @pytest.mark.parametrize(
        "methods",
        [{"flooding": 0.5}, {"fgm": 0.5}, {"child_driven": 0.3}, {"label_denoising": 1.0}],
    )
    def test_methods_change_norm_models_but_never_the_devil(self, methods, fit_split):
        quick = {"epochs": 6, "seeds": 1, "n_folds": 3, "head": "affine", "discussion_weight": 0.1}
        plain = ensemble.DevilsAdvocate(**quick).fit(*fit_split)
        model = ensemble.DevilsAdvocate(training=methods, **quick).fit(*fit_split)
        np.testing.assert_array_equal(model.heads_.coef, plain.heads_.coef)
        assert not np.array_equal(model.heads_.slopes, plain.heads_.slopes)
        assert (model.training_, plain.training_) == (methods, {})
        assert all("=" in name for name in model.cv_log_loss_)

    def test_the_driven_child_is_the_share_of_each_norm_model(self, fit_split):
        model = ensemble.DevilsAdvocate(
            epochs=3, seeds=1, n_folds=3, head="affine", training={"child_driven": 0.2}
        ).fit(*fit_split)
        slopes, biases = model.heads_.slopes, model.heads_.biases
        for m in range(len(slopes)):
            moved = np.count_nonzero(slopes[m]) + np.count_nonzero(biases[m])
            assert moved in (0, round(0.2 * (slopes[m].size + biases[m].size)))

    def test_auto_tries_the_grid_with_the_best_head(self, fit_split):
        quick = {"epochs": 3, "seeds": 1, "n_folds": 3, "head": "bias", "discussion_weight": 0.0}
        model = ensemble.DevilsAdvocate(training="auto", **quick).fit(*fit_split)
        assert set(model.cv_log_loss_) == {"bias, 0", *(f"bias, 0, {each}" for each in GRID)}
        assert (model.training_ == {}) == (model.training_gain_[1] <= 0)
