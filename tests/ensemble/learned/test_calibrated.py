"""Temperatures, calibrated voting, and the features of linear heads."""

from __future__ import annotations

import numpy as np
import pytest

import ensemble
from postproc import log_softmax, softmax
from postproc.calibration.features import FLOOR, Calibration, fit_temperature


def test_temperature_is_recovered():
    rng = np.random.default_rng(0)
    logs = log_softmax(1.5 * rng.standard_normal((20_000, 4)))
    y = (logs + rng.gumbel(size=logs.shape)).argmax(axis=1)
    for factor in (0.25, 1.0, 4.0):
        assert fit_temperature(factor * logs, y) == pytest.approx(1 / factor, rel=0.05)


def test_temperature_is_finite_where_all_rows_are_right():
    assert 1 < fit_temperature(log_softmax(np.eye(3)), np.arange(3)) < 100


def test_calibrated_voting_is_the_linear_pool_of_tempered_members(fit_split, target_split):
    model = ensemble.CalibratedVoting().fit(*fit_split)
    betas = [fit_temperature(log_softmax(z), fit_split[1]) for z in fit_split[0]]
    np.testing.assert_allclose(model.temperatures_, 1 / np.array(betas), rtol=1e-12)
    expected = np.mean(
        [softmax(b * z) for b, z in zip(betas, target_split[0], strict=True)], axis=0
    )
    np.testing.assert_allclose(model.predict_proba(target_split[0]), expected, atol=1e-12)


def test_features_are_cut_off_and_centred():
    logs = np.log(np.array([[[1 - 2e-9, 1e-9, 1e-9]]]))
    features = Calibration(np.ones(1)).features(logs)
    np.testing.assert_allclose(features, [[-2 * FLOOR / 3, FLOOR / 3, FLOOR / 3]], atol=1e-8)
