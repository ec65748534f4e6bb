"""The top-k entropy against a loop, its ends, and its checks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from postproc import top_k_entropy
from postproc.scores.confidence import _largest
from tests.oracles import top_k_entropy_loop


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 6),
    n_classes=st.integers(2, 9),
    data=st.data(),
    tensor=st.booleans(),
    zeros=st.booleans(),
)
def test_agrees_with_the_loop(seed, n, n_classes, data, tensor, zeros):
    k = data.draw(st.one_of(st.integers(2, n_classes), st.just("max")))
    probs = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.3), n)
    if zeros:
        probs = np.where(probs < 0.1, 0.0, probs)
    got = top_k_entropy(torch.from_numpy(probs) if tensor else probs, k)
    assert isinstance(got, torch.Tensor) == tensor
    expected = top_k_entropy_loop(probs, k)
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-12)


def test_ends_of_the_scale():
    one_hot, pair, even = [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4
    np.testing.assert_allclose(top_k_entropy([one_hot, pair, even], 2), [0, 1, 1])
    np.testing.assert_allclose(
        top_k_entropy([one_hot, pair, even], 4), [0, np.log(2) / np.log(4), 1]
    )
    # The largest H over all k: the pair is a tie among two, whatever the other classes hold.
    np.testing.assert_allclose(top_k_entropy([one_hot, pair, even], "max"), [0, 1, 1])


def test_float32_and_float16_rows_are_measured_in_float64():
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 4).astype(np.float32)
    assert top_k_entropy(probs).dtype == np.float64
    np.testing.assert_allclose(
        top_k_entropy(probs.astype(np.float16)), top_k_entropy(probs), atol=0.01
    )


def test_order_of_classes_does_not_matter():
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 4)
    np.testing.assert_array_equal(top_k_entropy(probs[:, ::-1]), top_k_entropy(probs))


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (1, ValueError, "`top_k` must be an integer in 2..3, got 1"),
        (4, ValueError, "`top_k` must be an integer in 2..3, got 4"),
        (2.0, TypeError, "`top_k` must be an integer in 2..3, got 2.0"),
        ("all", ValueError, "`top_k` must be \"max\" or an integer in 2..3, got 'all'"),
    ],
)
def test_bad_k(k, error, message):
    with pytest.raises(error) as caught:
        top_k_entropy([[0.2, 0.3, 0.5]], k)
    assert str(caught.value) == message


def test_three_dimensions_are_too_many():
    with pytest.raises(ValueError) as error:
        top_k_entropy([[[0.5, 0.5]]], 2)
    assert (
        str(error.value) == "`probs` must be two-dimensional, (rows, classes), got shape (1, 1, 2)"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_few_of_many_entries_are_the_largest(k, dtype):
    rng = np.random.default_rng(k)
    probs = np.round(rng.dirichlet(np.full(200, 0.05), 40), 2).astype(dtype)  # with ties
    before = probs.copy()
    wanted = np.sort(probs, axis=1)[:, ::-1][:, :k]
    np.testing.assert_array_equal(_largest(probs, k), wanted)
    np.testing.assert_array_equal(probs, before)
