"""Intervals and paired tests against statsmodels, exact sums, published values and coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from postproc.evaluation.paired import (
    Comparison,
    compare,
    holm,
    mcnemar_exact,
    paired_gain_interval,
    wilson_interval,
)

counts = st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400)).filter(sum)


@given(n=st.integers(1, 10**7), data=st.data(), confidence=st.floats(0.5, 0.999))
def test_wilson_agrees_with_statsmodels(n, data, confidence):
    successes = data.draw(st.integers(0, n))
    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose(
        wilson_interval(successes, n, confidence=confidence), expected, atol=1e-12
    )


def test_wilson_ends_are_exact():
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0


@given(fixed=st.integers(0, 300), broken=st.integers(0, 300))
def test_mcnemar_agrees_with_an_exact_sum_and_with_statsmodels(fixed, broken):
    n = fixed + broken
    tail = sum(math.comb(n, k) for k in range(min(fixed, broken) + 1))
    exact = min(1.0, 2 * tail / 2**n)
    assert mcnemar_exact(fixed, broken) == pytest.approx(exact, rel=1e-10)
    theirs = mcnemar([[0, fixed], [broken, 0]], exact=True).pvalue
    assert mcnemar_exact(fixed, broken) == pytest.approx(theirs, rel=1e-10)


def test_mcnemar_of_millions_agrees_with_the_normal_limit():
    fixed, broken = 2_000_000, 2_004_000
    z = (abs(fixed - broken) - 1) / math.sqrt(fixed + broken)
    assert mcnemar_exact(fixed, broken) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


@given(counts)
def test_mcnemar_is_symmetric(table):
    fixed, broken, _ = table
    assert mcnemar_exact(fixed, broken) == mcnemar_exact(broken, fixed)


@pytest.mark.parametrize(
    ("fixed", "broken", "n", "published"),
    [
        # Airway hyper-responsiveness (Bentur et al. 2009), in Fagerland, Lydersen, Laake (2014).
        (1, 7, 21, (-0.517, -0.026)),
    ],
)
def test_paired_interval_agrees_with_published_values(fixed, broken, n, published):
    np.testing.assert_allclose(paired_gain_interval(fixed, broken, n), published, atol=5e-4)


@given(table=counts, confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_paired_interval_ends_where_the_score_test_rejects(table, confidence):
    fixed, broken, rest = table
    n = sum(table)
    z = math.sqrt(2) * _erf_inverse(confidence)
    for limit, sign in zip(
        paired_gain_interval(fixed, broken, n, confidence=confidence), (1, -1), strict=True
    ):
        assert -1 <= limit <= 1
        if abs(limit) > 1 - 1e-6:
            continue
        statistic = _score_by_search(fixed, broken, rest, limit)
        assert statistic == pytest.approx(sign * z, abs=1e-3)


def _erf_inverse(value):
    from scipy.special import erfinv

    return float(erfinv(value))


def _score_by_search(fixed, broken, rest, difference):
    """The score statistic with the nuisance rate found by a search, not by its formula."""
    from scipy.optimize import minimize_scalar

    n = fixed + broken + rest
    low, high = max(0.0, -difference), (1 - difference) / 2

    def loss(rate):
        shares = np.array([rate + difference, rate, 1 - 2 * rate - difference])
        return -np.dot([fixed, broken, rest], np.log(np.maximum(shares, 1e-300)))

    rate = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * rate + difference - difference**2)
    return (fixed - broken - n * difference) / math.sqrt(variance)


@given(counts)
def test_paired_interval_holds_the_gain_and_mirrors_with_its_sign(table):
    fixed, broken, _ = table
    n = sum(table)
    low, high = paired_gain_interval(fixed, broken, n)
    assert low <= (fixed - broken) / n <= high
    assert low < high
    np.testing.assert_allclose(paired_gain_interval(broken, fixed, n), (-high, -low), atol=1e-12)


def test_paired_interval_ends_are_exact():
    assert paired_gain_interval(5, 0, 5)[1] == 1.0
    assert paired_gain_interval(0, 5, 5)[0] == -1.0


@pytest.mark.parametrize("n", [20, 50])
def test_paired_interval_covers(n):
    tables = [(f, b) for f in range(n + 1) for b in range(n - f + 1)]
    limits = np.array([paired_gain_interval(f, b, n) for f, b in tables])
    counts = np.array([(f, b, n - f - b) for f, b in tables])
    coverages = []
    for fixed in (0.01, 0.05, 0.2, 0.4):
        for broken in (0.01, 0.05, 0.2, 0.4):
            chances = multinomial.pmf(counts, n, [fixed, broken, 1 - fixed - broken])
            gain = fixed - broken
            covered = (limits[:, 0] <= gain) & (gain <= limits[:, 1])
            coverages.append(chances[covered].sum())
    assert min(coverages) > 0.93
    assert 0.95 < np.mean(coverages) < 0.98


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_agrees_with_its_definition(p_values):
    expected = [
        max(min(1.0, sum(q >= p for q in p_values) * p) for p in p_values if p <= own)
        for own in p_values
    ]
    # Of equal p-values the first counts all that are left, so they share one corrected value.
    np.testing.assert_allclose(holm(p_values), expected, atol=1e-12)


def test_holm_agrees_with_statsmodels():
    p_values = [0.5, 0.004, 0.03, 0.03, 0.9, 0.0001]
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected, atol=1e-12)


def test_compare_counts_rows_one_by_one():
    rng = np.random.default_rng(0)
    labels, base, new = rng.integers(0, 3, (3, 200))
    fixed = sum(b != y and a == y for b, a, y in zip(base, new, labels, strict=True))
    broken = sum(b == y and a != y for b, a, y in zip(base, new, labels, strict=True))
    assert compare(base, new, labels) == Comparison(200, fixed, broken)


def test_comparison_derives_everything_from_counts():
    comparison = Comparison(rows=1000, fixed=30, broken=10)
    assert comparison.gain == 0.02
    assert comparison.gain_ci == paired_gain_interval(30, 10, 1000)
    assert comparison.p_value == mcnemar_exact(30, 10)
    assert comparison.to_dict() == {
        "gain": 0.02,
        "gain_ci": [*paired_gain_interval(30, 10, 1000)],
        "fixed": 30,
        "broken": 10,
        "p_value": mcnemar_exact(30, 10),
    }


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: wilson_interval(3, 2),
            ValueError,
            "`successes` must be an integer in 0..2, got 3",
        ),
        (lambda: wilson_interval(0, 0), ValueError, "`n` must be an integer >= 1, got 0"),
        (
            lambda: wilson_interval(1, 2, confidence=1.0),
            ValueError,
            "`confidence` must be in (0, 1), got 1.0",
        ),
        (
            lambda: wilson_interval(1, 2, confidence=95),
            ValueError,
            "`confidence` must be in [0, 1], got 95",
        ),
        (
            lambda: wilson_interval(0.5, 2),
            TypeError,
            "`successes` must be an integer in 0..2, got 0.5",
        ),
        (
            lambda: paired_gain_interval(3, 3, 5),
            ValueError,
            "`broken` must be an integer in 0..2, got 3",
        ),
        (lambda: mcnemar_exact(-1, 2), ValueError, "`fixed` must be an integer >= 0, got -1"),
        (lambda: holm([0.1, 1.5]), ValueError, "`p_values[1]` must be in [0, 1], got 1.5"),
        (
            lambda: compare([0, 1], [0], [0, 1]),
            ValueError,
            "`new_predictions` must be as long as `labels` (2 rows), got 1 rows",
        ),
        (
            lambda: compare([[0]], [0], [0]),
            ValueError,
            "`base_predictions` must be a vector of classes, shape (n,), got shape (1, 1)",
        ),
        (
            lambda: compare([0.0], [0], [0]),
            TypeError,
            "`base_predictions` must be a vector of integers or class names, got dtype float64",
        ),
        (
            lambda: compare([], [], []),
            ValueError,
            "`labels` must be one label or more, got 0 labels",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
