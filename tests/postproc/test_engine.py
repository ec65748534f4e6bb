"""Engines: results come in order, whatever order they are finished in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc.blocks import row_cuts, sub_blocks
from postproc.engine import LocalEngine, reduce


class Shuffled:
    """An engine that finishes its blocks in a random order."""

    def __init__(self, seed=0):
        self.seed = seed

    def run(self, part, cuts):
        order = list(range(len(cuts)))
        random.Random(self.seed).shuffle(order)
        for number in order:
            yield number, part(cuts[number])


@given(n=st.integers(0, 40), seed=st.integers(0, 100))
def test_results_come_in_order_and_every_row_is_counted(n, seed):
    cuts = [slice(i, i + 2) for i in range(0, 2 * n, 2)]
    told = []
    found = list(reduce(Shuffled(seed), lambda rows: rows.start, cuts, watch=told.append))
    assert found == [cut.start for cut in cuts]
    assert sum(told) == 2 * n


def test_an_error_of_a_part_passes_unchanged():
    def part(rows):
        if rows.start == 4:
            raise ValueError("row 4")
        return rows.start

    results = reduce(LocalEngine(), part, [slice(i, i + 2) for i in range(0, 8, 2)])
    assert [next(results), next(results)] == [0, 2]
    with pytest.raises(ValueError, match="row 4"):
        next(results)


@given(n=st.integers(0, 10_000), columns=st.integers(1, 3_000), size=st.integers(8, 2**20))
def test_cuts_cover_all_rows_once(n, columns, size):
    cuts = row_cuts(n, columns)
    assert [row for cut in cuts for row in range(cut.start, cut.stop)] == list(range(n))
    inner = [part for cut in cuts for part in sub_blocks(cut, columns, size)]
    assert [a.stop for a in inner[:-1]] == [b.start for b in inner[1:]]
    assert sum(part.stop - part.start for part in inner) == n
