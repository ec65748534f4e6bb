"""Agreement of predictions and labels, against all orders of the labels."""

from itertools import permutations

import numpy as np
import pytest

from ensemble.agreement import agreement, label_doubts, member_doubts
from ensemble.members import align_members
from postproc import Predictions, softmax
from postproc.evaluation.agreement import LEAST_Z
from postproc.scores.blocks import Sizes


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("block", [8, 2**20])
def test_z_is_that_of_all_orders_of_the_labels(kind, block):
    rng = np.random.default_rng(0)
    scores = 3 * rng.normal(size=(7, 4))
    probs, labels = softmax(scores), np.array([0, 0, 1, 2, 2, 2, 0])
    sums = [probs[range(7), order].sum() for order in permutations(labels)]
    expected = (probs[range(7), labels].sum() - np.mean(sums)) / np.std(sums)
    member = Predictions(scores if kind == "logits" else probs, kind)
    found = agreement(member, labels, Sizes(block=block))
    assert found.z == pytest.approx(expected, rel=1e-9)
    assert found.accuracy == np.mean(scores.argmax(axis=1) == labels)


def test_where_the_order_makes_no_difference_nothing_is_said():
    rng = np.random.default_rng(0)
    alike = Predictions(np.repeat(rng.dirichlet(np.ones(3), 1), 50, axis=0), "probs", name="alike")
    unlike = Predictions(rng.dirichlet(np.ones(3), 50), "probs", name="unlike")
    assert np.isnan(agreement(alike, rng.integers(3, size=50)).z)
    assert np.isnan(agreement(unlike, np.ones(50, int)).z)
    assert np.isnan(agreement(Predictions(np.eye(3)[:1], "probs", name="one"), np.array([0])).z)
    assert label_doubts([alike], rng.integers(3, size=50), "labels") == []


def test_a_poor_member_that_never_names_the_rare_class_is_not_doubted():
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.05).astype(int)
    scores = np.stack([np.full(2000, 3.0), 0.7 * labels + rng.normal(size=2000) * 0.7], axis=1)
    poor = Predictions(scores, "logits", name="poor")
    found = agreement(poor, labels)
    assert found.accuracy <= 0.955  # as always naming the frequent class
    assert found.z > 4
    assert label_doubts([poor], labels, "labels") == []


@pytest.mark.parametrize("n_classes", [2, 10])
def test_labels_and_rows_in_another_order_are_doubted(n_classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(n_classes, size=400)
    scores = 2 * np.eye(n_classes)[labels] + rng.normal(size=(400, n_classes))
    good, moved = (
        Predictions(scores, "logits", name="good"),
        Predictions(scores[::-1], "logits", name="moved"),
    )
    assert label_doubts([good], labels, "labels.val") == []
    (told,) = label_doubts([good, moved], labels, "labels.val")
    share = 100 * np.mean(scores[::-1].argmax(axis=1) == labels)
    assert told == (
        f"moved ({share:.1f} % right) agrees with labels.val no better than with labels in "
        "random order; do both files have their rows and classes in the same order? [PP206]"
    )
    columns = Predictions(np.roll(scores, 1, axis=1), "logits", name="columns")
    assert agreement(columns, labels).z < -LEAST_Z
    (told,) = label_doubts([good, moved, columns], labels, "labels.test")
    assert told.startswith("moved (")
    assert " % right), columns (" in told
    assert " agree with labels.test" in told


def test_labels_in_random_order_have_a_normal_z():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=200)
    member = Predictions(rng.normal(size=(200, 5)), "logits", name="m")
    found = [agreement(member, rng.permutation(labels)).z for _ in range(500)]
    assert np.mean(found) == pytest.approx(0, abs=0.15)
    assert np.std(found) == pytest.approx(1, abs=0.1)


def task(n_rows, order=slice(None), columns=slice(None)):
    """Three members of a task; rows or columns of the last may be in another order."""
    rng = np.random.default_rng(n_rows)
    labels = rng.integers(8, size=n_rows)
    scores = [3 * np.eye(8)[labels] + rng.normal(size=(n_rows, 8)) for _ in range(3)]
    scores[2] = scores[2][order][:, columns]
    found = [
        Predictions(each, "logits", name=name) for name, each in zip("abc", scores, strict=True)
    ]
    return align_members(found)


def test_a_member_in_another_order_on_the_target_is_named():
    fit = task(600)
    assert member_doubts(fit, task(5000)) == []
    for target in (
        task(5000, order=slice(None, None, -1)),
        task(5000, columns=slice(None, None, -1)),
    ):
        (told,) = member_doubts(fit, target)
        assert told.startswith("c agrees with the member closest to it on ")
        assert told.endswith("; are rows and classes of all files in the same order? [PP208]")
    assert member_doubts(fit, task(99, order=slice(None, None, -1))) == []
