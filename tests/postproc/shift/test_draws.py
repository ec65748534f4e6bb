"""Target draws: the class frequencies that were asked for, repeatable, and nothing else moved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc.shift.draws import SHIFTS, class_weights, draw_target

LABELS = np.repeat(np.arange(5), [400, 300, 200, 90, 10])


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_draw_is_repeatable_and_of_its_size(shift):
    first, again = (draw_target(LABELS, shift, 300, 7, 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(first) == 300
    assert len(draw_target(LABELS, shift, 5000, 7, 5)) == len(LABELS)
    assert (draw_target(LABELS, shift, 300, 8, 5) != first).any()


def test_none_keeps_frequencies_and_draws_with_replacement():
    rows = draw_target(LABELS, "none", 1000, 0, 5)
    shares = np.bincount(LABELS[rows], minlength=5) / 1000
    np.testing.assert_allclose(shares, [0.4, 0.3, 0.2, 0.09, 0.01], atol=0.05)
    assert len(np.unique(rows)) < 700


@pytest.mark.parametrize("shift", ["dirichlet:0.5", "dirichlet:10", "longtail:50", "longtail:1"])
def test_frequencies_are_those_asked_for(shift):
    labels = np.tile(np.arange(5), 20_000)
    for seed in range(3):
        wanted = class_weights(shift, 5, np.random.default_rng(seed))
        rows = draw_target(labels, shift, 100_000, seed, 5)
        found = np.bincount(labels[rows], minlength=5) / len(rows)
        np.testing.assert_allclose(found, wanted, atol=0.006)
        # Within a class all rows are alike.
        assert abs(rows[labels[rows] == wanted.argmax()].mean() / len(labels) - 0.5) < 0.01


def test_long_tail_by_hand():
    weights = class_weights("longtail:50", 3, np.random.default_rng(0))
    falling = np.array([1, 50**-0.5, 1 / 50])
    np.testing.assert_allclose(np.sort(weights)[::-1], falling / falling.sum())
    orders = {tuple(class_weights("longtail:50", 3, np.random.default_rng(s))) for s in range(20)}
    assert len(orders) == 6


def test_classes_without_rows_drop_out():
    rows = draw_target([0, 0, 2, 2], "longtail:50", 4, 0, 4)
    assert set(rows) <= {0, 1, 2, 3}
    # A Dirichlet draw so sparse that no class with rows is asked for.
    for seed in range(20):
        assert len(draw_target([0, 0], "dirichlet:0.0001", 2, seed, 40)) == 2


@given(st.integers(2, 9), st.integers(1, 50), st.integers(0, 2**31), st.sampled_from(SHIFTS))
def test_any_labels(n_classes, n, seed, shift):
    labels = np.random.default_rng(seed).integers(0, n_classes, n)
    rows = draw_target(labels, shift, 20, seed, n_classes)
    assert rows.shape == (min(20, n),)
    assert rows.min() >= 0
    assert rows.max() < n


RULE = '`shift` must be "none", "dirichlet:A" with A > 0 or "longtail:R" with R >= 1, got '


@pytest.mark.parametrize(
    "shift",
    [
        "some",
        "none:1",
        "dirichlet",
        "dirichlet:0",
        "dirichlet:-1",
        "dirichlet:nan",
        "dirichlet:inf",
        "longtail:0.5",
        "longtail:",
        "longtail:x",
        "longtail",
    ],
)
def test_shifts_that_are_none(shift):
    with pytest.raises(ValueError) as caught:
        draw_target(LABELS, shift, 10, 0, 5)
    assert str(caught.value) == RULE + repr(shift)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "none", 1, 0, 2), "`labels` must be one label or more, got none"),
        (([0, 5], "none", 1, 0, 2), r"`labels\[1\]` must be an integer in 0..1, got 5"),
        (([0, 1], "none", 0, 0, 2), "`rows` must be an integer >= 1, got 0"),
        (([0, 1], "none", 1, -1, 2), "`seed` must be an integer >= 0, got -1"),
        (([0, 1], "none", 1, 0, 1), "`n_classes` must be an integer >= 2, got 1"),
    ],
)
def test_faults(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_target(*arguments)
