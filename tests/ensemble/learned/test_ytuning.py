"""Y-Tuning: the triplet loss by hand, the embeddings, and when they are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone

import ensemble
from ensemble.learned.label_embeddings import LabelEmbeddings
from ensemble.learned.triplets import triplet_loss
from postproc import log_softmax
from postproc.calibration.features import Calibration
from tests.ensemble.conftest import make_members


def confused(seed, n_rows=600, n_classes=8):
    """Members that mistake a class for the next in one direction: a map of labels mends that."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    shown = np.where(rng.random(n_rows) < 0.9, (y + 1) % n_classes, y)
    members = [
        2.0 * np.eye(n_classes)[shown] + np.eye(n_classes)[y] + rng.standard_normal((n_rows, 1))
        * np.ones(n_classes) + 0.7 * rng.standard_normal((n_rows, n_classes))
        for _ in range(3)
    ]  # fmt: skip
    return members, y


def log_loss(model, members, y):
    return -np.log(model.predict_proba(members)[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_triplet_loss_by_hand(margin):
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((30, 4)), rng.integers(4, size=30)
    expected = np.mean(
        [max(0.0, margin - row[c] + max(np.delete(row, c))) for row, c in zip(z, y, strict=True)]
    )
    found = triplet_loss(torch.as_tensor(z), torch.as_tensor(y), margin)
    assert found.item() == pytest.approx(expected, rel=1e-9)
    far = 100 * torch.eye(4)[torch.as_tensor(y)]
    assert triplet_loss(far, torch.as_tensor(y), margin).item() == 0


def test_scores_are_products_of_row_and_label_embeddings(fit_split):
    logs = np.stack([log_softmax(z) for z in fit_split[0]])
    betas, seen = np.array([0.5, 1.0, 1.5, 2.0]), np.array([0, 2, 4])
    rng = np.random.default_rng(0)
    parts = [
        LabelEmbeddings(betas, rng.standard_normal((12, d)), rng.standard_normal((3, d)), seen)
        for d in (2, 3)
    ]
    features = Calibration(betas).features(logs[:, :, seen])
    expected = np.zeros((len(features), 3))
    for part in parts:
        for n, f in enumerate(features):
            row = sum(f[j] * part.keys[j] for j in range(12))
            expected[n] += [row @ e / 2 for e in part.embeddings]
    expected -= expected.mean(axis=1, keepdims=True)
    found = LabelEmbeddings.mean(parts).scores(logs)
    np.testing.assert_allclose(found[:, seen], expected, rtol=1e-9)
    np.testing.assert_array_equal(found[:, [1, 3]], 0)


def test_with_as_many_dimensions_as_labels_a_row_starts_as_the_mean_of_the_members(fit_split):
    logs = np.stack([log_softmax(z) for z in fit_split[0]])
    start = LabelEmbeddings.start(np.ones(4), np.arange(5), 5, seed=3)
    mean = Calibration(np.ones(4)).features(logs).reshape(-1, 4, 5).mean(axis=1)
    np.testing.assert_allclose(start.scores(logs), mean, atol=1e-9)
    few = LabelEmbeddings.start(np.ones(4), np.arange(5), 2, seed=3)
    assert (few.embeddings**2).sum(axis=1).mean() == pytest.approx(1)


def test_embeddings_that_gain_are_used_and_gain_on_new_rows():
    fit, target = confused(1), confused(2)
    model = ensemble.YTuning(n_folds=3, seeds=2).fit(*fit)
    assert model.gain_[1] > 0.1
    assert model.label_weight_ > 0
    pool = ensemble.LearnedLogPool().fit(*fit)
    assert log_loss(model, *target) < log_loss(pool, *target) - 0.1
    hits = np.mean(model.predict(target[0]) == target[1])
    assert hits > np.mean(pool.predict(target[0]) == target[1]) + 0.2
    fewer = ensemble.YTuning(dimension=3, n_folds=3, seeds=2).fit(*fit)
    assert fewer.embeddings_.embeddings.shape == (8, 2 * 3)
    assert log_loss(model, *target) < log_loss(fewer, *target)


def test_embeddings_without_a_clear_gain_are_left_out(fit_split, target_split):
    model = ensemble.YTuning().fit(*fit_split)
    pool = ensemble.LearnedLogPool().fit(*fit_split)
    assert model.gain_[1] <= 0
    assert (model.label_weight_, model.embeddings_) == (0.0, None)
    np.testing.assert_allclose(model.member_weights_, pool.member_weights_, atol=1e-6)
    np.testing.assert_allclose(
        model.predict_proba(target_split[0]), pool.predict_proba(target_split[0]), atol=1e-6
    )


def test_same_for_a_seed_and_in_any_order_of_the_rows():
    members, y = confused(3, n_rows=200)
    options = {"seeds": 1, "n_folds": 3, "training": {"child_free": 0.5}}
    model = ensemble.YTuning(**options).fit(members, y)
    assert model.label_weight_ > 0
    again = clone(model).fit(members, y)
    np.testing.assert_array_equal(again.embeddings_.keys, model.embeddings_.keys)
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = clone(model).fit([z[order] for z in members], y[order])
    np.testing.assert_allclose(
        shuffled.predict_proba(members), model.predict_proba(members), atol=1e-3
    )
    other = ensemble.YTuning(**options, seed=1).fit(members, y)
    assert not np.array_equal(other.predict_proba(members), model.predict_proba(members))


def test_auto_says_what_it_chose():
    members, y = confused(4, n_rows=100)
    model = ensemble.YTuning(seeds=1, epochs=5, training="auto", n_folds=3).fit(members, y)
    assert (model.training_ == {}) == (model.training_gain_[1] <= 0)


def test_labels_without_rows_keep_what_the_pool_gives_them():
    members, y = confused(5)
    kept = y < 6
    with pytest.warns(UserWarning, match="2 of 8 classes have no row"):
        model = ensemble.YTuning(seeds=1).fit([z[kept] for z in members], y[kept])
    assert model.label_weight_ > 0
    logs = np.stack([log_softmax(z) for z in members])
    z = np.tensordot(model.member_weights_, logs, 1)
    moved = z + model.label_weight_ * model.embeddings_.scores(logs)
    np.testing.assert_array_equal(moved[:, 6:], z[:, 6:])
    np.testing.assert_allclose(np.log(model.predict_proba(members)), log_softmax(moved), atol=1e-9)


@pytest.mark.filterwarnings("ignore:.*classes have no row")
@pytest.mark.parametrize("rows", [slice(0, 8), slice(0, 60)])
def test_few_rows_or_one_class_leave_the_log_pool(rows):
    members, y = make_members(seed=1)
    y = np.zeros_like(y) if rows.stop == 60 else y
    model = ensemble.YTuning(training="auto").fit([z[rows] for z in members], y[rows])
    assert (model.embeddings_, model.gain_) == (None, None)
    assert np.isfinite(model.predict_proba(members)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees():
    members, y = confused(1)
    a, b = (ensemble.YTuning(seeds=1, device=device).fit(members, y) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(a.predict_proba(members), b.predict_proba(members), atol=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 0}, r"`dimension` must be an integer in 1\.\.5, got 0"),
        ({"dimension": 6}, r"`dimension` must be an integer in 1\.\.5, got 6"),
        ({"margin": 0.0}, r"`margin` must be in \(0, inf\), got 0"),
        ({"epochs": 0}, "`epochs` must be an integer >= 1, got 0"),
        ({"seeds": 0}, "`seeds` must be an integer >= 1, got 0"),
        ({"device": "tpu"}, '`device` must be one of "cpu", "cuda"'),
    ],
)
def test_errors(options, message, fit_split):
    with pytest.raises(ValueError, match=message):
        ensemble.YTuning(**options).fit(*fit_split)
