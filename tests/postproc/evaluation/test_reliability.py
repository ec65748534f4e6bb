"""Bins of equal mass against a loop, and their independence of the order of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from postproc.evaluation.reliability import ConfidenceTally, reliability_bins


def ece_loop(confidence, correct, n_bins=15):
    """Sort, cut into bins of equal size, compare the means."""
    order = np.argsort(confidence)
    parts = np.array_split(order, min(n_bins, len(order)))
    gaps = [abs(correct[part].mean() - confidence[part].mean()) * len(part) for part in parts]
    return sum(gaps) / len(order)


@given(n=st.integers(1, 300), n_bins=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_agrees_with_the_loop_where_there_are_no_ties(n, n_bins, seed):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.permutation(np.linspace(0.1, 1, n)), rng.random(n) < 0.7
    bins = reliability_bins(confidence, correct, n_bins=n_bins)
    assert bins.ece == pytest.approx(ece_loop(confidence, correct, n_bins), abs=1e-12)
    assert bins.rows.sum() == n
    assert np.ptp(bins.rows) <= 1


@given(n=st.integers(1, 60), levels=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_ties_are_shared_out_as_the_mean_over_all_orders(n, levels, seed):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.integers(1, levels + 1, n) / levels, rng.random(n) < 0.6
    bins = reliability_bins(confidence, correct, n_bins=4)
    # The share of a tie that a bin holds, counted row by row with the tie's mean accuracy.
    shared = correct.astype(float)
    for level in np.unique(confidence):
        shared[confidence == level] = correct[confidence == level].mean()
    order = np.argsort(confidence)
    parts = np.array_split(order, min(4, n))
    np.testing.assert_allclose(bins.accuracy, [shared[part].mean() for part in parts], atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 6, 100).astype(np.float32) / 5
    correct = rng.random(100) < 0.5
    order = rng.permutation(100)
    bins, shuffled = (
        reliability_bins(confidence, correct),
        reliability_bins(confidence[order], correct[order]),
    )
    np.testing.assert_array_equal(bins.accuracy, shuffled.accuracy)
    np.testing.assert_array_equal(bins.confidence, shuffled.confidence)


def gathered(confidence, correct, cuts, **options):
    parts = [
        ConfidenceTally(*pair, **options)
        for pair in zip(np.split(confidence, cuts), np.split(correct, cuts), strict=True)
    ]
    for part in parts[1:]:
        parts[0].merge(part)
    return parts[0]


@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([3, 2**20]),
    dtype=st.sampled_from("fd"),
    cuts=st.sets(st.integers(0, 200)),
)
def test_a_tally_of_parts_gives_the_bins_of_all_rows(seed, levels, dtype, cuts):
    rng = np.random.default_rng(seed)
    confidence = (rng.integers(1, levels + 1, 200) / levels).astype(dtype)
    correct = rng.random(200) < 0.6
    got = gathered(confidence, correct, sorted(cuts)).bins()
    bins = reliability_bins(confidence, correct)
    np.testing.assert_array_equal(got.rows, bins.rows)
    np.testing.assert_allclose(got.confidence, bins.confidence, rtol=1e-13)
    np.testing.assert_allclose(got.accuracy, bins.accuracy, atol=1e-13)


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from("fd"), n_parts=st.integers(2, 40))
def test_a_tally_of_many_confidences_is_bounded_whatever_the_order(seed, dtype, n_parts):
    rng = np.random.default_rng(seed)
    confidence = rng.beta(3, 1, 2000).clip(0.01, 1).astype(dtype)
    correct = rng.random(2000) < confidence
    order = rng.permutation(2000)
    cuts = sorted(rng.integers(0, 2000, n_parts))
    one = gathered(confidence, correct, [], most_levels=200)
    other = gathered(confidence[order], correct[order], cuts, most_levels=200)
    levels, *counts = one.levels()
    others, *found = other.levels()
    assert 50 < len(levels) <= 200
    np.testing.assert_array_equal(found, counts)
    np.testing.assert_allclose(others, levels, rtol=1e-14)
    assert (counts[0].sum(), counts[1].sum()) == (2000, correct.sum())
    assert np.dot(levels, counts[0]) == pytest.approx(confidence.sum(dtype=float), rel=1e-12)
    # Only rows that straddle the edge of two bins are not told apart as before.
    bins, exact = one.bins(), reliability_bins(confidence, correct)
    np.testing.assert_allclose(bins.confidence, exact.confidence, rtol=0.02)
    moved = 2 * counts[0].max() / exact.rows
    assert (abs(bins.accuracy - exact.accuracy) <= moved).all()


@pytest.mark.parametrize("n", [1, 7, 40, 440])
@pytest.mark.parametrize("level", [0.25, 0.6, 1.0])
def test_error_by_chance_is_that_of_calibrated_rows(n, level):
    """Against the sum over all binomial outcomes, and for varied confidences a simulation."""
    right = np.arange(n + 1)
    exact = stats.binom.pmf(right, n, level) @ abs(right / n - level)
    bins = reliability_bins(np.full(n, level), np.zeros(n, dtype=bool), n_bins=1)
    assert bins.ece_by_chance == pytest.approx(exact)


def test_error_by_chance_of_varied_confidences():
    rng = np.random.default_rng(0)
    confidence = rng.beta(4, 2, 440)
    drawn = [reliability_bins(confidence, rng.random(440) < confidence) for _ in range(400)]
    assert drawn[0].ece_by_chance == pytest.approx(np.mean([d.ece for d in drawn]), rel=0.03)


def test_rows_of_one_confidence_make_one_gap():
    bins = reliability_bins([0.8] * 40, [True, False] * 20)
    np.testing.assert_allclose(bins.accuracy, 0.5)
    assert bins.ece == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, "`confidence` must be a vector of one or more numbers, got shape (0,)"),
        (
            ([0.5], [True, False]),
            {},
            "`correct` must be of shape (1,) like `confidence`, got shape (2,)",
        ),
        (([0.5], [True]), {"n_bins": 0}, "`n_bins` must be an integer >= 1, got 0"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError) as caught:
        reliability_bins(*arguments, **options)
    assert str(caught.value) == message
