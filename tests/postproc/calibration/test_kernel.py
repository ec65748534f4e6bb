"""The kernel regression against scikit-learn's, and its leave-one-out scores against refits."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge as TheirKernelRidge

from postproc.calibration.kernel import KernelRidge


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=40)
    return rng.normal(size=(40, 6)) + 2 * np.eye(4, 6)[y], y


@pytest.mark.parametrize("ridge", [3.0, 0.1])
def test_with_all_landmarks_it_is_kernel_ridge_regression(task, ridge):
    features, y = task
    fits = KernelRidge(features, y, 4, np.random.default_rng(1).permutation(40))
    made = TheirKernelRidge(alpha=ridge, kernel="rbf", gamma=1 / fits.width)
    expected = made.fit(features, np.eye(4)[y]).predict(features[:5] + 0.1)
    np.testing.assert_allclose(fits.scores(ridge)(features[:5] + 0.1), expected, atol=1e-6)
    left_out = fits.left_out(ridge, np.arange(40))
    for i in range(40):
        kept = np.arange(40) != i
        alone = made.fit(features[kept], np.eye(4)[y[kept]]).predict(features[i : i + 1])
        np.testing.assert_allclose(left_out[i], alone[0], atol=1e-6)


def test_with_fewer_landmarks_rows_are_left_out_of_the_ridge(task):
    features, y = task
    chosen = np.arange(0, 40, 4)
    fits = KernelRidge(features, y, 4, chosen)

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / fits.width)

    # Nyström: minimize ‖K c - Y‖² + r cᵀ K_mm c.
    some, between = kernel(features, features[chosen]), kernel(features[chosen], features[chosen])
    left_out = fits.left_out(0.3, np.arange(40))
    for i in range(40):
        kept = np.arange(40) != i
        gram = some[kept].T @ some[kept] + 0.3 * between
        coef = np.linalg.solve(gram, some[kept].T @ np.eye(4)[y[kept]])
        np.testing.assert_allclose(left_out[i], some[i] @ coef, atol=1e-6)


def test_the_width_is_four_times_the_mean_squared_distance(task):
    features, y = task
    pairs = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    fits = KernelRidge(features, y, 4, np.arange(40))
    assert fits.width == pytest.approx(4 * pairs.mean())


def test_rows_that_are_all_alike():
    fits = KernelRidge(np.ones((8, 3)), np.arange(8) % 2, 2, np.arange(8))
    assert np.isfinite(fits.left_out(0.1, np.arange(8))).all()
