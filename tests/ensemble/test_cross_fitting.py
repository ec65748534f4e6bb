"""Out-of-fold predictions: those of a plain loop over folds, for all that is fitted to labels."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold

import ensemble
import postproc
from ensemble import out_of_fold
from ensemble.base import MemberEstimator
from postproc.calibration.by_name import METHODS, make_calibrator
from postproc.evaluation.folds import label_folds, random_folds

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 90)
A, B = (signal * np.eye(3)[Y] + RNG.normal(size=(90, 3)) for signal in (2.0, 1.0))
PROBS = postproc.softmax(B)


def naive(make, members, y, n_folds=5, seed=0, groups=None):
    """A loop over the same folds, on arrays."""
    logs = np.stack([np.log(postproc.softmax(a) if a.min() < 0 else a) for a in members])
    folds = random_folds(logs.mean(axis=0), y, n_folds, seed, groups)
    out = np.empty(members[0].shape)
    for fold in range(n_folds):
        held = folds == fold
        assert groups is None or not np.intersect1d(groups[held], groups[~held]).size
        model = make()
        if isinstance(model, MemberEstimator):
            fitted = model.fit([a[~held] for a in members], y[~held])
            out[held] = fitted.predict_proba([a[held] for a in members])
        else:
            out[held] = model.fit(members[0][~held], y[~held]).predict_proba(members[0][held])
    return out


FITTED = {
    "weights": ensemble.LearnedLogPool,
    "blend": ensemble.DiscriminantPool,
    "calibrated": ensemble.CalibratedVoting,
    "greedy": ensemble.GreedySelection,
    "stack": ensemble.Stacking,
    "auto": lambda: ensemble.AutoPostprocessor(metric="log_loss"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", FITTED)
def test_of_ensembles_they_are_those_of_a_loop(name):
    make = FITTED[name]
    found = out_of_fold(make(), [A, PROBS], Y)
    np.testing.assert_allclose(found, naive(make, [A, PROBS], Y), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["temperature", "bcts", "structured", "pooled"])
def test_of_calibrators_they_are_those_of_a_loop(name):
    found = out_of_fold(make_calibrator(name), A, Y, n_folds=3, seed=4)
    loop = naive(lambda: make_calibrator(name, kind="logits"), [A], Y, n_folds=3, seed=4)
    np.testing.assert_allclose(found, loop, atol=1e-9)


def test_labels_that_scores_say_nothing_about_are_not_learned_by_heart():
    losses = []
    for seed in range(1, 6):
        y = np.random.default_rng(seed).integers(0, 3, len(Y))
        model = ensemble.DiscriminantPool().fit([A, PROBS], y)
        found = model.predict_proba([A, PROBS]), out_of_fold(model, [A, PROBS], y)
        losses.append([-np.log(probs[np.arange(len(y)), y]).mean() for probs in found])
    own, honest = np.mean(losses, axis=0)
    assert own < np.log(3) - 0.01 < np.log(3) < honest


def test_the_order_of_rows_does_not_matter():
    order = np.random.default_rng(2).permutation(len(Y))
    found = out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y)
    moved = out_of_fold(ensemble.LearnedLogPool(), [A[order], PROBS[order]], Y[order])
    np.testing.assert_allclose(moved, found[order], atol=1e-9)


#: Groups of unequal sizes, of rows apart from each other.
GROUPS = np.minimum(np.random.default_rng(5).geometric(0.08, 90), 30)


@pytest.mark.parametrize("n_folds", [2, 5, 40])
def test_folds_keep_groups_whole_and_are_as_even_as_those_of_scikit_learn(n_folds):
    for folds in (
        random_folds(A, Y, n_folds, 1, GROUPS),
        label_folds(A, np.eye(3)[Y], n_folds, 1, GROUPS),
    ):
        for group in np.unique(GROUPS):
            assert len(np.unique(folds[group == GROUPS])) == 1
        n_held = min(n_folds, len(np.unique(GROUPS)))
        theirs = [len(test) for _, test in GroupKFold(n_held).split(A, Y, GROUPS)]
        assert sorted(np.bincount(folds)) == sorted(theirs)
    pairs = random_folds(A, Y, 5, 0, np.arange(90) // 2)
    assert not np.array_equal(pairs, random_folds(A, Y, 5, 1, np.arange(90) // 2))


def test_rows_of_no_group_but_their_own_are_dealt_as_without_groups():
    alone = np.random.default_rng(0).permutation(90)
    np.testing.assert_array_equal(random_folds(A, Y, 5, 3, alone), random_folds(A, Y, 5, 3))


def test_groups_are_held_out_whole():
    found = out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y, groups=GROUPS)
    loop = naive(ensemble.LearnedLogPool, [A, PROBS], Y, groups=GROUPS)
    np.testing.assert_allclose(found, loop, atol=1e-9)
    order, names = np.random.default_rng(2).permutation(90), [f"p{31 - g}" for g in GROUPS]
    moved = out_of_fold(
        ensemble.LearnedLogPool(),
        [A[order], PROBS[order]],
        Y[order],
        groups=np.array(names)[order],
    )
    np.testing.assert_allclose(moved, found[order], atol=1e-9)


def test_groups_of_one_column_and_of_labels_that_do_not_exclude_each_other():
    y, p = (Y == 0).astype(int), PROBS[:, 0]
    found = out_of_fold(postproc.BetaCalibration(), p, y, groups=GROUPS)
    loop = naive(
        lambda: postproc.BetaCalibration(kind="probs"), [np.c_[1 - p, p]], y, groups=GROUPS
    )
    np.testing.assert_allclose(found, loop[:, 1], atol=1e-9)
    many = np.eye(3, dtype=int)[Y]
    found = out_of_fold(postproc.MultilabelCalibration(kind="logits"), A, many, groups=GROUPS)
    folds = label_folds(A, many, 5, 0, GROUPS)
    for held in (folds == fold for fold in range(5)):
        model = postproc.MultilabelCalibration(kind="logits").fit(A[~held], many[~held])
        np.testing.assert_allclose(found[held], model.predict_proba(A[held]), atol=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_only_whole_groups_are_honest_where_rows_of_a_group_are_alike():
    losses = []
    for seed in range(3):  # scores that say nothing of the label but which patient a row is of
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(60), 5)
        y, own = rng.integers(0, 3, 60)[patient], 2 * rng.normal(size=(60, 3))[patient]
        scores = [own + 0.1 * rng.normal(size=own.shape), own[:, ::-1] / 2]
        model = ensemble.DiscriminantPool()
        found = [out_of_fold(model, scores, y, groups=groups) for groups in (None, patient)]
        losses.append([-np.log(probs[np.arange(len(y)), y]).mean() for probs in found])
    divided, whole = np.mean(losses, axis=0)
    assert divided < np.log(3) - 0.1 < np.log(3) < whole


@pytest.mark.parametrize(
    ("groups", "said"),
    [(GROUPS[:5], r"groups.*shape \(90,\)"), (np.zeros(90), "groups.*two or more, got 1")],
)
def test_bad_groups(groups, said):
    with pytest.raises(ValueError, match=said):
        out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y, groups=groups)


def test_the_estimator_itself_stays_as_it_was():
    model = ensemble.LearnedLogPool()
    out_of_fold(model, [A, PROBS], Y)
    assert not hasattr(model, "n_members_")


def test_types_are_those_of_predict_proba():
    narrow = [A.astype(np.float32), PROBS.astype(np.float32)]
    assert out_of_fold(ensemble.LearnedLogPool(), narrow, Y).dtype == np.float32
    assert out_of_fold(postproc.TemperatureScaling(), narrow[0], Y).dtype == np.float32
    tensor = out_of_fold(ensemble.LearnedLogPool(), [torch.tensor(A), torch.tensor(PROBS)], Y)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor, out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y))


def test_tables_keep_their_names():
    index = [f"row{i}" for i in range(len(Y))]
    tables = [pd.DataFrame(x, index, ["a", "b", "c"]) for x in (A, PROBS)]
    names = pd.Series(np.array(["a", "b", "c"])[Y], index).sample(frac=1, random_state=0)
    found = out_of_fold(ensemble.LearnedLogPool(), tables, names)
    pd.testing.assert_index_equal(found.index, tables[0].index)
    np.testing.assert_allclose(found, out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y))
    one = out_of_fold(postproc.TemperatureScaling(), tables[0], names)
    np.testing.assert_allclose(one, out_of_fold(postproc.TemperatureScaling(), A, Y))


def test_one_column_gives_one_column():
    y = (Y == 0).astype(int)
    column = postproc.softmax(np.stack([A[:, 1], A[:, 0]], axis=1))[:, 1]
    for model, scores in (
        (postproc.BetaCalibration(), column),
        (ensemble.LearnedLogPool(), [column, column**2]),
    ):
        found = out_of_fold(model, scores, y)
        assert found.shape == column.shape
        assert np.corrcoef(found, column)[0, 1] > 0.9


def test_labels_that_do_not_exclude_each_other():
    y = (np.random.default_rng(3).random((120, 3)) < 0.3).astype(int)
    z = 4 * y - 2 + np.random.default_rng(4).normal(size=y.shape)
    models = ensemble.LabelPool(), ensemble.MultilabelPostprocessor()
    found = [out_of_fold(model, [z, z / 2], y) for model in models]
    found.append(out_of_fold(postproc.MultilabelCalibration(), z, y))
    for each in found:
        assert each.shape == y.shape
        assert ((each > 0.5) == y).mean() > 0.9
        assert not np.allclose(each.sum(axis=1), 1)


def test_a_class_of_one_row_is_told_and_of_no_two_rows_refused():
    y = np.where(np.arange(90) == 7, 2, Y % 2)
    with pytest.warns(
        UserWarning, match=r"1 of 3 classes have all their rows in one fold \('2'\).*PP302"
    ):
        out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], y)
    with pytest.raises(ValueError, match="2 rows or more"):
        out_of_fold(postproc.TemperatureScaling(), A[:3], [0, 1, 2])


@pytest.mark.parametrize(("option", "value"), [("n_folds", 1), ("seed", -1)])
def test_bad_options(option, value):
    with pytest.raises(ValueError, match=option):
        out_of_fold(ensemble.LearnedLogPool(), [A, PROBS], Y, **{option: value})


def test_every_calibrator_can_be_given():
    y = (Y == 0).astype(int)
    two = np.stack([A[:, 1], A[:, 0]], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # those of the fits are not repeated
        for name in METHODS:
            model = make_calibrator(name)
            assert isinstance(model, BaseEstimator)
            assert out_of_fold(model, two, y).shape == two.shape


def test_classes_that_a_member_lacks_stay_without_probability():
    a = postproc.Predictions.check(A, classes=["a", "b", "c"], name="a")
    b = postproc.Predictions.check(B[:, :2], classes=["a", "b"], name="b")
    members = ensemble.align_members([a, b], missing_class="zero")
    found = out_of_fold(ensemble.Voting("soft"), members, Y)
    np.testing.assert_allclose(found, ensemble.Voting("soft").fit(members).predict_proba(members))
