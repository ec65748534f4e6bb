"""Every metric against scikit-learn, and its influences against derivatives of scikit-learn's."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from postproc.evaluation.registry import METRICS, cost_metric, find_metric

COSTS = np.array([[0, 1, 4, 2], [2, 0, 1, 1], [5, 1, 0, 0.5], [1, 3, 2, 0]])


def one_hot(y, c):
    return np.eye(c)[y]


def of_labels(function, **options):
    return lambda y, p, w: function(y, p.argmax(axis=1), sample_weight=w, **options)


def auc(y, p, w):
    if p.shape[1] == 2:
        return sk.roc_auc_score(y, p[:, 1], sample_weight=w)
    return sk.roc_auc_score(y, p, multi_class="ovr", sample_weight=w)


def average_precision(y, p, w):
    if p.shape[1] == 2:
        return sk.average_precision_score(y, p[:, 1], sample_weight=w)
    return sk.average_precision_score(one_hot(y, p.shape[1]), p, sample_weight=w)


def aurc(y, p, w):
    sure, wrong = p.max(axis=1), p.argmax(axis=1) != y
    w = np.ones(len(y)) if w is None else w
    risks = [np.average(wrong[sure >= c], weights=w[sure >= c]) for c in sure]
    return np.average(risks, weights=w)


ORACLES = {
    "accuracy": of_labels(sk.accuracy_score),
    "balanced_accuracy": of_labels(sk.balanced_accuracy_score),
    "macro_f1": of_labels(sk.f1_score, average="macro"),
    "micro_f1": of_labels(sk.f1_score, average="micro"),
    "f1": of_labels(sk.f1_score),
    "mcc": of_labels(sk.matthews_corrcoef),
    "kappa": of_labels(sk.cohen_kappa_score),
    "quadratic_kappa": of_labels(sk.cohen_kappa_score, weights="quadratic"),
    "log_loss": lambda y, p, w: sk.log_loss(y, p, sample_weight=w),
    "brier": lambda y, p, w: sum(
        sk.brier_score_loss(y == c, p[:, c], sample_weight=w) for c in range(p.shape[1])
    ),
    "auc": auc,
    "average_precision": average_precision,
    "aurc": aurc,
    "top2": lambda y, p, w: sk.top_k_accuracy_score(y, p, k=2, sample_weight=w),
    "cost": lambda y, p, w: np.average(COSTS[y, (p @ COSTS).argmin(axis=1)], weights=w),
}


def case(n_classes, seed=0, n=120, digits=None):
    """Labels of all classes, and probabilities that know something of them; perhaps with ties."""
    rng = np.random.default_rng(seed)
    y = np.append(np.arange(n_classes), rng.choice(n_classes, n - n_classes))
    p = softmax(rng.normal(size=(n, n_classes)) + 1.2 * one_hot(y, n_classes), axis=1)
    coarse = p if digits is None else p.round(digits) + 0.001
    return y, coarse / coarse.sum(axis=1, keepdims=True)


def metric_of(name):
    return cost_metric(COSTS) if name == "cost" else find_metric(name)


CASES = [(name, 4, digits) for name in ORACLES for digits in (None, 1)]
CASES = [case for case in CASES if case[0] not in ("top2", "f1")]
CASES += [(name, 2, digits) for name, n, digits in CASES if name not in ("quadratic_kappa", "cost")]
CASES += [("f1", 2, None), ("f1", 2, 1)]
CASES.append(("top2", 4, None))  # scikit-learn breaks ties the other way


@pytest.mark.parametrize(("name", "n_classes", "digits"), CASES)
def test_values_are_those_of_scikit_learn(name, n_classes, digits):
    y, p = case(n_classes, digits=digits)
    w = np.random.default_rng(1).uniform(0, 3, len(y))
    for weights in (None, w):
        wanted = ORACLES[name](y, p, weights)
        assert metric_of(name).measure(y, p, weights).value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("name", "n_classes", "digits"), CASES)
def test_influences_are_derivatives(name, n_classes, digits):
    y, p = case(n_classes, n=20, digits=digits)
    w = np.random.default_rng(1).uniform(0.5, 2, len(y))
    w /= w.sum()
    found = metric_of(name).measure(y, p, w)
    step, wanted = 1e-5, []
    for each in np.eye(len(y)):
        up, down = ((1 - e) * w + e * each for e in (step, -step))
        wanted.append((ORACLES[name](y, p, up) - ORACLES[name](y, p, down)) / (2 * step))
    np.testing.assert_allclose(found.influence, wanted, atol=2e-6)
    assert abs(w @ found.influence) < 1e-12


MULTILABEL = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p >= 0.5, sample_weight=w),
    "macro_f1": lambda y, p, w: sk.f1_score(y, p >= 0.5, average="macro", sample_weight=w),
    "micro_f1": lambda y, p, w: sk.f1_score(y, p >= 0.5, average="micro", sample_weight=w),
    "log_loss": lambda y, p, w: np.mean(
        [sk.log_loss(y[:, c], p[:, c], sample_weight=w) for c in range(y.shape[1])]
    ),
    "brier": lambda y, p, w: np.mean(
        [sk.brier_score_loss(y[:, c], p[:, c], sample_weight=w) for c in range(y.shape[1])]
    ),
    "auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize("name", MULTILABEL)
def test_multilabel_is_that_of_scikit_learn(name):
    rng = np.random.default_rng(2)
    y = (rng.random((24, 3)) < [0.2, 0.5, 0.7]).astype(np.int8)
    p = (0.6 * rng.random((24, 3)) + 0.4 * y).round(2).clip(0.01, 0.99)
    w = rng.uniform(0.5, 2, 24)
    w /= w.sum()
    found, oracle = find_metric(name).measure(y, p, w), MULTILABEL[name]
    assert found.value == pytest.approx(oracle(y, p, w), abs=1e-12)
    wanted = [
        (oracle(y, p, (1 - 1e-5) * w + 1e-5 * each) - oracle(y, p, (1 + 1e-5) * w - 1e-5 * each))
        / 2e-5
        for each in np.eye(24)
    ]
    np.testing.assert_allclose(found.influence, wanted, atol=2e-6)


def test_metrics_for_a_task_are_those_with_a_function_for_it():
    for metric in METRICS.values():
        if metric.needs == "labels":
            assert ("multilabel" in metric.tasks) == (metric.of_matrix is not None)


def test_classes_without_rows_are_left_out():
    y, p = case(3)
    p = np.column_stack([p, np.zeros(len(p))])
    for name in ("balanced_accuracy", "macro_f1", "auc", "average_precision", "kappa", "mcc"):
        wanted = find_metric(name).measure(y, p[:, :3]).value
        assert find_metric(name).measure(y, p).value == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["mcc", "kappa", "auc", "average_precision"])
def test_one_class_has_no_standard_error(name):
    y, p = np.zeros(5, np.int64), np.tile([0.7, 0.3], (5, 1))
    metric = find_metric(name)
    assert np.isnan(metric.estimate(metric.measure(y, p)).interval).all()


@pytest.mark.parametrize("name", ["f2", "top0", "topk", "Accuracy"])
def test_unknown_names(name):
    with pytest.raises(
        ValueError, match=r"`metric` must be one of accuracy, .*topK, cost:FILE, got"
    ):
        find_metric(name)


def test_metrics_that_a_task_lacks():
    with pytest.raises(ValueError, match=r"one of accuracy, .* for binary predictions, got top3"):
        find_metric("top3").check_task("binary")


@pytest.mark.parametrize("table", [[[0, 1]], [[0, np.nan], [1, 0]], [1, 2]])
def test_bad_costs(table):
    with pytest.raises(ValueError, match="`cost` must be"):
        cost_metric(table)
