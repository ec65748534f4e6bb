"""Doubts whether labels are numbered or named like the columns."""

import numpy as np
import pytest

from postproc.evaluation.agreement import order_doubts, unlabelled_doubts

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize("row_count", [20, 200])
def test_a_class_that_is_predicted_often_and_has_no_label_is_in_doubt(row_count):
    said = unlabelled_doubts(
        "m",
        NAMES,
        np.array([row_count, 0, row_count]),
        np.array([row_count // 2, row_count, row_count // 2]),
        np.array([row_count // 2, 0, row_count // 2]),
    )
    assert said[0].startswith(f"m predicts 'b' for {row_count} of {2 * row_count} rows")


def test_a_class_that_may_lack_labels_by_chance_is_in_no_doubt():
    few = np.array([50, 0, 50]), np.array([49, 2, 49]), np.array([40, 0, 40])
    assert unlabelled_doubts("m", NAMES, *few) == []
    none = np.array([50, 0, 50]), np.array([50, 0, 50]), np.array([50, 0, 50])
    assert unlabelled_doubts("m", NAMES, *none) == []


def test_only_words_are_doubted_to_be_in_order():
    (said,) = order_doubts(["accuracy", "quadratic_kappa"], ["low", "high"])
    assert "in the order of the columns (low, high)" in said
    assert order_doubts(["quadratic_kappa"], ["1", "2", "3.5"]) == []
    assert order_doubts(["quadratic_kappa"], None) == []
    assert order_doubts(["kappa"], ["low", "high"]) == []
