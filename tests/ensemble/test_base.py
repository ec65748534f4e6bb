"""Manners that all ensembles share: scikit-learn's, and those of row-wise work."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import ensemble
from ensemble.base import combine_all
from postproc import Predictions, softmax
from postproc.scores.blocks import Sizes
from tests.ensemble.conftest import make_members

FITTED = {
    "weights": ensemble.LearnedLogPool,
    "bias": lambda: ensemble.LearnedLogPool(bias=True),
    "calibrated": ensemble.CalibratedVoting,
    "greedy": ensemble.GreedySelection,
    "bags": lambda: ensemble.GreedySelection(n_bags=4, n_steps=5),
    "gumbel": ensemble.GumbelSelection,
    "stack": lambda: ensemble.Stacking(cs=(0.01, 0.1)),
    "bagging": lambda: ensemble.Bagging(cs=(0.1,), n_estimators=3),
    "blend": ensemble.Blend,
    "discriminants": ensemble.DiscriminantPool,
    "soft": ensemble.Voting,
    "ytuning": lambda: ensemble.YTuning(seeds=1),
}
each_fitted = pytest.mark.parametrize("method", FITTED)


@each_fitted
def test_beats_or_equals_the_mean_member(method, fit_split, target_split):
    model = FITTED[method]().fit(*fit_split)
    members, y = target_split
    probs = model.predict_proba(members)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)
    assert probs.min() >= 0
    np.testing.assert_array_equal(model.predict(members), probs.argmax(axis=1))
    assert np.mean(model.predict(members) == y) > model.solo_accuracy_.mean() - 0.02
    assert model.member_weights_.shape == (4,)
    assert (model.member_weights_ >= 0).all()


@each_fitted
def test_solo_accuracy(method, fit_split):
    members, y = fit_split
    expected = [np.mean(z.argmax(axis=1) == y) for z in members]
    np.testing.assert_allclose(FITTED[method]().fit(members, y).solo_accuracy_, expected)


@each_fitted
def test_each_row_depends_on_itself_only(method, fit_split, target_split):
    model = FITTED[method]().fit(*fit_split)
    members, _ = target_split
    whole = model.predict_proba(members)
    one = model.predict_proba([z[7:8] for z in members])
    np.testing.assert_allclose(one, whole[7:8], atol=1e-12)
    checked = model.check_members(members)
    blocks = combine_all(model, checked, Sizes(member=7 * 8 * 5))
    np.testing.assert_allclose(blocks, whole, atol=1e-12)
    np.testing.assert_allclose(model.combine(checked, slice(3, 9)), whole[3:9], atol=1e-12)


@each_fitted
def test_invariant_to_the_order_of_the_fit_rows(method, fit_split, target_split):
    members, y = fit_split
    order = np.random.default_rng(0).permutation(len(y))
    model = FITTED[method]().fit(members, y)
    shuffled = FITTED[method]().fit([z[order] for z in members], y[order])
    probs = model.predict_proba(target_split[0])
    np.testing.assert_allclose(shuffled.predict_proba(target_split[0]), probs, atol=2e-3)
    assert np.mean(shuffled.predict(target_split[0]) == probs.argmax(axis=1)) > 0.99


@each_fitted
def test_kinds_may_be_mixed(method, fit_split, target_split):
    members, y = fit_split
    target = target_split[0]
    model = FITTED[method]().fit(members, y)
    mixed = FITTED[method]().fit([softmax(members[0]), *members[1:]], y)
    assert mixed.kinds_ == ["probs", "logits", "logits", "logits"]
    probs = mixed.predict_proba([softmax(target[0]), *target[1:]])
    np.testing.assert_allclose(probs, model.predict_proba(target), atol=1e-4)


@each_fitted
def test_torch_in_torch_out(method, fit_split, target_split):
    model = FITTED[method]().fit(*fit_split)
    narrow = [z.astype(np.float32) for z in target_split[0]]
    probs = model.predict_proba([torch.asarray(z) for z in narrow])
    assert isinstance(probs, torch.Tensor)
    assert probs.dtype == torch.float32
    np.testing.assert_allclose(probs.numpy(), model.predict_proba(narrow), atol=1e-6)


@each_fitted
def test_two_classes(method):
    model = FITTED[method]().fit(*make_members(seed=3, n_classes=2))
    members, y = make_members(seed=4, n_classes=2)
    assert np.mean(model.predict(members) == y) > 0.85


@each_fitted
def test_clones_and_repeats_itself(method, fit_split, target_split):
    model = FITTED[method]().fit(*fit_split)
    again = clone(model).fit(*fit_split)
    np.testing.assert_array_equal(
        again.predict_proba(target_split[0]), model.predict_proba(target_split[0])
    )


@each_fitted
def test_not_fitted(method, target_split):
    with pytest.raises(NotFittedError):
        FITTED[method]().predict_proba(target_split[0])


@pytest.mark.parametrize("method", [m for m in FITTED if m != "soft"])
def test_labels_are_checked(method, fit_split):
    members, y = fit_split
    for bad, message in [
        (None, "`y` must be one label per row, got None"),
        (y[:-1], "`y` must be as long as the predictions (120 rows), got 119 labels"),
        (np.where(y == 4, 5, y), None),
    ]:
        with pytest.raises(ValueError) as error:
            FITTED[method]().fit(members, bad)
        assert message is None or str(error.value) == message
    with pytest.raises(TypeError) as error:
        FITTED[method]().fit(members, y.astype(str))
    message = (
        "`y` must be integers in 0..4, got dtype <U21; class names need scores with named "
        "columns, or `classes`"
    )
    assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        FITTED[method]().fit([z[:0] for z in members], y[:0])
    assert "`members` must be arrays of one or more rows" in str(error.value)


def named(members, classes=("a", "b", "c", "d", "e"), names=("w", "x", "y", "z")):
    return ensemble.align_members(
        [
            Predictions.check(z, classes=classes, name=name)
            for z, name in zip(members, names, strict=True)
        ]
    )


def test_labels_may_be_class_names(fit_split):
    """PEERS.md 1: string labels break scikit-learn's vote over frozen models."""
    members, y = fit_split
    aligned = named(members)
    model = ensemble.LearnedLogPool().fit(aligned, np.array(aligned.classes)[y])
    expected = ensemble.LearnedLogPool().fit(members, y)
    np.testing.assert_array_equal(model.member_weights_, expected.member_weights_)
    with pytest.raises(ValueError) as error:
        ensemble.LearnedLogPool().fit(aligned, ["a"] * 119 + ["q"])
    assert str(error.value) == "`y[119]` must be one of the class names 'a', 'b', 'c', ..., got 'q'"


def test_another_set_of_members_is_refused(fit_split):
    members, y = fit_split
    model = ensemble.LearnedLogPool().fit(named(members), y)
    model.predict_proba(members)  # arrays have no names that could differ
    for other, message in [
        (members[:3], "`members` must be the 4 seen in fit, got 3; they are: w, x, y, z"),
        (
            named(members, names=("x", "w", "y", "z")),
            "`members` must be those seen in fit, in the same order, got x, w, y, z; they "
            "are: w, x, y, z",
        ),
        (
            [z[:, :4] for z in members],
            "`members` must be arrays of 5 classes as in fit, got 4 classes",
        ),
        (
            named(members, classes=("a", "c", "b", "d", "e")),
            "`classes` must be 'b' in column 1 as in fit, got 'c'; match them with "
            "`align_members(..., classes=fitted.classes_)`",
        ),
        (
            [softmax(z) for z in members],
            '`members[0]` must be logits as in fit, got probs; declare kind="logits" (--logits) '
            "if they are",
        ),
    ]:
        with pytest.raises(ValueError) as error:
            model.predict_proba(other)
        assert str(error.value) == message


@pytest.mark.parametrize("method", ["weights", "bias", "calibrated", "greedy", "stack", "blend"])
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_hardly_any_rows(method, n_rows, fit_split, target_split):
    members, y = fit_split
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* classes have no row in the fit split")
        model = FITTED[method]().fit([z[:n_rows] for z in members], y[:n_rows])
    assert np.isfinite(model.predict_proba(target_split[0])).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ensemble.LearnedLogPool(ridge=-1), "`ridge` must be in [0, inf), got -1"),
        (ensemble.LearnedLogPool(n_folds=1), "`n_folds` must be an integer >= 2, got 1"),
        (ensemble.LearnedLogPool(seed=-1), "`seed` must be an integer >= 0, got -1"),
        (
            ensemble.LearnedLogPool(bias=True, bias_ridge=0),
            "`bias_ridge` must be in (0, inf), got 0",
        ),
        (ensemble.Blend(ridge=0), "`ridge` must be in (0, inf), got 0"),
        (ensemble.Blend(bias_ridge=-1), "`bias_ridge` must be in (0, inf), got -1"),
        (ensemble.Blend(n_folds=0), "`n_folds` must be an integer >= 2, got 0"),
        (ensemble.Stacking(cs=()), "`cs` must be one number > 0 or more, got none"),
        (ensemble.Stacking(cs=(1.0, 0.0)), "`cs` must be in (0, inf), got 0.0"),
        (ensemble.Stacking(n_folds=1), "`n_folds` must be an integer >= 2, got 1"),
        (ensemble.Bagging(n_estimators=0), "`n_estimators` must be an integer >= 1, got 0"),
        (
            ensemble.CalibratedVoting(weights=[1]),
            "`weights` must be one number per member, shape (4,), got shape (1,)",
        ),
        (
            ensemble.GreedySelection(metric="loss"),
            "`metric` must be one of accuracy, balanced_accuracy, macro_f1, micro_f1, mcc, kappa, "
            "quadratic_kappa, log_loss, brier, auc, average_precision, aurc, f1, "
            "topK, cost:FILE, got 'loss'; did you mean 'log_loss'?",
        ),
        (ensemble.GreedySelection(n_steps=0), "`n_steps` must be an integer >= 1, got 0"),
        (ensemble.GreedySelection(n_bags=0), "`n_bags` must be an integer >= 1, got 0"),
        (ensemble.GreedySelection(bag_fraction=0), "`bag_fraction` must be in (0, 1], got 0"),
    ],
)
def test_bad_parameters(model, message, fit_split):
    with pytest.raises(ValueError) as error:
        model.fit(*fit_split)
    assert str(error.value) == message
