"""The loop of the paper that the package has, against a naive one, and the fast way against it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from postproc import alternating_normalization
from postproc.can import alternating_normalization_loop
from tests import oracles
from tests.postproc.can.test_operation import GOLDEN, PRIOR, REFERENCE, ROW, dirichlet


@pytest.mark.parametrize(("alpha", "iterations"), GOLDEN)
def test_golden_vectors(alpha, iterations):
    got = alternating_normalization_loop(ROW, REFERENCE, PRIOR, alpha=alpha, iterations=iterations)
    np.testing.assert_allclose(got, [GOLDEN[alpha, iterations]], atol=5e-7)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 12),
    k=st.integers(0, 4),
    alpha=st.sampled_from([0.3, 1.0, 2.5]),
    smoothing=st.integers(0, 2),
    tensor=st.booleans(),
)
def test_agrees_with_the_naive_loop(seed, n, k, alpha, smoothing, tensor):
    rows, reference = dirichlet(seed, k, 4), dirichlet(seed + 1, n, 4)
    prior = dirichlet(seed + 2, 1, 4, 5.0)[0]
    expected = oracles.alternating_normalization_loop(rows, reference, prior, alpha, 3, smoothing)
    if tensor:
        rows, reference = torch.from_numpy(rows), torch.from_numpy(reference)
    got = alternating_normalization_loop(
        rows, reference, prior, alpha=alpha, iterations=3, smoothing=smoothing, all_iterations=True
    )
    assert isinstance(got, torch.Tensor) == tensor
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_the_fast_way_agrees_where_every_option_is_used():
    rows, reference = dirichlet(0, 5, 4), dirichlet(1, 12, 4)
    rows[0] = [1.0, 0.0, 0.0, 0.0]  # would have no mass left
    options = {"alpha": 1.3, "iterations": 4, "smoothing": 0.5, "all_iterations": True}
    weights = np.linspace(0, 2, 12)
    arguments = (rows, reference, [0.0, 0.2, 0.3, 0.4])
    slow = alternating_normalization_loop(*arguments, weights=weights, **options)
    fast = alternating_normalization(*arguments, weights=weights, **options)
    np.testing.assert_allclose(fast, slow, atol=1e-14)
    np.testing.assert_array_equal(slow[:, 0], rows[[0] * 4])


def test_the_fast_way_falls_back_on_the_loop():
    """An exponent that empties every column: the results are those of the loop to the last bit."""
    reference, rows = dirichlet(0, 6, 4), dirichlet(1, 3, 4)
    reference[:, 1] *= 1e-300
    arguments = (rows, reference, np.full(4, 0.25))
    slow = alternating_normalization_loop(*arguments, alpha=9.0, iterations=3)
    np.testing.assert_array_equal(
        alternating_normalization(*arguments, alpha=9.0, iterations=3), slow
    )


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"`alpha` must be in \(0, 1000\], got 0.0"):
        alternating_normalization_loop(ROW, REFERENCE, PRIOR, alpha=0.0)


def test_tensors_give_what_arrays_do_with_a_share_of_smoothing():
    rows, reference = dirichlet(0, 3, 4), dirichlet(1, 6, 4)
    options = {"iterations": 2, "smoothing": 0.1}
    for call in (alternating_normalization_loop, alternating_normalization):
        expected = call(rows, reference, [0.1, 0.2, 0.3, 0.4], **options)
        tensors = map(torch.from_numpy, (rows, reference))
        found = call(*tensors, [0.1, 0.2, 0.3, 0.4], **options)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
