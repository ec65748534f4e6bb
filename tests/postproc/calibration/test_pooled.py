"""Pooled scaling: its parts in one log pool, by the equation, and what it starts from."""

import numpy as np
import pytest

from ensemble import DiscriminantPool
from postproc import PooledScaling, ResidualMatrixScaling, log_softmax, softmax
from postproc.calibration.affine import AffineMap
from postproc.calibration.log_pool import PoolTask, fit_log_pool
from postproc.calibration.pooled import N_LANDMARKS, PooledMap


def clusters(n_rows, seed):
    """Logits of a classifier whose errors a discriminant can see, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(6, size=n_rows)
    means = 2.5 * np.random.default_rng(9).normal(size=(6, 6))
    return means[y] + 1.5 * rng.normal(size=(n_rows, 6)), y


def test_the_pool_by_its_equation():
    z, y = clusters(200, 0)
    fitted = PooledScaling(kind="logits").fit(z, y)
    model, rows = fitted.model_.model, log_softmax(z[:9])
    features = np.maximum(log_softmax(model.betas[0] * rows), -12.0)
    features -= features.mean(axis=1, keepdims=True)
    linear = model.discriminants[0]
    squares = ((features[:, None] - model.kernel.landmarks) ** 2).sum(axis=2)
    kernel = np.exp(-squares / model.kernel.width) @ model.kernel.coef
    parts = [model.bases[0](rows), features @ linear.coef + linear.intercept, kernel]
    pooled = model.bias.copy()
    for u, v, logs in zip(*model.weights, map(log_softmax, parts), strict=True):
        doubts = -(np.exp(logs) * logs).sum(axis=1, keepdims=True) / np.log(6)
        pooled = pooled + ((1 - doubts) * u + doubts * v) * logs
    wanted = (1 - 1 / 201) * softmax(pooled) + 1 / 201 / 6
    np.testing.assert_allclose(fitted.predict_proba(z[:9]), wanted, rtol=1e-9)


@pytest.mark.parametrize("base", ["matrix", "temperature"])
def test_it_sees_what_a_matrix_does_not(base):
    z, y = clusters(300, 0)
    target, truth = clusters(2000, 1)
    picked = np.arange(2000), truth
    pooled = PooledScaling(base=base, kind="logits").fit(z, y).predict_log_proba(target)
    matrix = ResidualMatrixScaling(kind="logits").fit(z, y).predict_log_proba(target)
    assert (pooled - matrix)[picked].mean() > 0.02


def test_the_prior_draws_to_the_base():
    z, y = clusters(100, 0)
    logs = np.stack([log_softmax(z), log_softmax(-z)])
    task = PoolTask(logs, y, centre=np.array([1.0, 0.0]))
    np.testing.assert_allclose(fit_log_pool(task, ridge=1e9).weights, [1, 0], atol=1e-5)
    np.testing.assert_array_equal(task.take(np.arange(5)).middle, [1, 0])


def test_an_unknown_base():
    with pytest.raises(ValueError, match='`base` must be one of "matrix", "temperature", got'):
        PooledScaling(base="bcts").fit(*clusters(20, 0))


def test_on_temperature_it_is_the_discriminant_pool_of_one_member():
    z, y = clusters(200, 0)
    scaling = PooledScaling(base="temperature", bias_ridge=1.0, kind="logits").fit(z, y)
    pool = DiscriminantPool(n_landmarks=N_LANDMARKS).fit([z], y, kinds="logits")
    target, _ = clusters(50, 1)
    mixed = (1 - 1 / 201) * pool.predict_proba([target], kinds="logits") + 1 / 201 / 6
    np.testing.assert_allclose(scaling.predict_proba(target), mixed, atol=1e-9)


def test_a_map_of_the_first_release():
    rng = np.random.default_rng(0)
    weight, bias, none = rng.normal(size=(3, 3)), rng.normal(size=3), np.zeros(0, dtype=np.int64)
    scaling = AffineMap(0.5, rng.normal(size=3), none)
    matrix = AffineMap(0.9, rng.normal(size=3), none)
    logs = log_softmax(3 * rng.normal(size=(5, 3)))
    cut = np.maximum(log_softmax(0.7 * logs), -4.0)
    own = scaling(log_softmax((cut - cut.mean(axis=1, keepdims=True)) @ weight + bias))
    pooled = PooledMap(matrix, weight, bias, scaling, np.array([0.6, 0.3]), 0.7, 4.0, none)
    expected = log_softmax(0.6 * matrix(logs) + 0.3 * own)
    np.testing.assert_allclose(pooled(logs), expected, atol=1e-12)
