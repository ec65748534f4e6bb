"""Tuning of greedy selection."""

import json

import numpy as np
import pytest

from ensemble import GreedySelection
from ensemble.learned.greedy_tuning import GREEDY_GRID, tune_greedy
from postproc.evaluation.choice import make_plan
from postproc.evaluation.registry import find_metric


def members(n=150, seed=0, noise=(0.5, 3.0, 3.0)):
    """One good member and two poor ones, as probabilities, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    arrays = []
    for scale in noise:
        scores = rng.normal(scale=scale, size=(n, 3))
        scores[np.arange(n), y] += 1.5
        arrays.append(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))
    return arrays, y


GRID = {"metric": ["accuracy", "log_loss"], "n_bags": [1]}


def test_it_finds_the_good_member_and_says_what_that_gains():
    arrays, y = members()
    result = tune_greedy(arrays, y, grid=GRID, n_folds=3)
    soft = np.mean(arrays, axis=0).argmax(1) == y
    assert result.accuracy == soft.mean()
    assert result.options in [s.options for s in result.settings]
    assert result.nested_gain_ci[0] > 0
    assert json.loads(json.dumps(result.to_dict()))["method"] == "greedy"


def test_gains_against_a_loop():
    arrays, y = members()
    result = tune_greedy(arrays, y, grid=GRID, n_folds=3)
    logs = np.concatenate([np.log(a) for a in arrays], axis=1)
    folds = make_plan(logs, y, n_folds=3, n_repeats=1, seed=0, learns_labels=True).folds[0]
    soft = np.mean(arrays, axis=0).argmax(1) == y
    for setting in result.settings:
        right = np.empty(len(y), bool)
        for fold in range(3):
            train, held = folds != fold, folds == fold
            model = GreedySelection(**setting.options).fit([a[train] for a in arrays], y[train])
            right[held] = model.predict([a[held] for a in arrays]) == y[held]
        assert setting.gain == pytest.approx(right.mean() - soft.mean())


@pytest.mark.parametrize("name", ["log_loss", "balanced_accuracy", "auc"])
def test_gains_in_another_metric_against_a_loop(name):
    arrays, y = members()
    metric = find_metric(name)
    result = tune_greedy(arrays, y, grid=GRID, n_folds=3, metric=name)
    logs = np.concatenate([np.log(a) for a in arrays], axis=1)
    folds = make_plan(logs, y, n_folds=3, n_repeats=1, seed=0, learns_labels=True).folds[0]
    soft = metric.measure(y, np.mean(arrays, axis=0)).value
    for setting in result.settings:
        probs = np.empty((len(y), 3))
        for fold in range(3):
            train, held = folds != fold, folds == fold
            model = GreedySelection(**setting.options).fit([a[train] for a in arrays], y[train])
            probs[held] = model.predict_proba([a[held] for a in arrays])
        sign = 1 if metric.higher else -1
        gain = sign * (metric.measure(y, probs).value - soft)
        assert setting.gain == pytest.approx(gain, abs=1e-9)
    assert result.metric == name
    assert result.nested_gain_ci[0] > 0
    assert (" points (" in result.reason) == (name != "log_loss")


def test_the_metric_asked_for_is_tried_too():
    arrays, y = members(n=60)
    result = tune_greedy(arrays, y, grid={"n_bags": [1]}, n_folds=3, metric="kappa")
    tried = [setting.options["metric"] for setting in result.settings]
    assert tried == ["accuracy", "log_loss", "macro_f1", "kappa"]


def test_members_that_are_alike_are_left_to_soft_voting():
    arrays, y = members(noise=(1.0, 1.0, 1.0))
    assert tune_greedy(arrays, y, grid=GRID, n_folds=3).options is None


def test_the_default_grid_is_complete_and_repeatable():
    arrays, y = members(n=60)
    seen = []
    first = tune_greedy(arrays, y, n_folds=3, progress=seen.append)
    assert len(first.settings) == np.prod([len(v) for v in GREEDY_GRID.values()])
    assert seen[-1] == 1.0
    assert first == tune_greedy(arrays, y, n_folds=3)


def test_faults():
    arrays, y = members(n=20)
    with pytest.raises(ValueError, match="`grid` must be of the parameters n_bags, metric"):
        tune_greedy(arrays, y, grid={"alpha": [1]})
    with pytest.raises(ValueError, match="`metric` must be one of accuracy"):
        tune_greedy(arrays, y, grid={"metric": ["gain"]})


@pytest.mark.parametrize("name", ["accuracy", "micro_f1", "log_loss", "average_precision"])
def test_gains_of_labels_against_a_loop(name):
    rng = np.random.default_rng(2)
    y = (rng.random((90, 4)) < [0.5, 0.4, 0.3, 0.2]).astype(int)
    arrays = [
        1 / (1 + np.exp(-strength * (2 * y - 1) - rng.normal(size=y.shape)))
        for strength in (1.5, 0.2, 0.1)
    ]
    metric = find_metric(name)
    grid = {"metric": ["micro_f1", "log_loss"], "n_bags": [1]}
    result = tune_greedy(arrays, y, grid=grid, n_folds=3, metric=name, multilabel=True)
    logits = np.stack([np.log(a) - np.log1p(-a) for a in arrays], axis=2)
    folds = make_plan(logits, y, n_folds=3, n_repeats=1, seed=0, learns_labels=True).folds[0]
    soft = metric.measure(y, np.mean(arrays, axis=0)).value
    assert result.task == "multilabel"
    for setting in result.settings:
        probs = np.empty(y.shape)
        for fold in range(3):
            train, held = folds != fold, folds == fold
            model = GreedySelection(**setting.options)
            model.fit([a[train] for a in arrays], y[train], multilabel=True)
            probs[held] = model.predict_proba([a[held] for a in arrays])
        sign = 1 if metric.higher else -1
        gain = sign * (metric.measure(y, probs).value - soft)
        assert setting.gain == pytest.approx(gain, abs=1e-9)


def test_labels_have_a_grid_and_metrics_of_their_own():
    rng = np.random.default_rng(2)
    y = (rng.random((60, 3)) < 0.4).astype(int)
    arrays = [np.clip(0.6 * y + 0.4 * rng.random(y.shape), 0, 1) for _ in range(2)]
    result = tune_greedy(arrays, y, n_folds=3, grid={"n_bags": [1]}, multilabel=True)
    assert result.metric == "micro_f1"
    assert [s.options["metric"] for s in result.settings] == ["micro_f1", "log_loss", "macro_f1"]
    with pytest.raises(ValueError, match="for multilabel predictions, got kappa"):
        tune_greedy(arrays, y, grid={"metric": ["kappa"]}, multilabel=True)
