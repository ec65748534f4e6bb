"""Confusions and switches, gathered from parts, against loops over the rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postproc import class_metrics, compare
from postproc.evaluation.changes import Confusions, Switches, confusion_changes

given_rows = given(
    seed=st.integers(0, 2**32 - 1), cuts=st.sets(st.integers(0, 60)), n_classes=st.integers(2, 6)
)


def make(seed, n_classes):
    """Labels, and classes predicted before and after, of 60 rows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, 60)
    return labels, *(
        np.where(rng.random(60) < 0.5, labels, rng.integers(0, n_classes, 60)).astype(np.int32)
        for _ in range(2)
    )


def merged(kind, cuts, n_classes, *columns):
    blocks = zip(*(np.split(column, sorted(cuts)) for column in columns), strict=True)
    total, *others = (kind(*block, n_classes) for block in blocks)
    for other in others:
        total.merge(other)
    return total


@given_rows
def test_confusions_are_those_of_a_loop(seed, cuts, n_classes):
    labels, _, new = make(seed, n_classes)
    total = merged(Confusions, cuts, n_classes, labels, new)
    expected = {}
    for y, z in zip(labels.tolist(), new.tolist(), strict=True):
        expected[y * n_classes + z] = expected.get(y * n_classes + z, 0) + 1
    pairs, counts = (column.tolist() for column in total.pairs())
    assert pairs == sorted(expected)
    assert counts == [expected[pair] for pair in pairs]
    got, wanted = total.class_metrics(), class_metrics(new, labels, n_classes=n_classes)
    for name in ("support", "predicted", "correct", "precision", "recall", "f1"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


@given_rows
def test_switches_are_those_of_a_loop(seed, cuts, n_classes):
    labels, base, new = make(seed, n_classes)
    total = merged(Switches, cuts, n_classes, base, new, labels)
    fixed, broken = [0] * n_classes, [0] * n_classes
    for y, before, after in zip(labels, base, new, strict=True):
        fixed[y] += before != y and after == y
        broken[y] += before == y and after != y
    assert [column.tolist() for column in total.of_classes()] == [fixed, broken]
    assert total.compare(60) == compare(base, new, labels)


@given_rows
def test_changes_of_confusions_are_those_of_the_matrices(seed, cuts, n_classes):
    labels, *both = make(seed, n_classes)
    before, after = np.zeros((2, n_classes, n_classes), int)
    for matrix, predicted in zip((before, after), both, strict=True):
        for y, z in zip(labels, predicted, strict=True):
            matrix[y, z] += y != z
    totals = [merged(Confusions, cuts, n_classes, labels, predicted) for predicted in both]
    listed = [
        (y, z, int(before[y, z]), int(after[y, z]))
        for y in range(n_classes)
        for z in range(n_classes)
        if before[y, z] != after[y, z]
    ]
    listed.sort(key=lambda change: -abs(change[3] - change[2]))
    assert confusion_changes(*totals, 100) == listed
    assert confusion_changes(*totals, 3) == listed[:3]
    frequent = [
        (y, z, 0, int(after[y, z]))
        for y in range(n_classes)
        for z in range(n_classes)
        if after[y, z]
    ]
    frequent.sort(key=lambda change: -change[3])
    assert confusion_changes(None, totals[1], 100) == frequent
