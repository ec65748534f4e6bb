"""Engines: the blocks of a job, in order, on any number of threads."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.scores.blocks import row_cuts, sub_blocks
from tests.postproc.shuffled import Shuffled

CUTS = [slice(a, a + 10) for a in range(0, 200, 10)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_and_do_not_depend_on_threads(workers):
    x = np.random.default_rng(0).normal(size=(200, 30))
    found = list(LocalEngine(workers).run(lambda rows: x[rows].T @ x[rows], CUTS))
    assert [number for number, _ in found] == list(range(20))
    for (_, product), rows in zip(found, CUTS, strict=True):
        np.testing.assert_array_equal(product, x[rows].T @ x[rows])


def test_blocks_are_computed_at_the_same_time_by_one_thread_of_blas_each():
    together = threading.Barrier(3, timeout=20)
    blas = []

    def part(rows):
        together.wait()  # breaks unless three blocks are under way
        blas.extend(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")
        return rows.start

    assert list(map_blocks(LocalEngine(3), part, CUTS[:18])) == [rows.start for rows in CUTS[:18]]
    assert set(blas) == {1}


@pytest.mark.parametrize("workers", [1, 3])
def test_errors_pass_and_what_has_not_begun_is_left(workers):
    begun = []

    def part(rows):
        begun.append(rows.start)
        if rows.start == 50:
            raise ValueError("row 50 is at fault")
        return rows.start

    with pytest.raises(ValueError, match="row 50 is at fault"):
        list(LocalEngine(workers).run(part, CUTS))
    assert len(begun) < 15


def test_closing_early_stops_the_work():
    begun = []
    results = LocalEngine(2).run(lambda rows: begun.append(rows.start), CUTS)
    next(results)
    results.close()
    assert len(begun) <= 6


@given(n=st.integers(0, 40), seed=st.integers(0, 100))
def test_results_come_in_order_and_every_row_is_counted(n, seed):
    cuts = [slice(i, i + 2) for i in range(0, 2 * n, 2)]
    told = []
    found = list(map_blocks(Shuffled(seed), lambda rows: rows.start, cuts, watch=told.append))
    assert found == [cut.start for cut in cuts]
    assert sum(told) == 2 * n


def test_an_error_of_a_part_passes_unchanged():
    def part(rows):
        if rows.start == 4:
            raise ValueError("row 4")
        return rows.start

    results = map_blocks(LocalEngine(), part, [slice(i, i + 2) for i in range(0, 8, 2)])
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
