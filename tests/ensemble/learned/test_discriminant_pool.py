"""The discriminant pool is the pool of its parts, and gains where parts see what members miss."""

from __future__ import annotations

import numpy as np
import pytest

import ensemble
from postproc import log_softmax, softmax
from postproc.calibration.affine import mean_log_loss
from postproc.calibration.features import Calibration
from postproc.calibration.log_pool import PoolTask, fit_log_pool


def logs_of(members):
    return np.stack([log_softmax(z) for z in members])


def confusing_task(seed, n_rows=600):
    """Two members that mix up classes of a pair, each in a way that a linear map undoes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(6, size=n_rows)
    mixing = np.kron(np.eye(3), [[0.3, 1.0], [1.0, 0.4]])
    return [(1.7 * np.eye(6)[y] + rng.normal(size=(n_rows, 6))) @ mixing for _ in range(2)], y


def test_it_learns_what_weights_cannot():
    (members, y), (others, labels) = confusing_task(0), confusing_task(1)
    pool = ensemble.DiscriminantPool().fit(members, y)
    plain = ensemble.LearnedLogPool(bias=True).fit(members, y)
    assert np.mean(pool.predict(others) == labels) > np.mean(plain.predict(others) == labels) + 0.2
    # What it says of itself out of fold is what it does on other rows.
    here = mean_log_loss(pool.out_of_fold_, y)
    there = mean_log_loss(np.log(pool.predict_proba(others)), labels)
    assert here == pytest.approx(there, rel=0.15)


def test_it_is_the_pool_of_its_parts(fit_split, target_split):
    members, y = fit_split
    pool = ensemble.DiscriminantPool().fit(members, y)
    betas = 1 / pool.temperatures_
    logs = logs_of(target_split[0])
    features = Calibration(betas).features(logs)
    parts = [log_softmax(beta * m) for beta, m in zip(betas, logs, strict=True)]
    parts += [log_softmax(d(features)) for d in pool.model_.discriminants]
    parts += [log_softmax(pool.model_.kernel(features))]
    assert pool.weights_.shape == (2, len(parts)) == (2, 10)
    z = np.tile(pool.bias_, (len(features), 1))
    for i in range(len(z)):
        for part, (certain, doubtful) in zip(parts, pool.weights_.T, strict=True):
            doubt = -sum(np.exp(part[i]) * part[i]) / np.log(5)
            z[i] += ((1 - doubt) * certain + doubt * doubtful) * part[i]
    np.testing.assert_allclose(pool.predict_proba(target_split[0]), softmax(z), atol=1e-12)
    assert (pool.weights_ >= 0).all()
    assert pool.converged_


def test_no_part_knows_its_own_rows_by_heart():
    """Members of noise: a part that had seen its rows would be trusted."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 6
    noise = [rng.normal(size=(60, 6)) for _ in range(4)]
    pool = ensemble.DiscriminantPool().fit(noise, y)
    assert mean_log_loss(np.log(pool.predict_proba(noise)), y) > 0.75 * np.log(6)


def test_without_a_kernel_or_with_one_member(fit_split, target_split):
    members, y = fit_split
    plain = ensemble.DiscriminantPool(kernel=False).fit(members, y)
    assert plain.model_.kernel is None
    assert np.isnan(plain.kernel_ridge_)
    assert plain.weights_.shape == (2, 9)
    alone = ensemble.DiscriminantPool().fit(members[:1], y)
    assert len(alone.model_.discriminants) == 1
    assert alone.weights_.shape == (2, 3)
    np.testing.assert_allclose(alone.predict_proba(target_split[0][:1]).sum(axis=1), 1)


def test_a_class_without_labels_keeps_its_share(fit_split, target_split):
    members, y = fit_split
    rows = y != 2
    with pytest.warns(UserWarning, match="they keep the share that the tempered members give"):
        pool = ensemble.DiscriminantPool().fit([z[rows] for z in members], y[rows])
    logs = logs_of(target_split[0])
    own = np.mean([log_softmax(z / t) for z, t in zip(logs, pool.temperatures_, strict=True)], 0)
    probs = pool.predict_proba(target_split[0])
    np.testing.assert_allclose(probs[:, 2], softmax(own)[:, 2], rtol=1e-9)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)


def test_the_order_of_rows_does_not_matter():
    members, y = confusing_task(0)
    pool = ensemble.DiscriminantPool(n_landmarks=100).fit(members, y)
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = ensemble.DiscriminantPool(n_landmarks=100).fit([z[order] for z in members], y[order])
    np.testing.assert_allclose(
        shuffled.predict_proba(members), pool.predict_proba(members), atol=1e-5
    )
    np.testing.assert_allclose(shuffled.out_of_fold_, pool.out_of_fold_[order], atol=1e-4)


def test_out_of_fold_rows_have_no_say_in_their_weights():
    members, y = confusing_task(0, n_rows=200)
    pool = ensemble.DiscriminantPool(n_folds=len(y)).fit(members, y)
    whole = fit_log_pool(PoolTask(logs_of(members), y), bias_ridge=1.0)
    assert whole.loss > mean_log_loss(pool.out_of_fold_, y)
    inside = np.log(pool.predict_proba(members))
    assert mean_log_loss(inside, y) < mean_log_loss(pool.out_of_fold_, y)


@pytest.mark.parametrize("n_rows", [1, 2])
@pytest.mark.filterwarnings("ignore:.*classes have no row")
def test_hardly_any_rows(n_rows, fit_split, target_split):
    members, y = fit_split
    pool = ensemble.DiscriminantPool().fit([z[:n_rows] for z in members], y[:n_rows])
    assert np.isfinite(pool.predict_proba(target_split[0])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1.0}, "`ridge` must be in [0, inf), got -1.0"),
        ({"bias_ridge": 0.0}, "`bias_ridge` must be in (0, inf), got 0.0"),
        ({"n_landmarks": 0}, "`n_landmarks` must be an integer >= 1, got 0"),
        ({"n_folds": 1}, "`n_folds` must be an integer >= 2, got 1"),
        ({"seed": -1}, "`seed` must be an integer >= 0, got -1"),
    ],
)
def test_error_messages(options, message, fit_split):
    with pytest.raises(ValueError) as error:
        ensemble.DiscriminantPool(**options).fit(*fit_split)
    assert str(error.value) == message


def test_a_member_of_shuffled_rows_has_no_weight():
    rng = np.random.default_rng(0)
    y = rng.integers(6, size=500)
    shared = 2 * np.eye(6)[y] + rng.normal(size=(500, 6))
    members = [shared + 1.2 * rng.normal(size=(500, 6)) for _ in range(8)]
    members[3] = members[3][rng.permutation(500)]
    weights = ensemble.DiscriminantPool().fit(members, y).member_weights_
    assert weights[3] < 0.1 * np.median(weights)
