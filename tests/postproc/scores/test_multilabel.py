"""Multi-label scores as rows of two classes, and the labels that belong to them."""

import numpy as np
import pytest

from postproc.scores.multilabel import (
    LabelRows,
    check_label_matrix,
    label_log_odds,
    label_scores,
    two_class,
)
from postproc.scores.predictions import Predictions

P = np.random.default_rng(0).random((7, 3))


def predictions(scores=P, kind="probs"):
    return Predictions.check(scores, kind=kind, multilabel=True)


@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_rows_are_both_classes_of_each_entry(kind):
    scores = P if kind == "probs" else np.log(P / (1 - P))
    rows = two_class(predictions(scores, kind))
    naive = [[1 - p, p] for row in P for p in row]
    np.testing.assert_allclose(rows.probabilities(slice(0, 21)), naive, atol=1e-12)
    np.testing.assert_array_equal(label_scores(rows.probabilities(slice(0, 21)), 3).shape, (7, 3))
    assert (rows.task, rows.n_rows, rows.n_classes) == ("binary", 21, 2)


def test_any_slice_is_read_alone():
    rows = LabelRows(P, "probs")
    whole = rows.read(slice(0, 21))
    for start in range(22):
        for stop in range(start, 22):
            np.testing.assert_array_equal(rows.read(slice(start, stop)), whole[start:stop])
    assert rows.row_name(7) == "row 2, column 1"


def test_probabilities_of_labels_do_not_sum_to_one():
    logits = np.array([[0.0, -800.0, 800.0], [1.0, -np.inf, 2.0]])
    probs = predictions(logits, "logits").probabilities()
    np.testing.assert_allclose(probs[0], [0.5, 0, 1])
    np.testing.assert_allclose(probs[1], 1 / (1 + np.exp([-1.0, np.inf, -2.0])))
    np.testing.assert_array_equal(predictions().probabilities(), P)


@pytest.mark.parametrize("method", ["winners", "log_probabilities"])
def test_one_class_a_row_is_refused(method):
    with pytest.raises(ValueError, match="must be predictions of classes that exclude each other"):
        getattr(predictions(), method)()


def test_log_odds_are_finite_and_the_same_for_both_kinds():
    certain = np.array([[0.0, 1.0, 0.25]])
    found = label_log_odds(certain, "probs")
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0, 2], np.log(1 / 3))
    logits = np.array([[-np.inf, 1e9, -np.log(3)]])
    np.testing.assert_allclose(found, label_log_odds(logits, "logits"))


def test_labels_that_look_exclusive_are_refused():
    rows = P / P.sum(axis=1, keepdims=True)
    with pytest.raises(ValueError, match="one label in each row, and rows of predictions that sum"):
        check_label_matrix(np.eye(3)[np.arange(7) % 3], predictions(rows))
    check_label_matrix(np.eye(3)[np.arange(7) % 3], predictions())  # rows of other sums
    several = np.ones((7, 3), int)
    np.testing.assert_array_equal(check_label_matrix(several, predictions(rows)), several)
    with pytest.raises(ValueError, match=r"row 0, column 0` must be 0 or 1, got 2"):
        check_label_matrix(2 * several, predictions())
