"""What the learned ensembles gain on real predictions, where those are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ensemble

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TASKS = ("agnews", "banking77", "banking77_10shot", "cifar10", "hwu64", "trec50")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the predictions are not at hand")


def mean_accuracy(make):
    """Mean accuracy on the test splits of all tasks, fitted on val, in per cent."""
    accuracies = []
    for task in TASKS:
        files = sorted((DATA / task).glob("*.val.npy"))
        names = [f.name.split(".")[0] for f in files if not f.name.startswith("labels")]
        val, test = (
            [np.load(DATA / task / f"{name}.{split}.npy", mmap_mode="r") for name in names]
            for split in ("val", "test")
        )
        model = make().fit(val, np.load(DATA / task / "labels.val.npy"))
        right = model.predict(test) == np.load(DATA / task / "labels.test.npy")
        accuracies.append(100 * right.mean())
    return np.mean(accuracies)


@pytest.mark.parametrize(
    ("make", "target"), [(ensemble.CalibratedVoting, 89.4), (ensemble.LearnedLogPool, 90.3)]
)
def test_reaches_its_target(make, target):
    assert mean_accuracy(make) > target - 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "target"),
    [(lambda: ensemble.LearnedLogPool(bias=True), 90.5), (ensemble.Blend, 91.1)],
)
def test_reaches_its_target_slowly(make, target):
    assert mean_accuracy(make) > target - 0.05
