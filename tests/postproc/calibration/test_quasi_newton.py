"""The minimizer on functions whose minimum is known."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from postproc.calibration.quasi_newton import minimize_smooth


def quadratic(size, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    hessian, centre = root @ root.T + 0.1 * np.eye(size), rng.normal(size=size)

    def objective(x):
        slope = hessian @ (x - centre)
        return 0.5 * float((x - centre) @ slope), slope

    return objective, hessian, centre


def test_the_exact_hessian_takes_one_step():
    objective, hessian, centre = quadratic(8, 0)
    inverse = np.linalg.inv(hessian)
    found = minimize_smooth(objective, np.zeros(8), lambda g: inverse @ g, max_iter=5)
    assert (found.n_iter, found.converged) == (1, True)
    np.testing.assert_allclose(found.x, centre, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_a_rough_hessian_takes_more(scale):
    objective, _, centre = quadratic(8, 1)
    found = minimize_smooth(
        objective, np.zeros(8), lambda g: scale * g, max_iter=500, tolerance=1e-12
    )
    assert found.converged
    np.testing.assert_allclose(found.x, centre, atol=1e-4)


def test_a_curved_valley():
    found = minimize_smooth(
        lambda x: (float(rosen(x)), rosen_der(x)),
        np.full(10, -1.0),
        lambda g: g,
        max_iter=500,
        tolerance=1e-12,
    )
    assert found.converged
    np.testing.assert_allclose(found.x, 1, atol=1e-5)


def test_giving_up_is_said():
    found = minimize_smooth(
        lambda x: (float(rosen(x)), rosen_der(x)), np.full(10, -1.0), lambda g: g, max_iter=3
    )
    assert (found.n_iter, found.converged) == (3, False)
