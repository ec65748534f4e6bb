"""Class priors from labels, counts, vectors and words."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from postproc import class_prior, multilabel_prior
from postproc.scores.prior import check_multilabels


@given(st.lists(st.integers(0, 4), min_size=6, max_size=40), st.booleans())
def test_labels_are_counted(labels, as_tensor):
    expected = [sum(label == j for label in labels) / len(labels) for j in range(5)]
    source = torch.tensor(labels) if as_tensor else labels
    prior = class_prior(source, n_classes=5)
    np.testing.assert_allclose(prior, expected, rtol=1e-15)
    assert prior.dtype == np.float64


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=9).filter(lambda v: sum(v) > 1e-3))
def test_vectors_are_scaled_to_sum_one(weights):
    prior = class_prior(weights, n_classes=len(weights))
    np.testing.assert_allclose(prior, np.array(weights) / sum(weights), rtol=1e-12)
    assert prior.sum() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("uniform", [1 / 3] * 3),
        ([10, 20, 10], [0.25, 0.5, 0.25]),
        ([0, 0, 5], [0, 0, 1]),
        ([0, 1, 1, 2], [0.25, 0.5, 0.25]),
        ([1], [0, 1, 0]),
        ([0.0, 1.0, 3.0], [0, 0.25, 0.75]),
        (np.array([1, 1, 2, 1], dtype=np.uint8), [0, 0.75, 0.25]),
        (torch.tensor([0.5, 0.25, 0.25]), [0.5, 0.25, 0.25]),
    ],
)
def test_kinds_are_seen_from_length_and_values(source, expected):
    np.testing.assert_allclose(class_prior(source, n_classes=3), expected)


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ([0, 1, 1], "labels", [1 / 3, 2 / 3, 0]),
        ([0, 1, 1], "counts", [0, 0.5, 0.5]),
        ([0, 1, 1], "vector", [0, 0.5, 0.5]),
        ([0.0, 1.0, 1.0, 2.0], "labels", [0.25, 0.5, 0.25]),
    ],
)
def test_kinds_are_declared_where_they_could_be_either(source, kind, expected):
    np.testing.assert_allclose(class_prior(source, n_classes=3, kind=kind), expected)


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (
            [0, 1, 2],
            {},
            ValueError,
            "`prior` must be clearly labels or clearly counts, got 3 integers that could be "
            'either; declare kind="labels" (--prior-kind labels) or kind="counts" (--prior-kind '
            "counts)",
        ),
        ("flat", {}, ValueError, '`prior` must be "uniform", labels, counts or a vector, got '),
        ([0.5, 0.5], {}, ValueError, "`prior` must be of length 3, one number a class, got leng"),
        ([0.5, 0.6, -0.1], {}, ValueError, "`prior[2]` must be a finite number >= 0, got -0.1"),
        ([0.5, np.nan, 1], {}, ValueError, "`prior[1]` must be a finite number >= 0, got nan"),
        ([0.5, np.inf, 1], {}, ValueError, "`prior[1]` must be a finite number >= 0, got inf"),
        ([1, -3, 1], {}, ValueError, "`prior[1]` must be a finite number >= 0, got -3"),
        ([0.0] * 3, {}, ValueError, "`prior` must be a vector with mass, got zeros only"),
        ([0, 1, 3, 1], {}, ValueError, "`prior[2]` must be an integer in 0..2, got 3"),
        ([0, -1, 1, 1], {}, ValueError, "`prior[1]` must be an integer in 0..2, got -1"),
        ([0.5, 1], {"kind": "labels"}, ValueError, "`prior[0]` must be an integer in 0..2, got"),
        ([], {"kind": "labels"}, ValueError, "`prior` must be one label or more, got none"),
        ([], {}, ValueError, "`prior` must be of length 3, one number a class, got length 0"),
        ([[1, 2, 3]], {}, ValueError, "`prior` must be one-dimensional, got shape (1, 3)"),
        (
            ["a"],
            {},
            TypeError,
            "`prior` must be labels, counts or a vector of real numbers, got dtype <U1",
        ),
        (
            None,
            {},
            TypeError,
            "`prior` must be labels, counts or a vector of real numbers, got dtype object",
        ),
        (
            [1, 2, 3],
            {"kind": "weights"},
            ValueError,
            '`kind` must be one of "labels", "counts", "vector", got \'weights\'',
        ),
        ([1, 2], {"n_classes": 1}, ValueError, "`n_classes` must be an integer >= 2, got 1"),
        ([1, 2], {"n_classes": 2.0}, TypeError, "`n_classes` must be an integer >= 2, got 2.0"),
        ([0, 9], {"name": "y.npy"}, ValueError, "`y.npy[1]` must be an integer in 0..2, got 9"),
    ],
)
def test_what_is_no_prior(source, options, error, message):
    with pytest.raises(error) as caught:
        class_prior(source, **{"n_classes": 3, **options})
    assert str(caught.value).startswith(message)


def test_float_labels_are_no_vector_and_the_message_says_how_to_go_on():
    with pytest.raises(ValueError) as caught:
        class_prior([0.0, 1.0, 2.0, 2.0], n_classes=3)
    assert str(caught.value) == (
        "`prior` must be of length 3, one number a class, got length 4; "
        'if it holds labels, declare kind="labels" (--prior-kind labels)'
    )


@pytest.mark.parametrize("library", [np.array, torch.tensor])
def test_prior_of_multilabels(library):
    labels = library([[1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(multilabel_prior(labels), [1 / 6, 5 / 6])
    np.testing.assert_allclose(multilabel_prior(labels == 1), [1 / 6, 5 / 6])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 2]], "`prior, row 0, column 1` must be 0 or 1, got 2"),
        ([[0], [np.nan]], "`prior, row 1, column 0` must be 0 or 1, got nan"),
        ([0, 1], "`prior` must be two-dimensional, (rows, labels), got shape (2,)"),
        (np.zeros((0, 3)), "`prior` must be one label or more, got none"),
    ],
)
def test_what_is_no_multilabels(labels, message):
    with pytest.raises(ValueError) as caught:
        multilabel_prior(labels)
    assert str(caught.value) == message


def test_multilabels_of_another_shape():
    with pytest.raises(ValueError) as caught:
        check_multilabels([[0, 1]], shape=(2, 2), name="y")
    assert str(caught.value) == "`y` must be of shape (2, 2), got shape (1, 2)"
    assert check_multilabels([[0.0, True]]).dtype == np.int8
