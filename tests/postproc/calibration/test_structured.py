"""Structured scaling against numbers of probmetrics 1.3, and on more than 200 classes."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar

from postproc import BiasCorrectedTemperatureScaling, StructuredScaling, log_softmax
from postproc.calibration.affine import mean_log_loss
from postproc.calibration.mixing import mixed_logs
from postproc.calibration.structured import StructuredMap, fit_structured, precondition_by_classes

#: First rows of SMS and SVS (False, True) on the task below, minimized to 1e-12 in float64.
PROBMETRICS = {
    False: [
        [0.2125831, 0.259131, 0.1146317, 0.4136542],
        [0.505587, 0.0894631, 0.243439, 0.1615108],
        [0.3653906, 0.1368894, 0.4151728, 0.0825472],
        [0.0649825, 0.1856406, 0.1978668, 0.5515101],
    ],
    True: [
        [0.2253502, 0.2423207, 0.1248505, 0.4074787],
        [0.614945, 0.077734, 0.1659503, 0.1413707],
        [0.4173713, 0.1388701, 0.3541969, 0.0895617],
        [0.0527242, 0.2134557, 0.2616981, 0.472122],
    ],
}


def golden_task():
    row, column = np.arange(60)[:, None], np.arange(4)[None]
    y = np.arange(60) * 7 // 3 % 4
    return 3 * np.sin(1.7 * row + 2.3 * column**2) + 2 * (column == y[:, None]) + 0.5 * column, y


@pytest.mark.parametrize("diagonal", [False, True])
def test_against_probmetrics(diagonal):
    z, y = golden_task()
    # Its temperature has no prior; ours has one, worth a row.
    beta = minimize_scalar(
        lambda b: mean_log_loss(log_softmax(b * z), y),
        bounds=(0.1, 3),
        method="bounded",
        options={"xatol": 1e-12},
    ).x
    x = mixed_logs(beta * z, 1 / 61)
    near = precondition_by_classes(x, diagonal=diagonal)
    found = fit_structured(x, y, near, diagonal=diagonal, max_iter=100, tolerance=1e-14)
    both = found.x.reshape(-1, 4)
    weight = both[0] if diagonal else both[:-1]
    made = StructuredMap(beta, 1 / 61, both[-1], weight, np.zeros(0, dtype=np.int64))
    assert found.converged
    np.testing.assert_allclose(np.exp(made(z))[:4], PROBMETRICS[diagonal], atol=1e-6)
    options = {"matrix_classes": 2 if diagonal else 200, "kind": "logits"}
    ours = StructuredScaling(**options).fit(z, y).predict_proba(z)
    np.testing.assert_allclose(ours[:4], PROBMETRICS[diagonal], atol=0.02)


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_optimum_of_the_written_objective(diagonal):
    rng = np.random.default_rng(0)
    x, y = log_softmax(rng.normal(size=(50, 3))), rng.integers(3, size=50)

    def loss(theta):
        both = theta.reshape(-1, 3)
        weight, bias = (np.diag(both[0]) if diagonal else both[:-1]), both[-1]
        off = weight - np.diag(np.diag(weight))
        penalty = 3 / 50 * (bias @ bias + np.sum(np.diag(weight) ** 2)) + 6 / 50 * np.sum(off**2)
        return mean_log_loss(log_softmax(x + x @ weight + bias), y) + penalty

    near = precondition_by_classes(x, diagonal=diagonal)
    found = fit_structured(x, y, near, diagonal=diagonal, max_iter=100, tolerance=1e-13)
    assert np.abs(approx_fprime(found.x, loss, 1e-7)).max() < 1e-5
    assert found.value == pytest.approx(loss(found.x), abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*classes have no row")
def test_many_classes_get_a_diagonal():
    rng = np.random.default_rng(0)
    y = rng.integers(230, size=1500)
    z = rng.normal(size=(1500, 230)) + 4 * np.eye(230)[y]
    z[:, :100] *= 2  # their noise is doubled, and a larger weight lowers a negative logarithm
    fitted = StructuredScaling().fit(z, y)
    assert fitted.weight_.shape == (230,)
    assert fitted.weight_[:100].mean() > fitted.weight_[100:].mean()
    assert fitted.improved_
    assert fitted.converged_


def test_three_classes_with_known_confusion():
    """A matrix tells classes apart that a class bias cannot."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=4000)
    mixing = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.6], [0.0, 0.6, 1.0]])
    z = (2 * np.eye(3)[y] + rng.normal(size=(4000, 3))) @ mixing
    fitted = StructuredScaling(kind="logits").fit(z, y)
    plain = BiasCorrectedTemperatureScaling(kind="logits").fit(z, y)
    assert fitted.held_out_log_loss_ < plain.held_out_log_loss_ - 0.02
    assert fitted.weight_[1, 2] < 0


def test_the_installed_probmetrics_agrees():
    """Its BFGS in float32 stops within 1e-4 of the minimum."""
    logistic = pytest.importorskip("probmetrics.calibrators.logistic")
    z, y = golden_task()
    probs = np.exp(log_softmax(z))
    for diagonal, theirs in ((False, logistic.SMSCalibrator()), (True, logistic.SVSCalibrator())):
        found = theirs.fit(probs, y).predict_proba(probs)
        np.testing.assert_allclose(found[:4], PROBMETRICS[diagonal], atol=2e-4)
