"""The discriminant pool of one model, and maps as the first release saved them."""

import numpy as np
import pytest

from ensemble import DiscriminantPool
from postproc import PooledScaling, log_softmax
from postproc.calibration.affine import AffineMap, mean_log_loss
from postproc.calibration.pooled import N_LANDMARKS, PooledMap


def task(seed, n_rows=500):
    """A model that mixes up classes of a pair in a way that a linear map undoes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n_rows)
    mixing = np.kron(np.eye(2), [[0.3, 1.0], [1.0, 0.4]])
    return (1.7 * np.eye(4)[y] + rng.normal(size=(n_rows, 4))) @ mixing, y


def test_it_is_the_discriminant_pool_of_one_member():
    (scores, y), (others, labels) = task(0), task(1)
    scaling = PooledScaling(kind="logits").fit(scores, y)
    pool = DiscriminantPool(n_landmarks=N_LANDMARKS).fit([scores], y, kinds="logits")
    found = scaling.predict_proba(others)
    np.testing.assert_allclose(found, pool.predict_proba([others], kinds="logits"), atol=1e-12)
    np.testing.assert_allclose(scaling.out_of_fold_, pool.out_of_fold_, atol=1e-12)
    assert scaling.weights_.shape == (2, 3)
    assert np.mean(found.argmax(axis=1) == labels) > np.mean(others.argmax(axis=1) == labels) + 0.2
    there = mean_log_loss(np.log(found), labels)
    assert scaling.held_out_log_loss_ == pytest.approx(there, rel=0.15)


def test_torch_gives_the_same():
    torch = pytest.importorskip("torch")
    scores, y = task(0)
    model = PooledScaling(kind="logits").fit(scores, y).model_
    logs = log_softmax(task(1)[0])
    found = model(torch.asarray(logs)).numpy()
    np.testing.assert_allclose(found, model(logs), atol=1e-12)


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
