"""The learned log pool against searches of its own objective."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import log_loss

import ensemble
from ensemble.learned.log_pool import fit_log_pool
from postproc import log_softmax, softmax


def logs_of(members):
    return np.stack([log_softmax(z) for z in members])


def test_log_pool_is_the_optimum(fit_split):
    """Against scipy's derivative-free search on the log-loss itself."""
    members, y = fit_split
    logs = logs_of(members)
    fit = fit_log_pool(logs, y, ridge=0.0)

    def loss(w):
        return log_loss(y, softmax(np.tensordot(np.maximum(w, 0), logs, 1)), labels=range(5))

    found = minimize(loss, np.full(4, 0.25), method="Nelder-Mead", options={"maxiter": 4000})
    assert loss(fit.weights) <= found.fun + 1e-7
    np.testing.assert_allclose(fit.loss, loss(fit.weights), atol=1e-10)
    assert fit.converged


@pytest.mark.parametrize("bias_ridge", [None, 0.5])
def test_log_pool_gradient_is_that_of_its_objective(fit_split, bias_ridge, monkeypatch):
    members, y = fit_split
    caught = {}
    real = minimize

    def spy(objective, x0, **options):
        caught["objective"] = objective
        return real(objective, x0, **options)

    monkeypatch.setattr("scipy.optimize.minimize", spy)
    fit_log_pool(logs_of(members), y, ridge=0.7, bias_ridge=bias_ridge)
    x = np.random.default_rng(0).random(4 if bias_ridge is None else 9)
    _, slopes = caught["objective"](x)
    for k in range(len(x)):
        step = np.eye(len(x))[k] * 1e-6
        numeric = (caught["objective"](x + step)[0] - caught["objective"](x - step)[0]) / 2e-6
        assert slopes[k] == pytest.approx(numeric, abs=1e-7)


def test_a_misleading_member_gets_no_weight(fit_split):
    members, y = fit_split
    misleading = -np.eye(5)[y]
    model = ensemble.LearnedLogPool(ridge=0.0).fit([*members, misleading], y)
    assert model.member_weights_[4] == 0


def test_weights_stay_finite_where_all_rows_are_right():
    model = ensemble.LearnedLogPool(bias=True).fit([5 * np.eye(4) - 1] * 2, np.arange(4))
    assert np.isfinite(model.member_weights_).all()
    assert model.converged_


def test_class_bias_follows_the_labels(fit_split):
    members, y = fit_split
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y != 0)[:30]])
    model = ensemble.LearnedLogPool(bias=True, bias_ridge=0.1)
    model.fit([z[rows] for z in members], y[rows])
    assert model.bias_.argmax() == 0
    assert model.bias_ridge_ == 0.1


def test_an_optimiser_that_gives_up_says_so(fit_split, monkeypatch):
    short = partial(fit_log_pool, max_iterations=1)
    monkeypatch.setattr("ensemble.learned.log_pool.fit_log_pool", short)
    with pytest.warns(UserWarning, match="has not converged after 1 iterations; the fit is rough"):
        model = ensemble.LearnedLogPool().fit(*fit_split)
    assert not model.converged_
    assert model.n_iter_ == 1
