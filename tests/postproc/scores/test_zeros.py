"""What exact zeros count as: half of the least positive probability, wherever it is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from postproc import Predictions, softmax
from postproc.scores.zeros import LOG_LEAST, Zeros, find_zeros, warn_of_zeros

VOTES = np.array([[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.4, 0.2, 0.4]])


def logs_of(scores, kind="probs"):
    return Predictions.check(scores, kind=kind).log_probabilities()


def test_zeros_count_as_half_of_the_least_positive_probability():
    found = find_zeros([logs_of(VOTES)])
    assert found.share == pytest.approx(3 / 9)
    assert math.exp(found.log) == pytest.approx(0.1)


def test_minus_infinity_is_an_exact_zero():
    with np.errstate(divide="ignore"):
        logits = np.log(VOTES) + 3.0
    assert find_zeros([logs_of(logits, "logits")]).log == pytest.approx(math.log(0.1))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_and_their_order_do_not_matter(size):
    logs = logs_of(VOTES)
    blocks = [logs[start : start + size] for start in range(0, 3, size)]
    assert find_zeros(blocks[::-1]) == find_zeros([logs])


def test_float32_is_seen_too():
    assert find_zeros([logs_of(VOTES.astype(np.float32))]).share == pytest.approx(3 / 9)


def test_nothing_is_found_without_zeros():
    assert find_zeros([logs_of(softmax(np.random.default_rng(0).normal(size=(50, 4))))]) == Zeros()
    assert find_zeros([]) == Zeros(0.0, LOG_LEAST)
    assert find_zeros([np.empty((0, 3))]) == Zeros()


def test_nothing_changes_where_probabilities_are_lower_than_zeros_count():
    """Confident logits fall below 1.2e-38 without being zeros."""
    logs = logs_of([[0.0, -400.0, LOG_LEAST], [0.0, -1.0, -math.inf]], "logits")
    assert find_zeros([logs]) == Zeros()


def test_few_zeros_are_no_warning():
    warn_of_zeros([Zeros(0.1, -3.0)], ["scores"], stacklevel=1)
    with pytest.warns(UserWarning, match=r"0.05 in scores \(20% of them\) \[PP314\]"):
        warn_of_zeros([Zeros(0.2, math.log(0.05))], ["scores"], stacklevel=1)
