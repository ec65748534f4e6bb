"""Sums over keys against a dictionary."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postproc.evaluation.tallies import Tally, count, tally

parts = st.lists(
    st.lists(st.tuples(st.integers(0, 20) | st.integers(0, 2**40), st.integers(0, 9))), min_size=1
)


@given(parts)
def test_sums_of_parts_are_those_of_a_dictionary(parts):
    expected, rows = Counter(), Counter()
    tallies = []
    for part in parts:
        for key, value in part:
            expected[key] += value
            rows[key] += 1
        keys, values = np.array(part, np.int64).reshape(-1, 2).T
        sums = tally(keys, values.astype(np.int8), np.ones(len(keys), bool))
        tallies.append(Tally(*sums, least=5))
    for other in tallies[1:]:
        tallies[0].merge(other)
    keys, values, ones = tallies[0].sums()
    assert keys.tolist() == sorted(rows)
    assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == dict(expected)
    assert ones.tolist() == [rows[key] for key in sorted(rows)]


@given(st.lists(st.integers(0, 9) | st.integers(0, 2**40)))
def test_counts_are_those_of_a_dictionary(values):
    keys, counts = count(np.array(values, np.int64))
    assert list(zip(keys.tolist(), counts.tolist(), strict=True)) == sorted(Counter(values).items())


def test_what_is_held_is_bounded_by_the_number_of_keys():
    keys = np.arange(50)
    total = Tally(keys, np.ones(50, np.int64), least=100)
    for _ in range(100):
        total.merge(Tally(keys, np.ones(50, np.int64)))
        assert sum(len(part[0]) for part in total._parts) <= 50 + 150
    assert total.sums()[1].tolist() == [101] * 50
