"""Standard errors, intervals and tests against the bootstrap, DeLong and textbook formulas."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from postproc.evaluation.influence import (
    Estimate,
    Spread,
    corrected,
    spread_of,
    spread_of_sums,
)
from postproc.evaluation.registry import METRICS, find_metric

N, C = 400, 3


def two_models(seed=0, n=N, n_classes=C):
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, n, p=[0.6, 0.3, 0.1][:n_classes] if n_classes == C else None)
    shared = rng.normal(size=(n, n_classes))
    base, new = (
        softmax(shared + 0.6 * rng.normal(size=shared.shape) + k * np.eye(n_classes)[y], axis=1)
        for k in (1.2, 1.5)
    )
    return y, base, new


@pytest.mark.parametrize("name", METRICS)
def test_standard_errors_are_those_of_the_bootstrap(name):
    y, base, new = two_models()
    metric = find_metric(name)
    both = [metric.measure(y, p) for p in (base, new)]
    sign = 1 if metric.higher else -1

    def gain(rows):
        rows = rows.astype(np.intp)
        values = [metric.measure(y[rows], p[rows]).value for p in (base, new)]
        return sign * (values[1] - values[0])

    found = stats.bootstrap(
        (np.arange(N),),
        gain,
        n_resamples=400,
        vectorized=False,
        method="percentile",
        random_state=np.random.default_rng(3),
    )
    estimate = metric.gain(both[1], both[0])
    assert estimate.standard_error == pytest.approx(found.standard_error, rel=0.15)
    assert estimate.value == pytest.approx(sign * (both[1].value - both[0].value))


def test_groups_are_those_of_the_bootstrap_of_groups():
    rng = np.random.default_rng(4)
    y, base, _ = two_models()
    groups = rng.permutation(np.arange(N) // 8)
    members = [np.flatnonzero(groups == g) for g in range(N // 8)]
    # Rows of a group are right or wrong together.
    base = base[[members[g][0] for g in groups]]
    y = y[[members[g][0] for g in groups]]
    metric = find_metric("macro_f1")

    def value(drawn):
        rows = np.concatenate([members[g] for g in drawn.astype(np.intp)])
        return metric.measure(y[rows], base[rows]).value

    found = stats.bootstrap(
        (np.arange(N // 8),),
        value,
        n_resamples=400,
        vectorized=False,
        method="percentile",
        random_state=np.random.default_rng(3),
    )
    clustered = metric.estimate(metric.measure(y, base), groups=groups)
    assert clustered.standard_error == pytest.approx(found.standard_error, rel=0.25)
    alone = metric.estimate(metric.measure(y, base))
    assert clustered.standard_error > 2 * alone.standard_error
    assert (clustered.units, alone.units) == (N // 8, N)


def test_auc_has_delongs_variance():
    y, base, _ = two_models(n_classes=2)
    x, z = base[y == 1, 1], base[y == 0, 1]
    wins = (x[:, None] > z).astype(float) + 0.5 * (x[:, None] == z)
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    variance = v10.var() / len(x) + v01.var() / len(z)
    metric = find_metric("auc")
    found = metric.estimate(metric.measure(y, base))
    assert found.value == pytest.approx(wins.mean(), abs=1e-12)
    few = (found.df + 1) / found.df * (N - 1) / N
    assert found.standard_error == pytest.approx(few * np.sqrt(variance * N / (N - 1)), rel=1e-12)


def test_weights_of_copies_are_copies_in_one_group():
    y, base, _ = two_models()
    copies = np.random.default_rng(5).integers(1, 4, N)
    rows = np.repeat(np.arange(N), copies)
    for metric in METRICS.values():
        weighted = metric.measure(y, base, copies.astype(float))
        repeated = metric.measure(y[rows], base[rows])
        assert weighted.value == pytest.approx(repeated.value, abs=1e-12)
        errors = (
            metric.estimate(weighted, weights=copies.astype(float)).standard_error,
            metric.estimate(repeated, groups=rows).standard_error,
        )
        assert errors[0] == pytest.approx(errors[1], rel=1e-9)


def test_standard_errors_are_textbook_ones():
    x = np.random.default_rng(0).normal(size=50)
    assert spread_of(0, x - x.mean()).error == pytest.approx(stats.sem(x))
    assert np.isnan(spread_of(0, np.zeros(1)).error)
    assert spread_of(0, x, groups=np.arange(50)) == spread_of_sums(0, x, 50)


def test_degrees_of_freedom_match_the_spread_of_the_variance():
    """Those of a chi-squared variable with the relative variance of the estimated variance."""
    rng = np.random.default_rng(0)
    for draw in (rng.normal, lambda size: (rng.random(size) < 0.05) * rng.normal(size=size)):
        variances = [np.mean(draw(size=300) ** 2) for _ in range(4000)]
        wanted = 2 * np.mean(variances) ** 2 / np.var(variances)
        found = np.median([spread_of(0, draw(size=300)).freedom for _ in range(200)])
        assert found == pytest.approx(wanted, rel=0.25)


def test_test_and_interval_of_a_gain_agree():
    x = np.random.default_rng(0).normal(0.3, 1, 40)
    gain = Estimate(x.mean(), stats.sem(x), 40)
    found = stats.ttest_1samp(x, 0)
    assert gain.p_value == pytest.approx(found.pvalue)
    assert gain.interval == pytest.approx(tuple(found.confidence_interval()))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, np.inf)])
def test_intervals_stay_within_bounds(bounds):
    for value in (*np.linspace(bounds[0], min(bounds[1], 5), 9), 0.999):
        low, high = Estimate(value, 0.3, 30, *bounds).interval
        assert bounds[0] <= low <= value <= high <= bounds[1]
    low, high = Estimate(0.5, 1e-4, 10**6, *bounds).interval
    assert (high - low) == pytest.approx(2 * 1.96e-4, rel=1e-3)


def test_detectable_gains_are_found_four_times_in_five():
    rng = np.random.default_rng(0)
    error = 0.01
    size = Estimate(0.0, error, 10**6).detectable
    drawn = [Estimate(rng.normal(size, error), error, 10**6).p_value < 0.05 for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.8, abs=0.03)


def test_equal_models_and_undefined_ones():
    same, undefined = Estimate(0.0, 0.0, 10), Estimate(0.1, float("nan"), 10)
    assert (same.p_value, same.interval) == (1.0, (0.0, 0.0))
    gains = corrected([Estimate(0.03, 0.01, 10**6), undefined, Estimate(0.05, 0.01, 10**6)])
    assert gains[1].p_holm is None
    assert gains[2].p_holm == pytest.approx(2 * gains[2].p_value)
    assert gains[0].p_holm == pytest.approx(gains[0].p_value)


@pytest.mark.parametrize(
    "deviations",
    [
        [1.0, -1.0],
        [3.0] + 99 * [0.0],  # one unit makes all of the variance
        [3.0, -2.0, 0.5] + 20 * [0.1],
        [1.0, -1.0] * 5,  # of less kurtosis than normal ones
        [2.0, -2.0, 1.0, -1.0, 0.5, -0.5, 0.0],
    ],
)
def test_spreads_are_those_of_a_naive_loop(deviations):
    n, squares, fourths = len(deviations), 0.0, 0.0
    for each in deviations:
        squares += each**2
        fourths += each**4
    kurtosis = n * fourths / squares**2
    freedom = n - 1 if kurtosis <= 3 else min(2 * n / (kurtosis - 1) - 1, n - 1)
    error = (freedom + 1) / freedom * (n - 1) / n * (squares * n / (n - 1)) ** 0.5 / (2 * n)
    found = spread_of(0.1, np.array(deviations) / 2, weights=np.full(n, 2.0))
    assert found == pytest.approx((0.1, error, freedom, n), rel=1e-12)


def test_one_unit_has_no_spread_and_equal_ones_have_none():
    one = spread_of(0.5, np.ones(1))
    assert np.isnan(one.error)
    assert (one.value, one.freedom, one.units) == (0.5, 0.0, 1)
    assert all(map(np.isnan, one.estimate().interval))
    assert spread_of(0.5, np.zeros(5)).error == 0


def test_gains_by_rounding_are_none():
    for value, error, expected in (
        (9e-7, 1e-8, (0.0, 0.0)),
        (1e-6, 1e-8, (1e-6, 1e-8)),
        (9e-7, 1e-7, (9e-7, 1e-7)),  # the part of a row, ten times that, is no rounding
    ):
        found = Spread(value, error, 99.0, 100).estimate()
        assert (found.value, found.standard_error) == expected
        assert (found.units, found.df) == (100, 99.0)
        bounded = Spread(value, error, 99.0, 100).estimate((0.0, 1.0))
        assert (bounded.value, bounded.standard_error) == (value, error)


def test_intervals_of_few_units_and_wide_ones():
    low, high = Estimate(0.0, 1.0, 2).interval
    assert (low, high) == pytest.approx((-12.7062, 12.7062), rel=1e-5)
    assert Estimate(0.5, 1e4, 30, 0.0, 1.0).interval == (0.0, 1.0)
