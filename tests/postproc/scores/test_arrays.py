"""Softmax and log-softmax in both libraries."""

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from postproc import log_softmax, softmax, undo_softmax
from postproc.scores.arrays import as_array, as_floating, as_numpy

LOGITS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(-1e4, 1e4),
)


@given(LOGITS)
def test_agree_with_scipy(logits):
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits, axis=1), atol=1e-15)
    np.testing.assert_allclose(
        log_softmax(logits), scipy.special.log_softmax(logits, axis=1), rtol=1e-13, atol=1e-12
    )


@given(LOGITS)
def test_torch_agrees_with_numpy(logits):
    for function in (softmax, log_softmax):
        got = function(torch.from_numpy(logits))
        assert isinstance(got, torch.Tensor)
        np.testing.assert_allclose(got.numpy(), function(logits), rtol=1e-12, atol=1e-12)


@given(LOGITS, st.floats(-100, 100))
def test_a_constant_added_to_a_row_changes_nothing(logits, constant):
    np.testing.assert_allclose(softmax(logits + constant), softmax(logits), atol=1e-9)


@pytest.mark.parametrize(
    ("given_dtype", "dtype"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int8", "float64")],
)
def test_dtypes(given_dtype, dtype):
    assert softmax(np.ones((2, 3), given_dtype)).dtype == dtype
    tensor = torch.ones(2, 3).to(getattr(torch, given_dtype))
    assert softmax(tensor).dtype == getattr(torch, dtype)


def test_bfloat16_is_computed_in_float32():
    assert softmax(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32
    assert as_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


def test_another_axis():
    np.testing.assert_allclose(softmax(np.zeros((4, 2)), axis=0), 0.25)


def test_floats_pass_without_a_copy():
    x = np.zeros((2, 2), np.float32)
    assert as_floating(x) is x


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([["a"]], "`logits` must be an array of real numbers, got dtype <U1"),
        ([[1j]], "`logits` must be an array of real numbers, got dtype complex128"),
        ([[None]], "`logits` must be an array of real numbers, got dtype object"),
        (
            torch.zeros(1, dtype=torch.complex64),
            "`logits` must be an array of real numbers, got dtype torch.complex64",
        ),
    ],
)
def test_other_things_are_no_scores(values, message):
    with pytest.raises(TypeError) as error:
        softmax(values)
    assert str(error.value) == message


def test_rows_of_unlike_length_are_named():
    with pytest.raises(ValueError) as error:
        as_array([[1, 2], [3]], "scores")
    assert str(error.value) == (
        "`scores` must be an array with rows of equal length, got rows of different lengths"
    )


@given(st.integers(2, 40), st.sampled_from([np.float32, np.float64]))
def test_one_softmax_too_many_is_undone(n_classes, dtype):
    rng = np.random.default_rng(n_classes)
    probs = rng.dirichlet(np.full(n_classes, 0.3), 20).astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(undo_softmax(softmax(probs)), probs, atol=tolerance)


def test_what_was_softmaxed_once_is_refused():
    with pytest.raises(
        ValueError, match=r"`probs` must be the softmax of probabilities, got row 1"
    ):
        undo_softmax([[0.5, 0.5], [0.99, 0.01]])
