"""The log pool against searches of its own objective, and refits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from sklearn.metrics import log_loss

from postproc import log_softmax, softmax
from postproc.calibration.log_pool import PoolTask, fit_log_pool, left_out_scores


@pytest.fixture
def fit_split():
    """Four members of different strength, the last one of noise, and the classes."""
    rng = np.random.default_rng(1)
    y = rng.integers(5, size=400)
    return [rng.normal(size=(400, 5)) + f * np.eye(5)[y] for f in (2.5, 1.5, 1.0, 0.0)], y


def logs_of(members):
    return np.stack([log_softmax(z) for z in members])


def test_log_pool_is_the_optimum(fit_split):
    """Against scipy's derivative-free search on the log-loss itself."""
    members, y = fit_split
    logs = logs_of(members)
    fit = fit_log_pool(PoolTask(logs, y), ridge=0.0)

    def loss(w):
        return log_loss(y, softmax(np.tensordot(np.maximum(w, 0), logs, 1)), labels=range(5))

    found = minimize(loss, np.full(4, 0.25), method="Nelder-Mead", options={"maxiter": 4000})
    assert loss(fit.weights) <= found.fun + 1e-7
    np.testing.assert_allclose(fit.loss, loss(fit.weights), atol=1e-10)
    assert fit.converged


@pytest.mark.parametrize("bias_ridge", [None, 0.5])
def test_log_pool_is_the_optimum_of_the_written_objective(fit_split, bias_ridge):
    """Slopes by finite differences: zero, or uphill into the interior where a weight is zero."""
    members, y = fit_split
    logs = logs_of([*members, -np.eye(5)[y]])
    fit = fit_log_pool(PoolTask(logs, y), ridge=0.7, bias_ridge=bias_ridge)

    def loss(x):
        w, b = x[:5], x[5:]
        value = log_loss(y, softmax(np.tensordot(w, logs, 1) + b), labels=range(5))
        value += 0.7 * np.sum((w - 1 / 5) ** 2) / (2 * len(y))
        return value + (bias_ridge or 0) * np.sum(b**2) / (2 * len(y))

    x = np.concatenate([fit.weights, fit.bias])
    assert fit.loss == pytest.approx(loss(x), abs=1e-12)
    assert fit.weights[4] == 0
    slopes = approx_fprime(x, loss, 1e-7)
    assert slopes[4] > 0
    free = slopes[:4] if bias_ridge is None else np.delete(slopes, 4)
    assert np.abs(free).max() < 1e-5
    assert fit.converged


def test_log_pool_of_blocks_is_that_of_all_rows():
    """More rows than a block has, and scores far apart, against SciPy's optimiser."""
    rng = np.random.default_rng(0)
    y = rng.integers(50, size=3000)
    logs = logs_of([f * (rng.normal(size=(3000, 50)) + 3 * np.eye(50)[y]) for f in (0.1, 1, 40)])

    def loss(x):
        z = np.tensordot(x[:3], logs, 1) + x[3:]
        p = softmax(z)
        p[np.arange(3000), y] -= 1
        slopes = np.concatenate([np.tensordot(logs, p, 2), p.sum(axis=0) + 2 * x[3:]]) / 3000
        slopes[:3] += (x[:3] - 1 / 3) / 3000
        penalty = (np.sum((x[:3] - 1 / 3) ** 2) + 2 * np.sum(x[3:] ** 2)) / 6000
        return log_loss(y, softmax(z), labels=range(50)) + penalty, slopes

    bounds = [(0, None)] * 3 + [(None, None)] * 50
    start = np.concatenate([np.full(3, 1 / 3), np.zeros(50)])
    sought = minimize(
        loss, start, jac=True, bounds=bounds, options={"maxiter": 2000, "ftol": 1e-14}
    )
    fit = fit_log_pool(PoolTask(logs, y), bias_ridge=2.0)
    assert fit.converged
    assert fit.loss <= sought.fun + 1e-9
    np.testing.assert_allclose(fit.weights, sought.x[:3], atol=1e-3)


@pytest.mark.parametrize("bias_ridge", [None, 0.5])
def test_a_doubt_makes_two_of_each(fit_split, bias_ridge):
    members, y = fit_split
    logs = logs_of(members)
    doubts = np.random.default_rng(0).uniform(size=logs.shape[:2])
    doubtful = doubts[:, :, None] * logs
    halves = PoolTask(np.concatenate([logs - doubtful, doubtful]), y)
    found = fit_log_pool(PoolTask(logs, y, doubts), bias_ridge=bias_ridge)
    expected = fit_log_pool(halves, bias_ridge=bias_ridge)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(found.bias, expected.bias, atol=1e-6)


@pytest.mark.parametrize("bias_ridge", [None, 5.0])
def test_left_out_scores_are_nearly_those_of_refits(fit_split, bias_ridge):
    members, y = fit_split
    task = PoolTask(logs_of(members), y)
    options = {"ridge": 5.0, "bias_ridge": bias_ridge}
    whole = fit_log_pool(task, **options)
    folds = np.arange(len(y)) % 8
    found = left_out_scores(task, whole, folds, **options)
    refits, own = np.empty((2, *found.shape))
    for fold in range(8):
        rows = np.flatnonzero(folds != fold)
        fit = fit_log_pool(task.take(rows), **options)
        held = folds == fold
        refits[held] = fit.log_scores(task.logs[:, held])
        own[held] = whole.log_scores(task.logs[:, held])
    assert np.linalg.norm(found - refits) < 0.3 * np.linalg.norm(own - refits)
