"""`auto` by other metrics: gains against scikit-learn and sums by hand, and what it then does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from ensemble import AutoPostprocessor, load_model, save_model
from ensemble.auto.judge import Judge
from ensemble.auto.rehearsal import PairedGain, paired_gain
from ensemble.auto.summary import Combination, explain
from postproc import softmax
from postproc.calibration.binary import BinaryCalibration
from postproc.scores.arrays import log_softmax

RNG = np.random.default_rng(0)
Y = RNG.integers(4, size=300)
OLD = softmax(1.0 * np.eye(4)[Y] + RNG.normal(size=(300, 4)))
NEW = softmax(2.0 * np.eye(4)[Y] + RNG.normal(size=(300, 4)))


def log_loss(probs, y):
    return metrics.log_loss(y, probs, labels=np.arange(probs.shape[1]))


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("log_loss", lambda probs: -log_loss(probs, Y)),
        ("auc", lambda probs: metrics.roc_auc_score(Y, probs, multi_class="ovr")),
        ("macro_f1", lambda probs: metrics.f1_score(Y, probs.argmax(axis=1), average="macro")),
        (
            "balanced_accuracy",
            lambda probs: metrics.balanced_accuracy_score(Y, probs.argmax(axis=1)),
        ),
        (
            "quadratic_kappa",
            lambda probs: metrics.cohen_kappa_score(Y, probs.argmax(axis=1), weights="quadratic"),
        ),
    ],
)
def test_gains_against_scikit_learn_in_any_order_of_the_classes(name, oracle):
    judge = Judge.of(name, 4)
    found = judge.gain(judge.outputs(NEW), judge.outputs(OLD), Y)
    assert found.gain == pytest.approx(oracle(NEW) - oracle(OLD), abs=1e-9)
    assert judge.score(judge.outputs(NEW), Y) == pytest.approx(oracle(NEW), abs=1e-9)
    classes = np.array([2, 0, 3, 1])  # class k is number classes[k] of the task
    other = Judge(judge.metric, 4, classes)
    moved = [other.outputs(probs[:, classes]) for probs in (NEW, OLD)]
    again = other.gain(*moved, np.argsort(classes)[Y])
    assert (again.gain, again.std_error) == pytest.approx((found.gain, found.std_error))
    gain, variance = judge.against(judge.outputs(NEW), judge.outputs(OLD), Y)
    assert (gain, np.sqrt(variance / 300)) == pytest.approx((found.gain, found.std_error))


def test_the_interval_in_log_loss_is_that_of_the_paired_t_test():
    judge = Judge.of("log_loss", 4)
    rows = np.arange(300)
    better = np.log(NEW[rows, Y]) - np.log(OLD[rows, Y])
    low, high = stats.ttest_1samp(better, 0).confidence_interval(0.95)
    found = judge.gain(NEW, OLD, Y)
    # Heavy tails leave fewer degrees of freedom than rows.
    assert found.interval[0] == pytest.approx(low, abs=0.05 * (high - low))
    assert found.interval[1] == pytest.approx(high, abs=0.05 * (high - low))
    np.testing.assert_allclose(judge.differences(NEW, OLD, Y), better - better.mean(), atol=1e-9)


def test_what_float32_rounds_is_no_gain():
    found = Judge.of("log_loss", 4).gain(NEW.astype(np.float32).astype(float), NEW, Y)
    assert (found.gain, found.std_error) == (0.0, 0.0)


def test_accuracy_is_judged_as_ever():
    judge, weights = Judge.of("accuracy", 4), RNG.random(300)
    new, old = judge.outputs(NEW), judge.outputs(OLD)
    assert judge.gain(new, old, Y, weights) == paired_gain(new, old, Y, weights)
    assert judge.against(new, old, Y)[1] == np.mean((new == Y) != (old == Y))


def task(n, seed, scale=1.0, n_classes=5):
    """Scores of rows from Gaussians, `scale` times the true log-odds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    return scale * 2.25 * (np.eye(n_classes)[y] + rng.normal(size=(n, n_classes)) / 1.5), y


def test_a_temperature_is_set_only_where_it_lowers_log_loss():
    (sharp, y), (target, labels) = task(500, 1, scale=3.0), task(2000, 2, scale=3.0)
    sharpened = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit([sharp], y)
    adapted = sharpened.adapt_to([target])
    before, after = (
        log_loss(softmax(target), labels),
        log_loss(adapted.predict_proba([target]), labels),
    )
    assert after < 0.7 * before
    low, high = adapted.decision_.expected.interval
    assert low < before - after < high
    assert "in log-loss (positive is better)" in adapted.summary_
    good, y = task(500, 3)
    adapted = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit([good], y).adapt_to([good])
    np.testing.assert_allclose(adapted.predict_proba([good]), softmax(good), atol=1e-12)
    assert adapted.decision_.expected.interval == (0.0, 0.0)
    assert "calibration, which does not help out of fold, changes nothing" in adapted.summary_
    assert "+0.0000" not in adapted.summary_
    policy = replace(adapted.pipeline.policy_, calibration_gain=PairedGain(-0.2, 0.01))
    alone = Combination(adapted.names_, adapted.names_[0], "best", None)
    assert "and calibration does worse out of fold (-0.2000 in log-loss" in explain(
        alone, policy, adapted.decision_
    )


def test_two_classes_are_calibrated_where_held_out_log_loss_falls(tmp_path):
    def skewed(n, seed):
        rng = np.random.default_rng(seed)
        z = rng.normal(scale=2.0, size=n)
        y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
        return np.column_stack([np.zeros(n), np.where(z > 0, 0.3, 3.0) * z + 1.0]), y

    (scores, y), (target, labels) = skewed(1500, 4), skewed(4000, 5)
    auto = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit([scores], y)
    adapted = auto.adapt_to([target])
    own = BinaryCalibration(kind="logits").fit(log_softmax(scores), y)
    tempered = auto.policy_.tempered(log_softmax(target))
    after = log_loss(adapted.predict_proba([target]), labels)
    assert adapted.decision_.action == "calibrate"
    assert after < log_loss(np.exp(tempered), labels) - 0.02
    assert after < log_loss(own.predict_proba(log_softmax(target)), labels) + 0.01
    save_model(auto, tmp_path / "pipeline.json")
    loaded = load_model(tmp_path / "pipeline.json")
    np.testing.assert_allclose(
        loaded.predict_proba([target]), adapted.predict_proba([target]), atol=1e-12
    )


def test_the_best_member_is_that_of_the_metric():
    (scores, y), rng = task(600, 6), np.random.default_rng(6)
    coarse = np.where(scores == scores.max(axis=1, keepdims=True), 12.0, -0.1)
    worse = scores + 0.6 * rng.normal(size=scores.shape)
    for metric, best in (("accuracy", 0), ("log_loss", 1), ("auc", 1)):
        auto = AutoPostprocessor(metric=metric, n_rehearsals=6, min_z=99.0).fit([coarse, worse], y)
        assert (auto.best_, auto.combination_) == (best, "best")


@pytest.mark.parametrize(
    ("metric", "classes", "message"),
    [("ROC", 3, "`metric` must be one of accuracy, "), ("top5", 2, "for binary predictions")],
)
def test_error_messages(metric, classes, message):
    with pytest.raises(ValueError, match=message):
        AutoPostprocessor(metric=metric).fit([np.eye(classes)[Y[:30] % classes]], Y[:30] % classes)
