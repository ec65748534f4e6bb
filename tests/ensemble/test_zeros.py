"""Predictions with exact zeros: what is learned from them, kept with a model, and left alone."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

import ensemble
import postproc
from ensemble.saved import load_model, save_model
from postproc.scores.zeros import LOG_LEAST

N_VOTES, N_CLASSES = 5, 4

pytestmark = pytest.mark.filterwarnings("ignore:probabilities of exactly 0")


def votes_of(n_rows, seed, strength=1.5):
    """Shares of five votes each, as of nearest neighbours, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(N_CLASSES, size=n_rows)
    probs = postproc.softmax(strength * (np.eye(N_CLASSES)[y] + rng.normal(size=(n_rows, 4)) / 2))
    return rng.multinomial(N_VOTES, probs) / N_VOTES, y


def raised(probs):
    """Logits of the same probabilities, with half a vote for zero."""
    return np.log(np.maximum(probs, 0.5 / N_VOTES))


def task(seed=0, n_fit=300, n_rows=200):
    """Two members' fit rows, their labels, and target rows."""
    (a, y), (b, _) = votes_of(n_fit, seed), votes_of(n_fit, seed, 1.0)
    (c, truth), (d, _) = votes_of(n_rows, seed + 1), votes_of(n_rows, seed + 1, 1.0)
    return [a, b], y, [c, d], truth


CALIBRATORS = (
    "TemperatureScaling",
    "BiasCorrectedTemperatureScaling",
    "StructuredScaling",
    "ResidualMatrixScaling",
    "PooledScaling",
)

LEARNED = {
    "LearnedLogPool": {},
    "DiscriminantPool": {},
    "CalibratedVoting": {},
    "Stacking": {},
    "Blend": {},
    "YTuning": {},
    "DevilsAdvocate": {"epochs": 2, "seeds": 1},
}


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_calibrator_is_the_one_of_half_votes(name):
    (fit, _), y, (target, _), _ = task()
    found = getattr(postproc, name)().fit(fit, y)
    wanted = getattr(postproc, name)(kind="logits").fit(raised(fit), y)
    assert found.improved_
    np.testing.assert_allclose(
        found.predict_proba(target), wanted.predict_proba(raised(target)), atol=0.02
    )  # folds differ with the scores
    np.testing.assert_allclose(found.held_out_log_loss_, wanted.held_out_log_loss_, atol=0.02)


@pytest.mark.parametrize("name", ["BetaCalibration", "VennAbersCalibration", "BinaryCalibration"])
def test_a_calibrator_of_two_classes_too(name):
    (fit, _), y, (target, _), _ = task()
    fit, target, y = fit[:, :2], target[:, :2], (y > 0).astype(int)
    fit, target = (p + (p.sum(axis=1, keepdims=True) == 0) for p in (fit, target))
    fit, target = (p / p.sum(axis=1, keepdims=True) for p in (fit, target))
    low = min(fit[fit > 0].min(), 1.0) / 2
    found = getattr(postproc, name)().fit(fit, y)
    wanted = getattr(postproc, name)(kind="logits").fit(np.log(np.maximum(fit, low)), y)
    np.testing.assert_allclose(
        found.predict_proba(target),
        wanted.predict_proba(np.log(np.maximum(target, low))),
        atol=0.02,
    )


@pytest.mark.parametrize("name", LEARNED)
def test_an_ensemble_is_the_one_of_half_votes(name):
    fit, y, target, _ = task()
    found = getattr(ensemble, name)(**LEARNED[name]).fit(fit, y)
    np.testing.assert_allclose(np.exp(found.log_zeros_), [0.5 / N_VOTES] * 2)
    wanted = getattr(ensemble, name)(**LEARNED[name]).fit(map(raised, fit), y)
    np.testing.assert_allclose(
        found.predict_proba(target), wanted.predict_proba(map(raised, target)), atol=0.03
    )


def test_probabilities_without_zeros_are_as_they_were():
    rng = np.random.default_rng(0)
    probs, y = postproc.softmax(2 * rng.normal(size=(100, 4))), rng.integers(4, size=100)
    assert ensemble.LearnedLogPool().fit([probs], y).log_zeros_ == [LOG_LEAST]
    assert postproc.TemperatureScaling().fit(probs, y).model_.log_zero == LOG_LEAST
    assert ensemble.Voting("soft").fit([probs]).log_zeros_ is None


def test_calibration_of_few_votes_keeps_their_accuracy():
    """With zeros as 1.2e-38, the default loses every tenth row and more."""
    fit, y = votes_of(800, 0, strength=3.0)
    target, truth = votes_of(2000, 1, strength=3.0)
    before = np.mean(target.argmax(axis=1) == truth)
    after = np.mean(postproc.PooledScaling().fit(fit, y).predict(target) == truth)
    assert after > before - 0.01


def test_auto_is_no_worse_than_the_best_member_and_warns_once():
    fit, y, target, truth = task(n_fit=600, n_rows=2000)
    with pytest.warns(UserWarning, match="exactly 0") as caught:
        auto = ensemble.AutoPostprocessor(n_rehearsals=6).fit(fit, y)
    assert sum("exactly 0" in str(each.message) for each in caught) == 1
    found = auto.adapt_to(target).predict_proba(target)
    best = max(np.mean(each.argmax(axis=1) == truth) for each in target)
    assert np.mean(found.argmax(axis=1) == truth) > best - 0.005
    assert -np.log(found[np.arange(2000), truth]).mean() < math.log(N_CLASSES)


@pytest.mark.filterwarnings("ignore:15 labelled rows are too few")
def test_zeros_stay_where_nothing_is_changed():
    fit, y, target, _ = task()
    auto = ensemble.AutoPostprocessor(n_rehearsals=2, metric="log_loss").fit([fit[0][:15]], y[:15])
    np.testing.assert_allclose(auto.predict_proba([target[0]]), target[0], atol=1e-12)


@pytest.mark.parametrize("make", [ensemble.LearnedLogPool, postproc.PooledScaling])
def test_blocks_and_the_order_of_rows_do_not_matter(make):
    fit, y, target, _ = task()
    if make is postproc.PooledScaling:
        fit, target = [fit[0]], [target[0]]
    given = (lambda rows: rows[0]) if make is postproc.PooledScaling else list
    model = make().fit(given(fit), y)
    whole = model.predict_proba(given(target))
    sure = np.flatnonzero(target[0].max(axis=1) == 1)
    some = model.predict_proba(given([each[sure] for each in target]))
    np.testing.assert_allclose(some, whole[sure], atol=1e-12)
    turned = make().fit(given([each[::-1] for each in fit]), y[::-1])
    np.testing.assert_allclose(turned.predict_proba(given(target)), whole, atol=1e-6)


@pytest.mark.parametrize("make", [ensemble.LearnedLogPool, postproc.PooledScaling])
def test_a_saved_model_knows_what_zeros_count_as_and_an_old_one_need_not(make, tmp_path):
    fit, y, target, _ = task()
    fit, target = (fit, target) if make is ensemble.LearnedLogPool else (fit[0], target[0])
    model = make().fit(fit, y)
    save_model(model, tmp_path / "m.json")
    loaded = load_model(tmp_path / "m.json")
    np.testing.assert_array_equal(loaded.predict_proba(target), model.predict_proba(target))

    content = json.loads((tmp_path / "m.json").read_text())
    state = content["model"]["state"]
    (state if "log_zeros_" in state else state["model_"]["state"]).pop(
        "log_zeros_" if "log_zeros_" in state else "log_zero"
    )
    (tmp_path / "m.json").write_text(json.dumps(content))
    old = load_model(tmp_path / "m.json")
    some = np.clip(target, 0.2, None)  # without zeros
    some = some / some.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(old.predict_proba(some), model.predict_proba(some), atol=1e-12)


def test_labels_that_do_not_exclude_each_other():
    rng = np.random.default_rng(0)
    y = (rng.random((400, 3)) < 0.4).astype(int)
    votes = rng.binomial(N_VOTES, np.where(y == 1, 0.75, 0.2)) / N_VOTES
    inside = np.clip(votes, 0.5 / N_VOTES, 1 - 0.5 / N_VOTES)
    found = postproc.MultilabelCalibration().fit(votes, y)
    wanted = postproc.MultilabelCalibration(kind="probs").fit(inside, y)
    assert found.held_out_log_loss_ < found.identity_log_loss_
    np.testing.assert_allclose(found.predict_proba(votes), wanted.predict_proba(inside), atol=0.05)
    pool = ensemble.LabelPool().fit([votes, inside], y, multilabel=True)
    same = ensemble.LabelPool().fit([inside, inside], y, multilabel=True, kinds="probs")
    np.testing.assert_allclose(
        pool.predict_proba([votes, inside]), same.predict_proba([inside, inside]), atol=0.05
    )


def questions(n_rows=300, seed=0):
    """Log-likelihoods of four choices, few of five, of two models, and the right ones."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n_rows)
    y[:3] = 4
    scores = 3 * rng.normal(size=(2, n_rows, 5)) + 4 * np.eye(5)[y]
    scores[:, n_rows // 20 :, 4] = -np.inf
    return scores, y


@pytest.mark.parametrize("name", ["LearnedLogPool", "DiscriminantPool"])
def test_choices_that_questions_lack_are_no_cause_for_alarm(name):
    scores, y = questions()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        postproc.TemperatureScaling().fit(scores[0], y)
        getattr(ensemble, name)().fit(list(scores), y)
    y[-1] = 4  # what has no probability turns out true
    for fit in (
        lambda: postproc.TemperatureScaling().fit(scores[0], y),
        lambda: getattr(ensemble, name)().fit(list(scores), y),
    ):
        with pytest.warns(UserWarning, match="PP314"):
            fit()


def test_choices_that_questions_lack_get_hardly_any_mass():
    scores, y = questions()
    probs = postproc.BiasCorrectedTemperatureScaling().fit(scores[0], y).predict_proba(scores[0])
    assert probs[15:, 4].max() < 0.01
    assert (
        postproc.CAN(prior=[0.24, 0.24, 0.24, 0.24, 0.04])
        .fit(scores[0])
        .predict_proba(scores[0])[15:, 4]
        == 0
    ).all()
