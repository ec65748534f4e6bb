"""Splits, label noise and out-of-fold scores."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.gains.scores import class_scores, out_of_fold_scores
from benchmarks.gains.splits import SplitPlan, add_noise, draw_rows, split_rows, training_folds

NAMES = "abcdefghij"


@given(
    st.lists(st.integers(8, 30), min_size=2, max_size=6),
    st.integers(0, 5),
    st.sampled_from([None, 1, 3]),
)
def test_every_class_is_in_every_split_and_no_row_twice(counts, seed, shots):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows, kept, remarks = split_rows(
        y, NAMES[: len(counts)], None, SplitPlan(shots=shots, seed=seed)
    )
    assert kept.tolist() == list(range(len(counts)))
    assert remarks == []
    used = np.concatenate(list(rows.values()))
    assert len(np.unique(used)) == len(used)
    for split in ("val", "test"):
        held = np.maximum(1, np.rint(0.2 * np.array(counts)))
        assert np.bincount(y[rows[split]]).tolist() == held.tolist()
    if shots is None:
        assert len(used) == len(y)
    else:
        assert np.bincount(y[rows["train"]]).tolist() == [shots] * len(counts)


def test_more_shots_keep_the_fewer():
    y = np.repeat(np.arange(3), 20)
    few, many = (split_rows(y, "abc", None, SplitPlan(shots=k))[0] for k in (2, 5))
    assert set(few["train"]) < set(many["train"])
    np.testing.assert_array_equal(few["test"], many["test"])


def test_official_splits_are_kept():
    y = np.tile(np.arange(2), 30)
    official = np.repeat(["train", "val", "test"], 20)
    rows, _, _ = split_rows(y, "ab", official, SplitPlan())
    assert rows["train"].tolist() == list(range(20))
    assert rows["test"].tolist() == list(range(40, 60))
    official[20:40] = "train"
    rows, _, _ = split_rows(y, "ab", official, SplitPlan(val_shots=3))
    assert rows["test"].tolist() == list(range(40, 60))
    assert np.bincount(y[rows["val"]]).tolist() == [3, 3]
    assert max(rows["val"]) < 40


def test_rare_classes_stop_or_are_dropped_aloud():
    y = np.array([0] * 20 + [1] * 2 + [2] * 20)
    with pytest.raises(ValueError, match=r"too few in 1 of 3 classes: 'b' \(2 rows\).*--drop-rare"):
        split_rows(y, "abc", None, SplitPlan())
    rows, kept, remarks = split_rows(y, "abc", None, SplitPlan(drop_rare=True))
    assert kept.tolist() == [0, 2]
    assert 1 not in y[np.concatenate(list(rows.values()))]
    assert remarks == ["left out for want of rows, 1 of 3 classes and 2 rows: 'b' (2 rows)"]
    with pytest.raises(ValueError, match="two or more with enough rows"):
        split_rows(y[:22], "ab", None, SplitPlan(drop_rare=True))


def test_a_class_that_the_official_test_lacks_is_said():
    y = np.array([0, 1, 2] * 10 + [0, 1] * 5)
    official = np.repeat(["train", "test"], [30, 10])
    _, kept, remarks = split_rows(y, "abc", official, SplitPlan())
    assert len(kept) == 3
    assert remarks == ["1 of 3 classes have no row in test"]


def test_fewer_rows_keep_the_shares_of_classes():
    y = np.repeat([0, 1, 2], [600, 300, 100])
    drawn = draw_rows(y, 100, seed=0)
    assert np.bincount(y[drawn]).tolist() == [60, 30, 10]
    assert draw_rows(y, 5000, seed=0).tolist() == list(range(1000))
    assert (drawn != draw_rows(y, 100, seed=1)).any()


@given(st.integers(2, 5), st.floats(0, 1), st.integers(0, 3))
def test_noise_changes_the_share_that_is_asked_for(n_classes, share, seed):
    y = np.arange(200) % n_classes
    noisy = add_noise(y, share, n_classes, seed)
    assert (noisy != y).sum() == round(share * 200)
    assert ((noisy >= 0) & (noisy < n_classes)).all()


def test_noise_goes_to_all_other_classes_alike():
    y = np.zeros(30000, dtype=np.int64)
    counts = np.bincount(add_noise(y, 1.0, 4, seed=0), minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 10000).max() < 400  # five standard deviations


def test_no_row_is_scored_by_a_model_that_has_seen_it():
    """A classifier that knows its rows by heart, on labels that are noise."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), rng.integers(0, 4, 200)
    memory = KNeighborsClassifier(1).fit(x, y)
    assert (class_scores(memory, x, 4, "predict_proba").argmax(axis=1) == y).all()
    folds = training_folds(y, 5, seed=0)
    sizes = []

    def build(rows):
        sizes.append(rows)
        return KNeighborsClassifier(1)

    scores = out_of_fold_scores(build, x, y, folds, 4, "predict_proba")
    assert (scores.argmax(axis=1) == y).mean() < 0.4
    assert sizes == [200 - n for n in np.bincount(folds)]


def test_folds_of_classes_with_fewer_rows_than_folds():
    y = np.array([0, 0, 1, 1, 2])
    folds = training_folds(y, 5, seed=0)
    assert sorted(folds) == [0, 1, 2, 3, 4]
    assert folds.max() < 5
    many = np.repeat(np.arange(4), 25)
    folds = training_folds(many, 5, seed=0)
    assert all((np.bincount(folds[many == c]) == 5).all() for c in range(4))


class Fixed:
    """A classifier of the classes 0 and 2 of three."""

    classes_ = np.array([0, 2])

    def __init__(self, values):
        self.values = np.array(values)

    def decision_function(self, x):
        return self.values

    predict_proba = decision_function


def test_columns_of_classes_that_were_not_seen():
    probs = class_scores(Fixed([[0.3, 0.7]]), None, 3, "predict_proba")
    np.testing.assert_allclose(probs, [[0.3, 0, 0.7]], rtol=1e-6)
    logits = class_scores(Fixed([[5.0, -2.0]]), None, 3, "decision_function")
    np.testing.assert_array_equal(logits, [[5, -2, -2]])
    two = class_scores(Fixed([4.0]), None, 3, "decision_function")
    np.testing.assert_array_equal(two, [[-2, -2, 2]])
    with pytest.raises(ValueError, match="not all finite"):
        class_scores(Fixed([[np.inf, 0.0]]), None, 3, "decision_function")
