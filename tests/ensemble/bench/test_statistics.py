"""Ranks and tests against published values, SciPy, and values worked by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ensemble.bench.statistics import (
    friedman,
    least_p,
    mean_ranks,
    nemenyi_difference,
    signed_rank_exact,
    wilcoxon_holm,
)

# Demšar (2006), table 5a: critical values of the Nemenyi test at the level .05.
Q_05 = dict(
    zip(
        range(2, 11),
        (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164),
        strict=True,
    )
)
# Demšar (2006), table 6: AUC of C4.5 and three variants of it on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967], [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875], [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip

# Few values, so that ties are frequent.
tables = st.integers(2, 7).flatmap(
    lambda n: st.integers(3, 6).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=n, max_size=n
        )
    )
)


def test_published_example():
    assert mean_ranks(DEMSAR) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    test = friedman(DEMSAR)
    # The paper has 9.28, without the correction for ties, which makes it larger.
    uncorrected = 12 * 14 / 20 * ((mean_ranks(DEMSAR) ** 2).sum() - 25)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert test.chi2 == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).statistic)
    assert test.chi2 > uncorrected
    assert test.p_value_f < test.p_value < 0.05
    # Its critical difference at the level .10 is 1.12, that at .05 follows from the table.
    assert nemenyi_difference(4, 14, confidence=0.9) == pytest.approx(1.12, abs=0.005)


@pytest.mark.parametrize("k", Q_05)
def test_nemenyi_has_the_published_critical_values(k):
    expected = Q_05[k] * math.sqrt(k * (k + 1) / (6 * 10))
    assert nemenyi_difference(k, 10) == pytest.approx(expected, rel=5e-4)


@given(tables)
@settings(max_examples=60)
def test_friedman_is_scipy_s_with_ties(rows):
    test = friedman(rows)
    if all(len(set(row)) == 1 for row in rows):
        assert test == (0.0, 1.0, 0.0, 1.0)
        return
    expected = stats.friedmanchisquare(*np.transpose(rows))
    assert test.chi2 == pytest.approx(expected.statistic, abs=1e-9)
    assert test.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_friedman_by_hand():
    # Rank sums 4, 8, 12 of four unanimous blocks: chi2 = 12 / (4·3·4) · (16 + 64 + 144) - 48 = 8.
    test = friedman([[3, 2, 1]] * 4)
    assert test.chi2 == pytest.approx(8)
    assert test.p_value == pytest.approx(math.exp(-4))
    assert test.f == math.inf
    assert test.p_value_f == 0.0
    # F = (N - 1) chi2 / (N (k - 1) - chi2) = 3 · 4.5 / (8 - 4.5).
    test = friedman([[3, 2, 1], [3, 1, 2], [3, 2, 1], [2, 3, 1]])
    assert test.f == pytest.approx(3 * 4.5 / 3.5)
    assert test.p_value_f == pytest.approx(stats.f.sf(3 * 4.5 / 3.5, 2, 6))


def test_two_methods_are_compared_too():
    assert friedman([[2, 1], [2, 1], [1, 2]]).chi2 == pytest.approx(1 / 3)


@given(tables)
@settings(max_examples=40)
def test_mean_ranks_are_those_of_counting(rows):
    expected = np.zeros(len(rows[0]))
    for row in rows:
        for j, value in enumerate(row):
            above = sum(other > value for other in row)
            expected[j] += above + (sum(other == value for other in row) + 1) / 2
    assert mean_ranks(rows) == pytest.approx(expected / len(rows))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=60)
def test_signed_ranks_count_all_choices_of_signs(values):
    kept = [value for value in values if value]
    ranks = stats.rankdata(np.abs(kept))

    def distance(signs):
        return abs(sum(r for r, sign in zip(ranks, signs, strict=True) if sign) - sum(ranks) / 2)

    own = distance([value > 0 for value in kept])
    chosen = [distance(signs) for signs in itertools.product((False, True), repeat=len(kept))]
    expected = np.mean([d >= own - 1e-9 for d in chosen])
    assert signed_rank_exact(values) == pytest.approx(expected)


@pytest.mark.parametrize("n", [5, 12, 40])
def test_signed_ranks_without_ties_are_scipy_s_exact_test(n):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    expected = stats.wilcoxon(values, method="exact").pvalue
    assert signed_rank_exact(values) == pytest.approx(expected, rel=1e-9)


def test_many_blocks_do_not_overflow():
    values = np.random.default_rng(0).normal(0.1, 1, 300)
    expected = stats.wilcoxon(values, method="approx", correction=True).pvalue
    assert signed_rank_exact(values) == pytest.approx(expected, rel=0.02)


def test_holm_corrects_over_the_methods():
    differences = np.random.default_rng(1).normal([0.0, 0.5, 1.0, 2.0], 1, (12, 4))
    tests = wilcoxon_holm(differences)
    p_values = [stats.wilcoxon(column, method="exact").pvalue for column in differences.T]
    assert [test.p_value for test in tests] == pytest.approx(p_values)
    corrected = multipletests(p_values, method="holm")[1]
    assert [test.p_holm for test in tests] == pytest.approx(list(corrected))


def test_a_method_that_changes_nothing_has_p_one():
    assert wilcoxon_holm(np.zeros((7, 1))) == [(1.0, 1.0)]


@pytest.mark.parametrize(("n_blocks", "n_methods"), [(3, 1), (7, 13), (12, 4)])
def test_the_least_p_is_reached_where_all_blocks_agree(n_blocks, n_methods):
    differences = np.arange(1.0, n_blocks + 1)[:, None] * np.ones(n_methods)
    least = min(test.p_holm for test in wilcoxon_holm(differences))
    assert least_p(n_blocks, n_methods) == pytest.approx(least)
