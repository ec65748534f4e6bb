"""Stacking, bagging and the blend."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import ensemble
from postproc import log_softmax, softmax
from postproc.calibration.features import Calibration
from postproc.calibration.log_pool import PoolTask, fit_log_pool

MODELS = {
    "stack": lambda: ensemble.Stacking(cs=(0.01, 0.1)),
    "bagging": lambda: ensemble.Bagging(cs=(0.1,), n_estimators=3),
    "blend": ensemble.Blend,
}


def logs_of(members):
    return np.stack([log_softmax(z) for z in members])


def test_stacking_is_scikit_learns_regression(fit_split, target_split):
    members, y = fit_split
    calibration = Calibration.fit(logs_of(members), y)
    model = ensemble.Stacking(cs=(0.1,)).fit(members, y)
    theirs = LogisticRegression(C=0.1, max_iter=2000).fit(calibration.features(logs_of(members)), y)
    expected = theirs.predict_proba(calibration.features(logs_of(target_split[0])))
    np.testing.assert_allclose(model.predict_proba(target_split[0]), expected, atol=1e-10)
    assert model.C_ == 0.1


def test_stacking_stops_where_the_loss_rises(fit_split):
    model = ensemble.Stacking().fit(*fit_split)
    losses = list(model.cv_log_loss_.values())
    assert losses.index(min(losses)) == len(losses) - 2
    assert model.cv_log_loss_[model.C_] == min(losses)


@pytest.mark.parametrize("method", ["stack", "bagging", "blend"])
def test_a_class_without_labels_keeps_its_column(method, fit_split, target_split):
    members, y = fit_split
    rows = y != 2
    with pytest.warns(UserWarning, match="no row in the fit split") as warned:
        model = MODELS[method]().fit([z[rows] for z in members], y[rows])
    message = (
        "1 of 5 classes have no row in the fit split (2); nothing is learned of them, and the "
        "linear head leaves them what the calibrated members give on average [PP302]"
    )
    assert message in [str(w.message) for w in warned]
    probs = model.predict_proba(target_split[0])
    assert probs.shape[1] == 5
    assert (probs[:, 2] > 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)
    if method != "blend":  # its class bias counts against the class
        assert np.mean(probs.argmax(axis=1)[target_split[1] == 2] == 2) > 0.5


def test_blend_learns_its_weights_on_rows_that_the_stacker_has_not_seen(fit_split):
    members, y = fit_split
    few = [z[:25] for z in members], y[:25]
    model = ensemble.Blend(ridge=1e-3, bias_ridge=1.0).fit(*few)
    # Such a stacker knows its own rows by heart: weights that were learned there would trust it.
    logs = logs_of(few[0])
    inside = np.log(np.maximum(model.head_.probabilities(logs), 1e-38))
    fooled = fit_log_pool(PoolTask(np.concatenate([logs, inside[None]]), few[1]), bias_ridge=1.0)
    assert model.stacker_weight_ < 0.7 * fooled.weights[-1]


def test_blend_is_the_pool_of_its_parts(fit_split, target_split):
    model = ensemble.Blend().fit(*fit_split)
    logs = logs_of(target_split[0])
    z = np.tensordot(model.member_weights_, logs, 1) + model.bias_
    z += model.stacker_weight_ * np.log(model.head_.probabilities(logs))
    np.testing.assert_allclose(model.predict_proba(target_split[0]), softmax(z), atol=1e-12)
