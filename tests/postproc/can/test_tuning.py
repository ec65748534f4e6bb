"""Tuning of CAN for labels that do not exclude each other, and for two classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc import CAN
from postproc.can.reference import Reference
from postproc.can.tuning import _of_two, grid_settings, tune_can
from postproc.evaluation.choice import check_grid, make_plan
from postproc.evaluation.registry import METRICS, OF_ONE_TASK

GRID = {"alpha": [0.5, 2.0], "iterations": [1, 3], "threshold": [0.3, 0.8], "smoothing": [0.0]}
GRID |= {"reference_sample": ["all"]}


def task(n=120, shift=-0.5, seed=0):
    """Probabilities and labels (n, 3) whose frequent ones are predicted too seldom."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, 3)) < [0.5, 0.4, 0.2]).astype(int)
    z = 2 * y - 1 + shift + rng.standard_normal((n, 3))
    return 1 / (1 + np.exp(-z)), y


@pytest.mark.filterwarnings("ignore:class 0 has less")
@pytest.mark.filterwarnings("ignore:the target")
@pytest.mark.parametrize("metric", ["accuracy", "micro_f1", "macro_f1", "hamming_loss"])
@pytest.mark.parametrize("prior", [None, (0.6, 0.4)])
def test_every_setting_of_labels_against_the_estimator_fitted_by_itself(metric, prior):
    probs, y = task()
    how = {"grid": GRID, "n_folds": 3, "multilabel": True, "prior": prior}
    result = tune_can(probs, y, metric=metric, **how)
    assert (result.task, result.rows, result.classes) == ("multilabel", 120, 3)
    assert result.accuracy == ((probs >= 0.5) == y).all(axis=1).mean()
    judge = (METRICS | OF_ONE_TASK)[metric]
    logits = np.log(probs) - np.log1p(-probs)
    (folds,) = make_plan(logits, y, n_folds=3, n_repeats=1, seed=0, learns_labels=True).folds
    before = judge.measure_decided(y, probs >= 0.5, 3)
    for setting in result.settings:
        after = np.empty_like(y)
        for fold in range(3):
            train, held = folds != fold, folds == fold
            share = y[train].mean()
            own = (share, 1 - share) if prior is None else prior
            options = {k: getattr(setting.options, k) for k in ("top_k", *GRID)}
            can = CAN(own, kind="probs", multilabel=True, **options).fit(probs[train])
            after[held] = can.predict_proba(probs[held]) >= 0.5
        gain = judge.gain(judge.measure_decided(y, after, 3), before)
        assert setting.gain == pytest.approx(gain.value, abs=1e-12)
        assert setting.standard_error == pytest.approx(gain.standard_error, rel=0.1)


def test_labels_that_can_helps_and_labels_that_it_cannot():
    probs, y = task(n=400, shift=-1.5)
    result = tune_can(probs, y, multilabel=True, n_folds=3, grid=GRID, prior=(0.5, 0.5))
    assert result.metric == "micro_f1"
    assert result.options is not None
    assert result.nested_gain_ci[0] > 0
    assert tune_can(probs, y, multilabel=True, n_folds=3, metric="accuracy").metric == "accuracy"
    sure = np.where(y == 1, 0.99, 0.01)
    assert tune_can(sure, y, multilabel=True, n_folds=3, grid=GRID).options is None


@pytest.mark.parametrize("metric", ["mcc", "log_loss", "auc", "kappa"])
def test_metrics_that_labels_do_not_have_are_named(metric):
    able = r"\(?accuracy, macro_f1, micro_f1, .*hamming_loss"
    with pytest.raises(ValueError, match=rf"{able}.*got '?{metric}"):
        tune_can(*task(), multilabel=True, metric=metric)


def test_metrics_of_labels_are_refused_for_classes():
    with pytest.raises(ValueError, match="for binary predictions, got hamming_loss"):
        tune_can([[0.4, 0.6]] * 9, [1] * 9, metric="hamming_loss")


@given(st.integers(0, 10**6))
def test_few_of_two_class_rows_tell_how_all_are_decided(seed):
    rng = np.random.default_rng(seed)
    p = rng.beta(*rng.uniform(0.2, 3, 2), 400).round(rng.integers(1, 6))
    rows = np.stack([p, 1 - p], axis=1)
    a = rng.beta(*rng.uniform(0.2, 3, 2), 30)
    reference = Reference.build(
        np.stack([a, 1 - a], axis=1),
        rng.dirichlet([1.0, 1.0]),
        alpha=rng.uniform(0.3, 2.5),
        iterations=int(rng.integers(1, 6)),
        smoothing=float(rng.integers(0, 2)),
        weights=None,
        dtype=rows.dtype,
    )
    computed = []

    def classes_of(some):
        computed.append(len(some))
        return reference.adjust(some, all_depths=True).argmax(axis=2)

    np.testing.assert_array_equal(_of_two(classes_of, rows), classes_of(rows))
    assert sum(computed[:-1]) <= 16 * 3 * 6


def test_two_classes_have_one_k():
    grid = check_grid({"top_k": [None, "max"]}, GRID | {"top_k": [None]})
    assert {each.top_k for each in grid_settings(grid, 2)} == {2}
    assert {each.top_k for each in grid_settings(grid, 3)} == {3, "max"}
