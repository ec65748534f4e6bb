"""The mix with the uniform distribution: by its equation, and what it leaves alone."""

import numpy as np
import pytest
import torch

from postproc import (
    BiasCorrectedTemperatureScaling,
    ResidualMatrixScaling,
    StructuredScaling,
    TemperatureScaling,
    log_softmax,
    softmax,
)
from postproc.calibration.mixing import MixedMap, mixed_logs


def test_the_mix_is_of_probabilities():
    z = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(np.exp(mixed_logs(z, 0.1)), 0.9 * softmax(z) + 0.1 / 3)
    np.testing.assert_array_equal(MixedMap(log_softmax, 0.1)(z), mixed_logs(z, 0.1))
    np.testing.assert_allclose(mixed_logs(torch.from_numpy(z), 0.1).numpy(), mixed_logs(z, 0.1))


@pytest.mark.parametrize(
    "kind",
    [
        TemperatureScaling,
        BiasCorrectedTemperatureScaling,
        StructuredScaling,
        ResidualMatrixScaling,
    ],
)
def test_every_calibrator_ends_with_it(kind):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=99)
    z = 4 * (np.eye(3)[y] + rng.normal(size=(99, 3)))
    fitted = kind(kind="logits").fit(z, y)
    assert fitted.improved_
    sure = np.array([[-np.inf, 0.0, -np.inf], [-900.0, -900.0, 900.0]])
    found = fitted.predict_proba(sure)
    assert found.min() >= 0.01 / 3 * (1 - 1e-9)  # 99 rows: a share of 1/100
    plain = np.exp(fitted.model_.model(log_softmax(z)))
    np.testing.assert_allclose(fitted.predict_proba(z), 0.99 * plain + 0.01 / 3, rtol=1e-9)
    np.testing.assert_array_equal(fitted.predict(z), plain.argmax(axis=1))


def test_what_does_not_improve_is_left_alone():
    z = np.random.default_rng(0).normal(size=(40, 3))
    y = (z + np.random.default_rng(1).gumbel(size=z.shape)).argmax(axis=1)
    fitted = StructuredScaling(kind="logits").fit(z, y)
    assert not fitted.improved_
    np.testing.assert_allclose(fitted.predict_proba(z), softmax(z), rtol=1e-12)
