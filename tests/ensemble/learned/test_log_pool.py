"""The learned log pool."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import ensemble
from postproc.calibration.log_pool import fit_log_pool


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
