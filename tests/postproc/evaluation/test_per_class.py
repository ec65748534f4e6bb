"""Metrics of every class against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from postproc import class_metrics


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), n_classes=st.integers(2, 8))
@settings(max_examples=50)
def test_class_metrics_agree_with_scikit_learn(seed, n, n_classes):
    labels, predicted = np.random.default_rng(seed).integers(0, n_classes, (2, n))
    got = class_metrics(predicted, labels, n_classes=n_classes)
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(n_classes), zero_division=np.nan
    )
    np.testing.assert_allclose(got.precision, precision)
    np.testing.assert_allclose(got.recall, recall)
    np.testing.assert_allclose(got.f1, f1)
    np.testing.assert_array_equal(got.support, support)


def test_a_class_that_never_occurs_is_undefined_and_left_out_of_the_mean():
    got = class_metrics([0, 1], [0, 0], n_classes=3)
    np.testing.assert_array_equal(got.precision, [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(got.recall, [0.5, np.nan, np.nan])
    assert got.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_lengths_that_differ():
    with pytest.raises(ValueError, match=r"`predicted` must be as long as `labels` \(1 rows\)"):
        class_metrics([0, 1], [0], n_classes=2)
