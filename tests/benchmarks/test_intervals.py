"""The simulation of coverage: what it draws and counts."""

import numpy as np

from benchmarks.intervals.__main__ import PRIORS, coverage, draw, metrics_of


def test_groups_vary_together_and_classes_are_unequal():
    rows = draw(np.random.default_rng(0), 5000, PRIORS["4 classes"], grouped=True)
    assert np.all(np.diff(np.bincount(rows.labels)) < 0)
    right = (rows.base.argmax(axis=1) == rows.labels).astype(float)
    of_groups = np.bincount(rows.groups, right) / 5
    assert of_groups.var() > 1.2 * right.var() / 5


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    found = coverage(PRIORS["2 classes"], 300, grouped=False, repeats=200, population=200_000)
    assert [name for name, *_ in found] == [metric.name for metric in metrics_of(2)]
    shares = np.array([shares for _, *shares in found])
    assert shares.min() > 0.88
