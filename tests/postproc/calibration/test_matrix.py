"""Residual matrix scaling on top of structured scaling."""

import warnings

import numpy as np
import pytest

from postproc import ResidualMatrixScaling, StructuredScaling, log_softmax, softmax
from postproc.calibration.affine import MOST_CLASSES
from postproc.calibration.by_name import make_calibrator
from postproc.calibration.matrix import MatrixMap


def confused(n_rows, n_classes, seed):
    """Logits in which every second class is mixed up with the one before, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    mixing = np.eye(n_classes)
    pairs = np.arange(0, n_classes - 1, 2)
    mixing[pairs, pairs + 1] = mixing[pairs + 1, pairs] = 0.8
    return (2 * np.eye(n_classes)[y] + 0.7 * rng.normal(size=(n_rows, n_classes))) @ mixing, y


def test_it_starts_from_structured_scaling():
    """Where the matrix gains nothing, both are one."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(300, 4))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    matrix = ResidualMatrixScaling(kind="logits").fit(z, y)
    plain = StructuredScaling(kind="logits").fit(z, y)
    assert matrix.ridge_ == np.inf
    assert not matrix.weight_.any()
    np.testing.assert_allclose(matrix.predict_proba(z), plain.predict_proba(z), atol=1e-12)
    assert matrix.held_out_log_loss_ == pytest.approx(plain.held_out_log_loss_, abs=1e-12)


@pytest.mark.parametrize("matrix_classes", [200, 20])
def test_a_matrix_finds_confusions_that_fixed_penalties_hide(matrix_classes):
    """Also of low rank, with more classes than `matrix_classes`."""
    z, y = confused(1500, 40, 0)
    options = {"matrix_classes": matrix_classes, "kind": "logits"}
    matrix = ResidualMatrixScaling(**options).fit(z, y)
    plain = StructuredScaling(**options).fit(z, y)
    assert matrix.held_out_log_loss_ < plain.held_out_log_loss_ - 0.02
    rank = np.linalg.matrix_rank(matrix.weight_)
    assert rank == 31 or matrix_classes == 200  # 8.33 ln 40
    target, truth = confused(1500, 40, 1)
    picked = np.arange(1500), truth
    gain = matrix.predict_log_proba(target) - plain.predict_log_proba(target)
    assert gain[picked].mean() > 0.02


def test_the_map_by_its_equation():
    rng = np.random.default_rng(0)
    logs, weight = log_softmax(rng.normal(size=(6, 3))), rng.normal(size=(3, 3))
    bias = np.array([0.1, 0.2, -0.3])
    features = np.maximum(log_softmax(0.5 * logs), -1.5)
    features -= features.mean(axis=1, keepdims=True)
    made = MatrixMap(2.0, bias, weight, 0.5, 1.5, np.zeros(0, dtype=np.int64))
    wanted = softmax(2.0 * logs + features @ weight + bias)
    np.testing.assert_allclose(np.exp(made(logs)), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["matrix", "pooled", "bcts"])
def test_very_many_classes_get_a_simpler_method_aloud(name):
    rng = np.random.default_rng(0)
    y = rng.integers(20, size=100)
    z = rng.normal(size=(100, MOST_CLASSES + 50)) + 8 * np.eye(MOST_CLASSES + 50)[y]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = make_calibrator(name, kind="logits").fit(z, y)
    said = any("a matrix for 3,050 classes would fill" in str(w.message) for w in caught)
    assert said == (name != "bcts")
    assert fitted.improved_
    assert fitted.converged_
    assert fitted.predict_proba(z).shape == z.shape
