"""Predictions: scores that carry their kind and names."""

import dataclasses

import numpy as np
import pytest
import torch

from postproc import Predictions


@pytest.mark.parametrize(
    ("dtype", "output"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (">f4", np.float32),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
        (np.int8, np.float64),
        (np.int64, np.float64),
        (bool, np.float64),
    ],
)
def test_width_of_the_output(dtype, output):
    assert Predictions.check(np.eye(3, dtype=dtype)).output_dtype == output


def test_names_are_kept_as_text(probs):
    checked = Predictions.check(probs, classes=[1, 2, 3, "x"], ids=range(20), name="mine")
    assert checked.classes == ("1", "2", "3", "x")
    assert checked.ids.tolist() == [str(i) for i in range(20)]
    assert (checked.kind, checked.n_rows, checked.n_classes) == ("probs", 20, 4)
    assert checked.class_name(3) == "x"
    assert Predictions.check(probs).class_name(3) == "3"


def test_predictions_do_not_change(probs):
    with pytest.raises(dataclasses.FrozenInstanceError):
        Predictions.check(probs).kind = "logits"


def test_probabilities_by_blocks_are_those_of_the_whole():
    logits = np.random.default_rng(0).normal(size=(3000, 900)) * 5
    checked = Predictions.check(logits)
    parts = [checked.probabilities(rows) for rows in checked.blocks()]
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), checked.probabilities())
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(checked.probabilities(), expected, rtol=1e-12)
    np.testing.assert_allclose(checked.log_probabilities(), np.log(expected), rtol=1e-10)


def test_two_names_alike_or_too_few(probs):
    cases = [
        ({"classes": "abc"}, "`class names of p` must be one a column (4), got 3 names"),
        (
            {"classes": "dcbb"},
            "`class names of p` must be different from each other, got 'b' twice or more",
        ),
        ({"ids": []}, "`ids of p` must be one a row (20), got 0 names"),
        (
            {"ids": [5, 5, *range(18)]},
            "`ids of p` must be different from each other, got '5' twice or more",
        ),
        (
            {"ids": np.arange(20)[:, None]},
            "`ids of p` must be one-dimensional, got shape (20, 1)",
        ),
    ]
    for options, message in cases:
        with pytest.raises(ValueError) as caught:
            Predictions.check(probs, name="p", **options)
        assert str(caught.value) == message


def test_scores_are_checked_as_everywhere():
    with pytest.raises(ValueError) as caught:
        Predictions.check([[0.5, np.nan]], name="p")
    assert str(caught.value) == "`p, row 0, column 1` must be a finite number, got nan"
    with pytest.raises(ValueError, match="`p` must be clearly logits or clearly probabilities"):
        Predictions.check([[0.5, 0.4]], name="p")
    assert Predictions.check([[0.5, 0.4]], kind="logits").kind == "logits"
    assert Predictions.check([[0.5, 0.4]], multilabel=True).kind == "probs"
    assert Predictions.check([[0.5, 0.504]], narrow=True).kind == "probs"


def test_tensors_will_do(probs):
    checked = Predictions.check(torch.tensor(probs))
    np.testing.assert_allclose(checked.probabilities(), probs, rtol=1e-12)
    assert checked.output_dtype == np.float64
