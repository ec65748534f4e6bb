"""What `auto` says of its gains: over which member, with which interval, at which level."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from ensemble import AutoPostprocessor, load_model, save_model
from ensemble.auto.combination import OverCalibrated
from postproc import BinaryCalibration, PooledScaling, softmax
from postproc.shift.evidence import NoShiftTest


def task(seed, n, n_classes, scales):
    """Members that err apart, each overconfident by a factor of its own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    one = [2 * (1.5 * np.eye(n_classes)[y] + rng.normal(size=(n, n_classes))) for _ in scales]
    return [softmax(scale * logits) for scale, logits in zip(scales, one, strict=True)], y


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_gain_over_the_best_calibrated_member_is_quoted_beside_that_as_given(n_classes):
    members, y = task(0, 400, n_classes, (3.0, 4.0))
    auto = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit(members, y)
    over = auto.over_calibrated_
    calibrator = (BinaryCalibration if n_classes == 2 else PooledScaling)(kind="probs")
    held = calibrator.fit(members[over.best], y).held_out_log_loss_
    combined = auto.candidates_[auto.combination_].log_loss
    assert over.gain.gain == pytest.approx(held - combined, abs=1e-6)
    given = auto.candidates_[auto.combination_].gain
    assert given.gain > 2 * over.gain.gain > 0
    adapted = auto.adapt_to(members)
    said, found = adapted.summary_, adapted.to_dict()
    name = auto.names_[over.best]
    assert f"over the best calibrated member, {name}." in said
    assert f"{over.gain.gain:+.4f}, 95 % interval" in said
    assert found["best_calibrated_member"] == name
    assert found["gain_over_calibrated"] == over.gain.gain
    assert found["gain_over_calibrated_ci"] == list(over.gain.interval)


def test_the_best_after_calibration_may_be_another_member():
    members, y = task(1, 400, 3, (1.0, 6.0))
    members.append(softmax(np.log(members[0]) + np.random.default_rng(2).normal(size=(400, 3))))
    better = softmax(8.0 * (1.6 * np.eye(3)[y] + np.random.default_rng(3).normal(size=(400, 3))))
    members[1] = better
    assert log_loss(y, better) > log_loss(y, members[0])
    auto = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit(members, y)
    assert auto.best_ != auto.over_calibrated_.best == 1


def test_each_gain_has_one_interval():
    members, y = task(0, 400, 3, (1.0, 1.0))
    for metric in ("accuracy", "log_loss"):
        auto = AutoPostprocessor(metric=metric, n_rehearsals=6).fit(members, y)
        said = auto.adapt_to(members).summary_
        gains = re.findall(r"([+-][\d.]+) (?:points|in log-loss)[^,]*, 95 % interval", said)
        assert len(gains) == len(set(gains)) > 0
    assert AutoPostprocessor(n_rehearsals=6).fit(members, y).over_calibrated_ is None


def test_a_p_value_that_others_take_for_a_shift_has_its_level():
    members, y = task(0, 400, 3, (1.0, 1.0))
    adapted = AutoPostprocessor(n_rehearsals=6).fit(members, y).adapt_to(members)
    for p_value, said in (
        (0.016, "no label shift (p = 0.016, not below 0.01)"),
        (0.2, "no label shift (p = 0.2)"),
    ):
        decision = replace(adapted.decision_, test=NoShiftTest(p_value, 1.0, 2))
        assert said in type(adapted)(adapted.pipeline, decision).summary_


def test_models_of_the_first_release_quote_no_such_gain():
    members, y = task(0, 400, 3, (1.0, 1.0))
    auto = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit(members, y)
    assert isinstance(auto.over_calibrated_, OverCalibrated)
    del auto.over_calibrated_
    assert "calibrated member" not in auto.adapt_to(members).summary_


def test_the_gain_is_saved_with_the_model(tmp_path):
    members, y = task(0, 200, 3, (1.0, 1.0))
    auto = AutoPostprocessor(metric="log_loss", n_rehearsals=6).fit(members, y)
    save_model(auto, tmp_path / "auto.json")
    again = load_model(tmp_path / "auto.json")
    assert again.over_calibrated_ == auto.over_calibrated_ is not None
    assert again.adapt_to(members).summary_ == auto.adapt_to(members).summary_
