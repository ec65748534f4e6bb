"""Tuning: the choice against naive loops, and what no choice may see."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postproc import class_prior
from postproc.can.model import CANModel
from postproc.can.options import CANOptions
from postproc.can.tuning import GRID, GRIDS, grid_settings, tune_can
from postproc.evaluation.choice import check_grid, choose, cross_validate, make_plan
from postproc.evaluation.paired import paired_gain_interval
from postproc.evaluation.registry import find_metric

SMALL = {
    "alpha": [0.5, 1.0, 2.0],
    "iterations": [1, 3],
    "top_k": [2, "max"],
    "threshold": [0.4, 0.8],
    "smoothing": [0.0, 1.0],
    "reference_sample": ["all"],
}


def task(n=180, n_classes=4, seed=0, noise=1.2, prior=None):
    """Probabilities of a classifier that knows something, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(n_classes, n, p=prior)
    labels[:n_classes] = np.arange(n_classes)
    scores = rng.normal(scale=noise, size=(n, n_classes))
    scores[np.arange(n), labels] += 2
    return scores, labels


def shifted_task(n=300, seed=1):
    """Doubtful rows that CAN sets right: the classifier favours class 0, the prior knows better."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=[0.1, 0.45, 0.45])
    probs = np.full((n, 3), 0.02)
    probs[np.arange(n), labels] = 0.96
    doubtful = np.flatnonzero((rng.random(n) < 0.4) & (labels != 0))
    probs[doubtful] = 0.02
    probs[doubtful, 0] = 0.5
    probs[doubtful, labels[doubtful]] = 0.48
    return probs, labels


def naive_right(probs, y, options, folds, fold, without, prior):
    """One setting in one fold, by the model that `postproc can` applies."""
    train = (folds != fold) & ~np.isin(folds, without)
    if prior is None:
        counts = np.bincount(y[train], minlength=probs.shape[1]).astype(float)
        counts += 0.5 if (counts == 0).any() else 0
        prior = counts / counts.sum()
    held = folds == fold
    model = CANModel.fit([probs[train]], prior, options)
    return model.adjust(probs[held])[0].argmax(1) == y[held]


@pytest.mark.parametrize("prior", [None, "uniform", [0.4, 0.3, 0.2, 0.1]])
def test_every_setting_against_the_model_fitted_by_itself(prior):
    scores, y = task()
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    result = tune_can(probs, y, grid=SMALL, prior=prior, n_folds=3)
    fixed = None if prior is None else class_prior(prior, n_classes=4)
    folds = make_plan(probs, y, n_folds=3, n_repeats=1, seed=0, learns_labels=True).folds[0]
    base = probs.argmax(1) == y
    assert len(result.settings) == 3 * 2 * 2 * 2 * 2
    assert result.accuracy == base.mean()
    for setting in result.settings:
        after = np.empty(len(y), bool)
        for fold in range(3):
            after[folds == fold] = naive_right(probs, y, setting.options, folds, fold, [], fixed)
        difference = after.astype(int) - base
        assert setting.gain == pytest.approx(difference.mean())
        assert setting.standard_error == pytest.approx(difference.std(ddof=1) / math.sqrt(len(y)))


def test_nested_gain_against_nested_loops():
    probs, y = shifted_task()
    grid = {"alpha": [1.0, 2.0], "iterations": [1, 2], "threshold": [0.5], "top_k": [3]}
    grid |= {"smoothing": [0.0], "reference_sample": ["all"]}
    result = tune_can(probs, y, grid=grid, n_folds=4)
    folds = make_plan(probs, y, n_folds=4, n_repeats=1, seed=0, learns_labels=True).folds[0]
    base = probs.argmax(1) == y
    fixed, broken, chosen = 0, 0, []
    for outer in range(4):
        inner = np.zeros((len(result.settings), len(y)), int)
        for place, setting in enumerate(result.settings):
            for fold in set(range(4)) - {outer}:
                rows = folds == fold
                after = naive_right(probs, y, setting.options, folds, fold, [outer], None)
                inner[place, rows] = after.astype(int) - base[rows]
        chosen.append(choose(inner[:, folds != outer]))
        rows = folds == outer
        if chosen[-1] is not None:
            options = result.settings[chosen[-1]].options
            after = naive_right(probs, y, options, folds, outer, [], None)
            fixed += int((after & ~base[rows]).sum())
            broken += int((~after & base[rows]).sum())
    assert result.fold_candidates == tuple(chosen)
    assert (result.nested.fixed, result.nested.broken) == (fixed, broken)
    assert fixed > 0
    assert result.nested_gain == (fixed - broken) / len(y)
    assert result.nested_gain_ci == paired_gain_interval(fixed, broken, len(y))
    assert result.options == result.settings[result.candidate].options
    assert result.reason.endswith("is above zero")


@pytest.mark.parametrize("metric", ["macro_f1", "mcc", "balanced_accuracy"])
def test_settings_are_judged_by_other_metrics(metric):
    probs, y = shifted_task(n=400)
    grid = {"alpha": [1.0], "iterations": [1], "threshold": [0.5], "top_k": [3]}
    grid |= {"smoothing": [0.0], "reference_sample": ["all"]}
    result = tune_can(probs, y, grid=grid, n_folds=4, prior=[0.1, 0.45, 0.45], metric=metric)
    folds = make_plan(probs, y, n_folds=4, n_repeats=1, seed=0, learns_labels=False).folds[0]
    prior, options = np.array([0.1, 0.45, 0.45]), result.settings[0].options
    after = probs.argmax(axis=1)
    for fold in range(4):
        model = CANModel.fit([probs[folds != fold]], prior, options)
        after[folds == fold] = model.adjust(probs[folds == fold])[0].argmax(axis=1)
    judge = find_metric(metric)
    found = [judge.measure_decided(y, decided, 3) for decided in (after, probs.argmax(axis=1))]
    gain = judge.gain(*found)
    assert result.metric == metric
    assert result.settings[0].gain == pytest.approx(gain.value)
    assert result.settings[0].standard_error == pytest.approx(gain.standard_error)
    assert result.nested_gain == pytest.approx(gain.value)
    assert result.nested_gain_ci == pytest.approx(gain.interval)
    assert result.options is not None
    assert "above zero" in result.reason


def test_metrics_that_need_more_than_classes_are_refused():
    with pytest.raises(ValueError, match=r"one of predicted classes \(accuracy, .*got log_loss"):
        tune_can(*shifted_task(n=60), metric="log_loss")


@pytest.mark.parametrize("prior", [None, "uniform"])
def test_labels_of_an_outer_fold_cannot_change_the_choice_without_it(prior):
    probs, y = shifted_task(n=240)
    plan = make_plan(probs, y, n_folds=4, n_repeats=1, seed=3, learns_labels=True)
    before = tune_can(probs, y, grid=SMALL | {"top_k": [3]}, prior=prior, n_folds=4, seed=3)
    for outer in range(4):
        # Labels swapped within an outer fold keep the folds, which class counts decide.
        poisoned = y.copy()
        rows = np.flatnonzero(plan.folds[0] == outer)
        poisoned[rows] = (y[rows] + 1) % 3
        after = _with_folds(plan, probs, poisoned, prior)
        assert after.fold_candidates[outer] == before.fold_candidates[outer]
        assert after.to_dict() != before.to_dict()


def _with_folds(plan, probs, y, prior):
    """Tune with folds dealt beforehand, so that poisoned labels do not deal them anew."""
    from unittest.mock import patch

    with patch("postproc.evaluation.choice.stratified_folds", lambda *_: plan.folds[0]):
        return tune_can(probs, y, grid=SMALL | {"top_k": [3]}, prior=prior, n_folds=4, seed=3)


def test_held_out_labels_only_score():
    calls = []

    def evaluate(train, held):
        assert not set(train) & set(held)
        calls.append((len(train), len(held)))
        return y[held][None]

    features, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    plan = make_plan(features, y, n_folds=5, n_repeats=2, seed=0, learns_labels=True)
    base = np.where(np.arange(20) < 10, y, 1 - y)
    result = cross_validate(evaluate, base, y, plan, ["only"], method="x", n_classes=2, seed=0)
    assert calls == 2 * ([(16, 4)] * 5 + [(12, 8)] * 10)
    assert plan.n_evaluations == len(calls)
    assert (result.nested.fixed, result.nested.broken, result.options) == (10, 0, "only")


def test_nothing_is_chosen_where_nothing_helps():
    scores, y = task(n=300)
    result = tune_can(scores, y, grid=SMALL, n_folds=3)
    assert result.options is None
    assert result.to_dict()["options"] is None


def test_noise_is_not_taken_for_a_gain():
    """Scores that say nothing: hardly ever may a setting be chosen."""
    chosen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        probs, y = rng.dirichlet([1.0] * 3, 150), rng.integers(0, 3, 150)
        grid = SMALL | {"top_k": [3], "smoothing": [0.0]}
        chosen += tune_can(probs, y, grid=grid, prior="uniform", n_folds=3).options is not None
    assert chosen <= 1


def test_one_standard_error_rule_by_hand():
    rng = np.random.default_rng(0)
    base = (rng.random(400) < 0.1).astype(np.int8)
    worse, better = base.copy(), base.copy()
    worse[np.flatnonzero(base)[:20]] = 0
    better[np.flatnonzero(base == 0)[0]] = 1
    assert choose(np.stack([worse, base, better])) == 1  # one row more is within one SE
    assert choose(np.stack([base, base, better])) == 0  # the simplest comes first
    assert choose(np.stack([worse, better])) == 1
    lone = np.zeros((1, 400), np.int8)
    lone[0, 0] = 1
    assert choose(lone) is None  # one row fixed is one standard error
    assert choose(-base[None]) is None
    assert choose(np.zeros((3, 5), np.int8)) is None


@given(st.integers(1, 6), st.integers(2, 40), st.integers(0, 2**31))
@example(2, 34, 9660345)  # a difference that is its own standard error
def test_one_standard_error_rule_against_a_loop(n_settings, n_rows, seed):
    d = np.random.default_rng(seed).integers(-1, 2, (n_settings, n_rows)).astype(np.int8)

    def beyond_error(x):
        mean = Fraction(sum(x), n_rows)
        squared_error = sum((value - mean) ** 2 for value in x) / n_rows / (n_rows - 1)
        return mean > 0 and mean**2 > squared_error

    rows = [[int(value) for value in line] for line in d]
    best = max(range(n_settings), key=lambda s: (sum(rows[s]), -s))
    wanted = None
    if beyond_error(rows[best]):
        behind = ([a - b for a, b in zip(rows[best], line, strict=True)] for line in rows)
        wanted = next(s for s, line in enumerate(behind) if not beyond_error(line))
    assert choose(d) == wanted


def test_settings_go_from_simple_to_complex():
    options = grid_settings(check_grid(None, GRID), 77)
    assert len(options) == math.prod(map(len, GRID.values()))
    assert options[0] == CANOptions(1.0, 1, 3, 0.9, 0.0, "all")
    assert [o.iterations for o in options] == sorted(o.iterations for o in options)
    assert options[-1] == CANOptions(2.0, 5, "max", 0.5, 1.0, "stratified")
    released = grid_settings(check_grid(GRIDS["paper-code"], GRID), 77)
    assert len(released) == 18 * 3 * 5


def test_k_must_not_exceed_the_classes():
    assert {o.top_k for o in grid_settings(check_grid({"top_k": [None, 2]}, GRID), 2)} == {2}
    with pytest.raises(ValueError, match=r"`top_k` must be in \[2, 5\], got 9|got 9"):
        grid_settings(check_grid({"top_k": [2, 9]}, GRID), 5)


def test_repeats_average_and_are_repeatable():
    probs, y = shifted_task()
    grid = {"alpha": [1.0], "iterations": [1], "top_k": [3], "threshold": [0.5, 0.9]}
    one, two = (tune_can(probs, y, grid=grid, n_repeats=3, seed=5) for _ in range(2))
    assert one == two
    assert one.n_repeats == 3
    assert len(one.fold_candidates) == 15
    assert one.to_dict() == two.to_dict()
    gains = [tune_can(probs, y, grid=grid, seed=5 + r).settings[0].gain for r in range(3)]
    assert one.settings[0].gain == pytest.approx(np.mean(gains))


def test_order_of_rows_does_not_matter():
    probs, y = shifted_task()
    order = np.random.default_rng(0).permutation(len(y))
    grid = SMALL | {"top_k": [3]}
    assert tune_can(probs, y, grid=grid) == tune_can(probs[order], y[order], grid=grid)


def test_logits_and_their_probabilities_are_tuned_alike():
    scores, y = task()
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    grid = {"alpha": [1.0], "iterations": [1], "top_k": [3], "smoothing": [0.0]}
    a, b = (tune_can(x, y, grid=grid, prior="uniform") for x in (scores, probs))
    assert [s.gain for s in a.settings] == [s.gain for s in b.settings]


def test_a_class_without_labels_keeps_a_small_prior():
    probs, y = shifted_task()
    with pytest.warns(UserWarning, match="1 of 3 classes have no label, class 0 first"):
        result = tune_can(probs, np.where(y == 0, 1, y), grid={"alpha": [1.0]}, n_folds=3)
    assert result.rows == len(y)


def test_a_class_of_one_row_is_not_barred_from_its_fold():
    probs, y = shifted_task()
    y = np.where(y == 0, 1, y)
    y[0] = 0
    result = tune_can(probs, y, grid={"alpha": [1.0], "threshold": [0.0]}, n_folds=3)
    assert all(math.isfinite(setting.gain) for setting in result.settings)


def test_progress_goes_from_none_to_all():
    probs, y = shifted_task()
    seen = []
    tune_can(probs, y, grid={"alpha": [1.0], "iterations": [1]}, n_folds=3, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 10


def test_result_is_json():
    probs, y = shifted_task()
    found = json.loads(json.dumps(tune_can(probs, y, n_folds=3).to_dict()))
    assert found["options"] == found["candidate"]["options"]
    assert found["nested_gain_ci"][0] > 0
    assert len(found["settings"]) == len(grid_settings(check_grid(None, GRID), 3))


FAULTS = [
    ({"grid": {"beta": [1]}}, ValueError, r"`grid` must be of the parameters alpha, iterations,"),
    ({"grid": {"alpha": []}}, ValueError, r"`grid\['alpha'\]` must be one value or more, got none"),
    ({"grid": {"alpha": 1.0}}, ValueError, r"`grid\['alpha'\]` must be a list of values, got 1.0"),
    ({"grid": {"top_k": "max"}}, ValueError, r"must be a list of values, got 'max'"),
    ({"grid": {"alpha": [0.0]}}, ValueError, r"`alpha` must be in \(0, 1000\], got 0.0"),
    ({"grid": {"iterations": [0]}}, ValueError, r"`iterations` must be an integer in 1..1000"),
    ({"grid": {"threshold": [1.5]}}, ValueError, r"`threshold` must be in \[0, 1\], got 1.5"),
    ({"grid": {"top_k": [1]}}, ValueError, r"`top_k` must be an integer in 2..3, got 1"),
    ({"n_folds": 2}, ValueError, r"`n_folds` must be an integer >= 3, got 2"),
    ({"n_folds": 2.5}, TypeError, r"`n_folds` must be an integer >= 3, got 2.5"),
    ({"n_folds": 301}, ValueError, r"`labels` must be as many as folds \(301\) or more, got 300"),
    ({"n_repeats": 0}, ValueError, r"`n_repeats` must be an integer in 1..100, got 0"),
    ({"seed": -1}, ValueError, r"`seed` must be an integer >= 0, got -1"),
    ({"prior": [0.5, 0.5]}, ValueError, r"`prior` must be of length 3"),
    ({"kind": "logit"}, ValueError, r"`kind` must be"),
    ({"labels": [0, 1]}, ValueError, r"`labels` must be as long as the predictions \(300 rows\)"),
]


@pytest.mark.parametrize(("given", "error", "message"), FAULTS)
def test_faults(given, error, message):
    probs, y = shifted_task()
    with pytest.raises(error, match=message):
        tune_can(probs, given.pop("labels", y), **given)


def test_the_authors_grid_on_real_predictions(shared_data):
    folder = shared_data / "banking77"
    scores = np.load(folder / "multinomial_nb.val.npy")[:600]
    y = np.load(folder / "labels.val.npy")[:600]
    grid = GRIDS["paper-code"] | {"alpha": [0.5, 1.0], "iterations": [1, 2]}
    result = tune_can(scores, y, grid=grid, prior="uniform")
    assert len(result.settings) == 12
