"""Whether two files are scored alike: no false alarm by chance or label shift, but by scale."""

import numpy as np
import pytest

import postproc
from postproc.evaluation import alike
from postproc.evaluation.alike import compare_confidence, confidence_doubts
from postproc.scores.predictions import Predictions


class Task:
    """A made-up model: Gaussian scores of classes that are known unequally well."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n_classes = int(self.rng.choice([2, 3, 10, 40]))
        self.distance = self.rng.uniform(0.6, 3.0) * self.rng.uniform(0.7, 1.3, self.n_classes)
        self.scale = self.rng.uniform(0.7, 2.0)
        self.prior = self.rng.dirichlet(5 * np.ones(self.n_classes))

    def draw(self, rows: int, prior=None):
        """Logits and classes of some rows."""
        y = self.rng.choice(self.n_classes, rows, p=self.prior if prior is None else prior)
        z = self.rng.standard_normal((rows, self.n_classes))
        return self.scale * (z + np.diag(self.distance)[y]), y


def verdicts(n_tasks, change, shift=None):
    """Share of made-up tasks in which a target is called unlike the fit rows."""
    found = []
    for seed in range(n_tasks):
        task = Task(seed)
        n_fit, n_target = task.rng.choice([100, 300, 1000, 3000], 2)
        fit, y = task.draw(n_fit)
        moved = task.prior
        if shift is not None:
            moved = task.rng.dirichlet(shift * np.ones(task.n_classes))
        target, _ = task.draw(n_target, moved)
        one, other = postproc.softmax(fit), postproc.softmax(change * target)
        found.append(compare_confidence(one, y, other).is_unlike)
    return np.mean(found)


def test_ordinary_sampling_is_no_cause():
    assert verdicts(150, 1.0) == 0


@pytest.mark.parametrize("concentration", [10.0, 3.0, 1.0])
def test_label_shift_is_no_cause(concentration):
    assert verdicts(150, 1.0, shift=concentration) <= 0.01


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_another_scale_is_told_with_and_without_a_shift(factor):
    assert verdicts(60, factor) > 0.7
    assert verdicts(60, factor, shift=3.0) > 0.6


def test_the_difference_is_that_of_the_means_where_frequencies_agree():
    y = np.arange(400) % 2
    one, other = np.full(400, 0.9), np.full(400, 0.6)
    fit = np.where(y == 1, one, 1 - one)
    target = np.where(y == 1, other, 1 - other)
    found = compare_confidence(np.stack([1 - fit, fit], 1), y, np.stack([1 - target, target], 1))
    assert found.fit == pytest.approx(0.9)
    assert found.target == pytest.approx(0.6)
    assert found.difference == pytest.approx(-0.3, abs=0.01)


def test_the_warning_names_both_files_and_the_mend():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    z = 2 * np.eye(3)[y] + rng.normal(size=(300, 3))
    fit = Predictions.check(postproc.softmax(3 * z), name="fit.npy")
    target = Predictions.check(postproc.softmax(z), name="preds.npy")
    (said,) = confidence_doubts(fit, y, target)
    assert said.startswith("fit.npy and preds.npy are not scored alike: mean confidence is 0.9")
    assert "--oof" in said
    assert said.endswith("[PP220]")
    few = Predictions.check(fit.scores[:40], kind="probs")
    assert not confidence_doubts(few, y[:40], target)


def test_large_files_are_sampled_over_their_whole_length():
    y = np.repeat([0, 1], 40_000)
    p = np.where(y == 1, 0.9, 0.3)  # sorted by class: the head alone would mislead
    fit = Predictions.check(np.stack([1 - p, p], axis=1), name="fit")
    order = np.random.default_rng(0).permutation(len(y))
    target = Predictions.check(fit.scores[order], name="target")
    assert not confidence_doubts(fit, y, target)


def test_few_rows_a_class_give_no_verdict():
    fit, y = Task(2).draw(300)
    n_classes = fit.shape[1]
    wide = np.hstack([fit, np.full((300, 60 - n_classes), -20.0)])
    one = Predictions.check(postproc.softmax(wide), name="fit")
    other = Predictions.check(postproc.softmax(wide / 9), name="target")
    assert not confidence_doubts(one, y, other)


def test_samples_of_many_classes_take_bounded_memory():
    cuts = alike._spread(10**6, 1000)
    assert sum(cut.stop - cut.start for cut in cuts) * 1000 < 1.1 * alike.MOST_NUMBERS
    assert (cuts[0].start, cuts[-1].stop) == (0, 10**6)
