"""Greedy selection against a loop that recomputes each metric with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)

import ensemble
from ensemble import check_members
from ensemble.learned.greedy_by_metric import MetricSearch
from ensemble.learned.greedy_search import Search
from postproc import softmax
from postproc.evaluation.registry import find_metric
from tests.ensemble.conftest import make_members

SCORES = {
    "accuracy": lambda y, p: accuracy_score(y, p.argmax(axis=1)),
    "macro_f1": lambda y, p: f1_score(y, p.argmax(axis=1), average="macro"),
    "log_loss": lambda y, p: -log_loss(y, p / p.sum(1, keepdims=True), labels=range(p.shape[1])),
}


def naive(probs, y, metric, n_steps):
    """Caruana's loop, every candidate from scratch; equals go to less log-loss, then the first."""
    total, selected, scores = np.zeros_like(probs[0]), [], []
    for step in range(1, n_steps + 1):
        keys = []
        for m, p in enumerate(probs):
            mean = (total + p) / step
            keys.append((round(SCORES[metric](y, mean), 9), SCORES["log_loss"](y, mean), -m))
        best = max(range(len(probs)), key=keys.__getitem__)
        selected.append(best)
        scores.append(keys[best][0])
        total = total + probs[best]
    return selected, scores


def weak_members(seed, n_rows, n_classes, n_members):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    return [
        softmax(
            1.2 * np.eye(n_classes)[y] + (0.8 + 0.1 * m) * rng.standard_normal((n_rows, n_classes))
        ).astype(np.float32)
        for m in range(n_members)
    ], y


@pytest.mark.parametrize("metric", SCORES)
@pytest.mark.parametrize("case", [(0, 400, 3, 6), (1, 150, 7, 5), (2, 60, 2, 4), (3, 300, 10, 6)])
def test_selects_what_the_loop_selects(metric, case):
    probs, y = weak_members(*case)
    exact = [p.astype(np.float64) for p in probs]
    selected, scores = naive(exact, y, metric, 15)
    search = Search(check_members(probs), y, metric)
    ours, ours_scores = search.run(np.arange(len(probs)), 15)
    sign = -1 if metric == "log_loss" else 1
    np.testing.assert_allclose(sign * ours_scores, scores, atol=1e-6)
    np.testing.assert_array_equal(ours, selected)


MORE_SCORES = {
    "balanced_accuracy": lambda y, p: balanced_accuracy_score(y, p.argmax(axis=1)),
    "mcc": lambda y, p: matthews_corrcoef(y, p.argmax(axis=1)),
    "auc": lambda y, p: roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr"),
    "brier": lambda y, p: -np.mean(np.sum((p - np.eye(p.shape[1])[y]) ** 2, axis=1)),
}


@pytest.mark.parametrize("metric", MORE_SCORES)
def test_any_metric_selects_what_the_loop_selects(metric, monkeypatch):
    probs, y = weak_members(0, 200, 3, 5)
    monkeypatch.setitem(SCORES, metric, MORE_SCORES[metric])
    selected, scores = naive([p.astype(np.float64) for p in probs], y, metric, 8)
    search = MetricSearch(check_members(probs), y, find_metric(metric))
    ours, ours_scores = search.run(np.arange(len(probs)), 8)
    np.testing.assert_array_equal(ours, selected)
    np.testing.assert_allclose(abs(ours_scores), np.abs(scores), atol=1e-6)
    model = ensemble.GreedySelection(metric=metric, n_steps=8).fit(probs, y)
    kept = int(np.argmax(scores)) + 1
    np.testing.assert_allclose(
        model.member_weights_, np.bincount(selected[:kept], minlength=5) / kept
    )


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_settled_rows_change_nothing(metric):
    logits, y = make_members(seed=5, n_rows=500)
    members = check_members(logits)
    skipping = Search(members, y, metric)
    total = 6 * skipping.probs.mean(axis=2)
    assert np.mean(skipping._settle(total)[0]) < 0.7
    found = skipping.run(np.arange(4), 30)
    every_row_open = Search(members, y, metric, slack=100)
    thorough = every_row_open.run(np.arange(4), 30)
    np.testing.assert_array_equal(found[0], thorough[0])
    np.testing.assert_array_equal(found[1], thorough[1])


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_ties_between_classes_go_to_the_lowest(metric):
    """One-hot members tie all the time."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=200)
    probs = []
    for _ in range(5):
        votes = np.where(rng.random(200) < 0.5, y, rng.integers(4, size=200))
        probs.append(np.eye(4)[votes])
    selected, scores = naive(probs, y, metric, 12)
    ours, ours_scores = Search(check_members(probs), y, metric).run(np.arange(5), 12)
    np.testing.assert_allclose(ours_scores, scores, atol=1e-9)
    np.testing.assert_array_equal(ours, selected)


def test_best_prefix_is_kept():
    probs, y = weak_members(1, 150, 7, 5)
    model = ensemble.GreedySelection(n_steps=20).fit(probs, y)
    scores, selected = model.scores_[0], model.selected_[0]
    assert len(scores) == 20
    assert len(selected) == np.argmax(scores) + 1
    counts = np.bincount(selected, minlength=5)
    np.testing.assert_allclose(model.member_weights_, counts / counts.sum())
    kept = sum(probs[m].astype(np.float64) for m in selected) / len(selected)
    np.testing.assert_allclose(model.predict_proba(probs), kept, atol=1e-6)
    assert np.mean(model.predict(probs) == y) == pytest.approx(scores.max())


def test_log_loss_keeps_the_least():
    probs, y = weak_members(1, 150, 7, 5)
    model = ensemble.GreedySelection(metric="log_loss", n_steps=20).fit(probs, y)
    assert len(model.selected_[0]) == np.argmin(model.scores_[0]) + 1
    assert -SCORES["log_loss"](y, model.predict_proba(probs).astype(float)) == pytest.approx(
        model.scores_[0].min(), abs=1e-6
    )


def test_bags_choose_among_parts_and_are_averaged():
    probs, y = weak_members(0, 200, 3, 6)
    model = ensemble.GreedySelection(n_bags=8, n_steps=5, bag_fraction=0.34).fit(probs, y)
    assert len(model.selected_) == 8
    assert all(len(set(selected.tolist())) <= 2 for selected in model.selected_)
    assert len({m for selected in model.selected_ for m in selected.tolist()}) > 2
    shares = [np.bincount(s, minlength=6) / len(s) for s in model.selected_]
    np.testing.assert_allclose(model.member_weights_, np.mean(shares, axis=0))


def test_classes_that_never_occur_do_not_count_in_macro_f1():
    y = np.array([0, 0, 1, 1])
    probs = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.6, 0.4, 0.0]])
    model = ensemble.GreedySelection(metric="macro_f1", n_steps=1).fit([probs], y)
    assert model.scores_[0][0] == pytest.approx(f1_score(y, probs.argmax(axis=1), average="macro"))
