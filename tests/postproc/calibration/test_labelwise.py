"""Maps of many labels, each shrunk to a map in common, against a general optimizer."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from postproc import MultilabelCalibration
from postproc.calibration.labelwise import LabelMaps, _path, fit_labels, label_losses


def task(n=400, m=6, members=1, seed=0):
    """Log-odds (n, m, M), too large and off, and labels (n, m)."""
    rng = np.random.default_rng(seed)
    true = 1.5 * rng.standard_normal((n, m)) + np.linspace(-2.5, 0.5, m)
    labels = (rng.random((n, m)) < 1 / (1 + np.exp(-true))).astype(int)
    noise = rng.standard_normal((n, m, members))
    return 2 * true[:, :, None] + noise + np.linspace(-1, 1, m)[:, None], labels


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("strength", [1000.0, 10.0])
def test_maps_minimize_the_penalized_loss(members, strength):
    z, y = task(members=members)
    (maps,), shared, converged = _path(z, y, [strength])
    x = np.append(z, np.ones((*y.shape, 1)), axis=2)
    centre = np.append(shared.weights[0], shared.bias)
    p = 1 / (1 + np.exp(-x @ centre))
    ridge = strength * (p * (1 - p) * x.transpose(2, 0, 1) ** 2).mean(axis=(1, 2))
    assert converged
    for label in range(y.shape[1]):

        def loss(theta, label=label):
            losses = label_losses(x[:, label] @ theta, y[:, label])
            return losses.sum() + ridge @ (theta - centre) ** 2 / 2

        bounds = [(0, None)] * members + [(None, None)]
        best = minimize(loss, centre, bounds=bounds, tol=1e-14)
        theta = np.append(maps.weights[label], maps.bias[label])
        assert loss(theta) <= best.fun + 1e-6
        np.testing.assert_allclose(theta, best.x, atol=2e-3)


def test_infinite_strength_is_the_shared_map_and_small_strength_is_not():
    z, y = task()
    (same, own), shared, _ = _path(z, y, [math.inf, 1e-6])
    np.testing.assert_array_equal(same.weights, np.repeat(shared.weights, 6, axis=0))
    np.testing.assert_array_equal(same.bias, np.repeat(shared.bias, 6))
    assert np.ptp(own.bias) > 0.5


def test_a_label_that_is_alike_or_inverted_gets_no_negative_weight():
    z, y = task()
    z[:, 2] = -z[:, 2]
    z[:, 3] = 0.3
    fit = fit_labels(z, y, n_folds=5, seed=0)
    assert (fit.maps.weights >= 0).all()
    assert np.isfinite(fit.maps.bias).all()
    assert fit.converged


@pytest.mark.parametrize("positives", [0, 5])
def test_a_rare_label_does_no_harm(positives):
    """A label with few positive rows is not worse on other rows than with the shared map."""
    z, y = task(n=3000, seed=1)
    rng = np.random.default_rng(2)
    rare = np.zeros(3000, int)
    rare[rng.choice(3000, 2 * positives, replace=False)] = 1
    z = np.append(z, (4 * rare - 6 + rng.standard_normal(3000))[:, None, None], axis=1)
    y = np.append(y, rare[:, None], axis=1)
    fit = fit_labels(z[:1500], y[:1500], n_folds=5, seed=0)
    shared = LabelMaps(np.repeat(fit.shared.weights, 7, axis=0), np.repeat(fit.shared.bias, 7))
    own, common = (
        label_losses(maps.log_odds(z[1500:]), y[1500:])[:, -1].mean() for maps in (fit.maps, shared)
    )
    assert own <= common + 1e-3


def test_rows_and_labels_may_come_in_any_order():
    z, y = task(members=2)
    rng = np.random.default_rng(3)
    rows, labels = rng.permutation(len(y)), rng.permutation(y.shape[1])
    one = fit_labels(z, y, n_folds=5, seed=0)
    other = fit_labels(z[rows][:, labels], y[rows][:, labels], n_folds=5, seed=0)
    assert one.strength == other.strength
    np.testing.assert_allclose(one.maps.weights[labels], other.maps.weights, atol=1e-6)
    np.testing.assert_allclose(one.maps.bias[labels], other.maps.bias, atol=1e-6)
    np.testing.assert_allclose(one.held_out[rows][:, labels], other.held_out, atol=1e-5)


def test_the_calibration_is_kept_only_where_held_out_rows_gain():
    z, y = task(n=2000)
    made = MultilabelCalibration(kind="logits").fit(z[:1000, :, 0], y[:1000])
    before = label_losses(z[1000:, :, 0], y[1000:]).mean()
    probs = made.predict_proba(z[1000:, :, 0])
    after = -np.log(np.where(y[1000:] == 1, probs, 1 - probs)).mean()
    assert made.improved_
    assert after < before - 0.02
    np.testing.assert_array_equal(made.predict(z[1000:, :, 0]), probs >= 0.5)
    true = 1 / (1 + np.exp(-(z[:, :, 0] - np.linspace(-1, 1, 6)) / 2))
    rng = np.random.default_rng(0)
    fine = [
        MultilabelCalibration(kind="probs").fit(p, rng.random(p.shape) < p)
        for p in (true[:30], true[:40], true[:50])
    ]
    for p, each in zip((true[:30], true[:40], true[:50]), fine, strict=True):
        if not each.improved_:
            np.testing.assert_allclose(each.predict_proba(p), p, atol=1e-12)
    assert not all(each.improved_ for each in fine)


def test_a_label_without_positive_rows_is_named():
    z, y = task(n=100)
    y[:, 4] = 0
    with pytest.warns(UserWarning, match="1 of 6 labels have no positive row in the fit split"):
        made = MultilabelCalibration(kind="logits").fit(z[:, :, 0], y)
    assert np.isfinite(made.offset_).all()
