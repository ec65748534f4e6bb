"""Ensembles of multi-label members: each entry is a row of two classes."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

import ensemble
from ensemble import MultilabelPostprocessor, Voting, check_members, load_model, save_model
from postproc.calibration.labelwise import fit_labels, label_losses
from postproc.evaluation.registry import find_metric

N, M = 240, 4


def draw(seed, n=N):
    """Three members (probabilities, logits, logits in 32 bits), and labels of falling frequency."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, M)) < [0.5, 0.3, 0.1, 0.05]).astype(int)
    z = [s * (2 * y - 1) + 1.3 * rng.standard_normal((n, M)) - 0.5 for s in (1.5, 1.0, 0.6)]
    return [1 / (1 + np.exp(-z[0])), z[1], z[2].astype(np.float32)], y


VAL, Y = draw(0)
TEST, Z = draw(1)
P = [TEST[0], *(1 / (1 + np.exp(-np.float64(z))) for z in TEST[1:])]
LOGITS = np.array([np.log(p / (1 - p)) for p in P])
NAIVE = {
    "soft": np.mean(P, axis=0),
    "log": 1 / (1 + np.exp(-LOGITS.mean(axis=0))),
    "median": np.median(P, axis=0),
    "hard": np.mean([p > 0.5 for p in P], axis=0),
}


@pytest.mark.parametrize("rule", NAIVE)
def test_rules_are_those_of_each_entry(rule):
    made = Voting(rule).fit(TEST, multilabel=True)
    np.testing.assert_allclose(made.predict_proba(TEST), NAIVE[rule], atol=1e-6)
    np.testing.assert_array_equal(made.predict(TEST), NAIVE[rule] >= 0.5)


def test_ranks_over_rows_are_those_of_each_label():
    made = Voting("rank", over="rows").fit(TEST, multilabel=True)
    naive = np.mean([(p[:, None] > p).sum(axis=1) + 0.5 for p in P], axis=0) / N
    np.testing.assert_allclose(made.predict_proba(TEST), naive, atol=1e-6)


FITTED = {
    "weights": ensemble.LearnedLogPool(bias=True),
    "blend": ensemble.DiscriminantPool(),
    "calibrated": ensemble.CalibratedVoting(),
    "greedy": ensemble.GreedySelection(metric="log_loss"),
    "gumbel": ensemble.GumbelSelection(size=2),
    "stack": ensemble.Stacking(),
    "bagging": ensemble.Bagging(),
    "ytuning": ensemble.YTuning(seeds=1),
}


@pytest.mark.parametrize("name", FITTED)
def test_weights_in_common_are_those_of_flat_binary_rows(name):
    """A task of m labels is one of n·m rows of two classes."""
    model = FITTED[name]
    wide = clone(model).fit(VAL, Y, multilabel=True)
    flat = clone(model).fit([each.reshape(-1) for each in VAL], Y.reshape(-1))
    np.testing.assert_allclose(
        np.ravel(wide.predict_proba(TEST)),
        flat.predict_proba([each.reshape(-1) for each in TEST]),
        atol=1e-6,
    )
    assert wide.predict_proba(TEST).shape == (N, M)


@pytest.mark.parametrize("metric", ["micro_f1", "accuracy", "log_loss", "average_precision"])
def test_greedy_improves_the_metric_that_is_asked_for(metric):
    made = ensemble.GreedySelection(metric=metric, n_steps=8).fit(VAL, Y, multilabel=True)
    judge = find_metric(metric)
    p = [VAL[0], *(1 / (1 + np.exp(-np.float64(z))) for z in VAL[1:])]
    mean = np.tensordot(made.member_weights_, p, 1)
    best = max if judge.higher else min
    reached = judge.measure(Y, mean).value
    assert reached == pytest.approx(best(made.scores_[0].tolist()), abs=1e-5)


def test_label_weights_beat_those_in_common_where_labels_differ():
    rng = np.random.default_rng(0)
    y = (rng.random((2000, 2)) < 0.4).astype(int)
    a, b = (3 * rng.standard_normal((2000, 2)) for _ in range(2))
    a[:, 0] += 4 * y[:, 0]  # each member knows one label
    b[:, 1] += 4 * y[:, 1]
    inside, outside = [a[:1000], b[:1000]], [a[1000:], b[1000:]]
    own = ensemble.LabelPool().fit(inside, y[:1000], multilabel=True)
    common = ensemble.LearnedLogPool(bias=True).fit(inside, y[:1000], multilabel=True)
    losses = [
        find_metric("log_loss").measure(y[1000:], each.predict_proba(outside)).value
        for each in (own, common)
    ]
    assert losses[0] < losses[1] - 0.05
    assert own.maps_.weights[0, 0] > 5 * own.maps_.weights[0, 1]


def test_label_pool_is_that_of_the_core_whatever_the_order_of_labels():
    made = ensemble.LabelPool().fit(VAL, Y, multilabel=True)
    z = np.array([np.log(VAL[0] / (1 - VAL[0])), *map(np.float64, VAL[1:])])
    fit = fit_labels(np.ascontiguousarray(z.transpose(1, 2, 0)), Y, n_folds=5, seed=0)
    np.testing.assert_allclose(made.maps_.weights, fit.maps.weights, atol=1e-6)
    order = [3, 1, 0, 2]
    moved = ensemble.LabelPool().fit([v[:, order] for v in VAL], Y[:, order], multilabel=True)
    np.testing.assert_allclose(
        moved.predict_proba([t[:, order] for t in TEST]),
        made.predict_proba(TEST)[:, order],
        atol=1e-5,
    )


MODELS = {
    "soft": Voting("soft"),
    "labels": ensemble.LabelPool(),
    "stack": ensemble.Stacking(),
    "auto": MultilabelPostprocessor(),
    "auto f1": MultilabelPostprocessor(metric="micro_f1"),
}


@pytest.mark.parametrize("name", MODELS)
def test_saved_models_are_the_same(tmp_path, name):
    model = clone(MODELS[name]).fit(VAL, Y, multilabel=True)
    save_model(model, tmp_path / "model.json")
    loaded = load_model(tmp_path / "model.json")
    np.testing.assert_array_equal(loaded.predict_proba(TEST), model.predict_proba(TEST))


def test_calibrators_and_adapters_are_saved_too(tmp_path):
    from postproc import MultilabelCalibration, MultilabelShiftAdapter

    for kind in (MultilabelCalibration, MultilabelShiftAdapter):
        model = kind(kind="logits").fit(VAL[1], Y)
        save_model(model, tmp_path / f"{kind.__name__}.json")
        loaded = load_model(tmp_path / f"{kind.__name__}.json")
        np.testing.assert_array_equal(loaded.predict_proba(TEST[1]), model.predict_proba(TEST[1]))


def test_auto_takes_what_gains_and_says_so():
    made = MultilabelPostprocessor().fit(VAL, Y, multilabel=True)
    assert made.combination_ == "weights"
    assert made.candidates_["weights"].low > 0
    assert "its gain out of fold is" in made.summary_
    z = LOGITS[0]
    before = label_losses(z, Z).mean()
    after = find_metric("log_loss").measure(Z, made.predict_proba(TEST)).value
    assert after < before


@pytest.mark.parametrize("metric", ["log_loss", "micro_f1", "average_precision", "hamming_loss"])
def test_auto_leaves_calibrated_members_alone(metric):
    """Of 12 tasks whose only member is right, hardly any is changed."""
    changed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        p = rng.beta(0.6, 2, (150, 3))
        y = (rng.random(p.shape) < p).astype(int)
        made = MultilabelPostprocessor(metric=metric).fit([p], y, multilabel=True)
        changed += made.combination_ != "best"
        if made.combination_ == "best":
            np.testing.assert_array_equal(made.predict_proba([p]), p)
    assert changed <= 1


@pytest.mark.parametrize("name", ["soft", "labels", "stack", "auto"])
def test_tensors_give_what_arrays_give(name):
    torch = pytest.importorskip("torch")
    tensors = [[torch.as_tensor(each) for each in members] for members in (VAL, TEST)]
    wanted = clone(MODELS[name]).fit(VAL, Y, multilabel=True).predict_proba(TEST)
    model = clone(MODELS[name]).fit(tensors[0], torch.as_tensor(Y), multilabel=True)
    found = model.predict_proba(tensors[1])
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_one_label_is_a_binary_task():
    column = [each[:, :1] for each in VAL]
    wide = ensemble.LearnedLogPool().fit(column, Y[:, :1], multilabel=True)
    flat = ensemble.LearnedLogPool().fit(column, Y[:, 0])
    np.testing.assert_allclose(wide.predict_proba(column), flat.predict_proba(column))


def test_few_rows_change_nothing():
    few = [each[:8] for each in VAL]
    with pytest.warns(UserWarning, match="too few to learn from"):
        made = MultilabelPostprocessor().fit(few, Y[:8], multilabel=True)
    assert made.combination_ == "best"


def test_a_label_without_and_one_with_five_positive_rows():
    y = Y.copy()
    y[:, 2] = 0
    y[:, 3] = 0
    y[:5, 3] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in {**FITTED, **MODELS}.items():
            probs = clone(model).fit(VAL, y, multilabel=True).predict_proba(TEST)
            assert np.isfinite(probs).all(), name
            assert ((probs >= 0) & (probs <= 1)).all(), name


def test_what_does_not_hold_for_labels_is_refused():
    with pytest.raises(ValueError, match="exclude each other for the Devil's Advocate"):
        ensemble.DevilsAdvocate().fit(VAL, Y, multilabel=True)
    with pytest.raises(ValueError, match="use MultilabelPostprocessor"):
        ensemble.AutoPostprocessor().fit(VAL, Y, multilabel=True)
    classes = [np.array([[0.5, 0.5], [0.2, 0.8]])] * 2
    with pytest.raises(ValueError, match="use LearnedLogPool"):
        ensemble.LabelPool().fit(classes, [0, 1])
    with pytest.raises(ValueError, match="for multilabel predictions, got mcc"):
        ensemble.GreedySelection(metric="mcc").fit(VAL, Y, multilabel=True)
    with pytest.raises(ValueError, match="must be of shape"):
        ensemble.LabelPool().fit(VAL, Y[:, :2], multilabel=True)
    made = Voting().fit(TEST, multilabel=True)
    with pytest.raises(ValueError, match="`members` must be of the task seen in fit, got multicl"):
        made.predict_proba(check_members([np.full((2, M), 1 / M)] * 3))
