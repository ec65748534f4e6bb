"""Devil's Advocate on saved logits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import ensemble
from ensemble.devil.estimator import FULL, LOG, NO_DEVIL, NORM, PLAIN, SOFT
from ensemble.devil.heads import member_features
from ensemble.training.descent import Adam
from postproc import log_softmax, softmax
from postproc.calibration.features import FLOOR, fit_temperature
from postproc.evaluation.paired import compare
from tests.ensemble.conftest import make_members

HEADS = ("bias", "scale-bias", "affine")
each_head = pytest.mark.parametrize("head", HEADS)
each_vote = pytest.mark.parametrize("vote", ["learned", "published"])


def quick(**options):
    return ensemble.DevilsAdvocate(**({"epochs": 6, "seeds": 1, "n_folds": 3} | options))


def tempered(members, betas):
    """The members' calibrated log-probabilities, cut off and centred: a loop over the equation."""
    out = []
    for z, beta in zip(members, betas, strict=True):
        logs = np.maximum(log_softmax(beta * log_softmax(z)), FLOOR)
        out.append(logs - logs.mean(axis=1, keepdims=True))
    return np.stack(out)


@pytest.mark.filterwarnings("error")
@each_head
def test_identity_start_is_the_log_pool_of_the_calibrated_members(head, fit_split, target_split):
    model = quick(head=head, vote="published", epochs=0).fit(*fit_split)
    betas = [fit_temperature(log_softmax(z), fit_split[1]) for z in fit_split[0]]
    np.testing.assert_allclose(model.heads_.betas, betas, rtol=1e-7)
    pool = softmax(tempered(target_split[0], betas).mean(axis=0))
    np.testing.assert_allclose(model.predict_proba(target_split[0]), pool, atol=1e-7)
    np.testing.assert_allclose(model.vote(target_split[0], 0), pool, atol=1e-7)
    assert model.devil_weight_ == 0


def test_identity_start_with_learned_weights_is_the_learned_log_pool(fit_split, target_split):
    model = quick(epochs=0).fit(*fit_split)
    features = list(tempered(fit_split[0], model.heads_.betas))
    pool = ensemble.LearnedLogPool().fit(features, fit_split[1])
    targets = list(tempered(target_split[0], model.heads_.betas))
    np.testing.assert_allclose(
        model.predict_proba(target_split[0]), pool.predict_proba(targets), atol=2e-3
    )


@each_vote
@each_head
def test_fits_applies_and_repeats_itself(head, vote, fit_split, target_split):
    model = quick(head=head, discussion_weight=1.0, vote=vote).fit(*fit_split)
    members, y = target_split
    probs = model.predict_proba(members)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-12)
    assert np.mean(model.predict(members) == y) > model.solo_accuracy_.mean()
    assert model.head_ == head
    assert model.discussion_weight_ == 1
    again = clone(model).fit(*fit_split)
    np.testing.assert_array_equal(again.predict_proba(members), probs)
    assert len(model.curves_["devil"]) == len(model.curves_["norm"]) == 1
    assert model.curves_["norm"][0].shape[1] == 4
    one = model.predict_proba([z[7:8] for z in members])
    np.testing.assert_allclose(one, probs[7:8], atol=1e-12)


def test_chooses_by_cross_validation(fit_split):
    model = quick(epochs=3).fit(*fit_split)
    tried = set(model.cv_log_loss_)
    assert {"bias, 0", "scale-bias, 0", "affine, 0", "none"} <= tried
    assert len(tried) == 6
    assert model.head_ in (*HEADS, "none")
    assert model.devil_weight_ >= 0


def test_the_order_of_the_fit_rows_does_not_matter(fit_split, target_split):
    members, y = fit_split
    order = np.random.default_rng(0).permutation(len(y))
    model = quick(head="affine").fit(members, y)
    shuffled = quick(head="affine").fit([z[order] for z in members], y[order])
    np.testing.assert_allclose(
        shuffled.predict_proba(target_split[0]), model.predict_proba(target_split[0]), atol=1e-4
    )


def test_shift_and_scale_of_a_member_do_not_matter(fit_split, target_split):
    def moved(members):
        return [members[0] * 7 + 100, *members[1:]]

    model = quick(head="bias").fit(*fit_split)
    other = quick(head="bias").fit(moved(fit_split[0]), fit_split[1])
    np.testing.assert_allclose(
        other.predict_proba(moved(target_split[0])),
        model.predict_proba(target_split[0]),
        atol=0.02,  # the prior on the temperature is the one thing that knows the scale
    )


def test_features_are_calibrated_cut_off_and_centred():
    logs = np.log(np.array([[[1 - 2e-9, 1e-9, 1e-9]], [[0.5, 0.25, 0.25]]]))
    features = member_features(logs, np.array([1.0, 2.0]))
    np.testing.assert_allclose(features[0], [[-2 * FLOOR / 3, FLOOR / 3, FLOOR / 3]], atol=1e-8)
    np.testing.assert_allclose(np.ptp(features[1]), 2 * np.log(2))


@each_vote
def test_a_perfect_member_is_not_harmed(vote):
    (weak, _), y = make_members(seed=5, n_rows=120, n_members=2)
    perfect = 20 * np.eye(5)[y] - 10
    model = quick(head="affine", discussion_weight=1.0, vote=vote).fit([perfect, weak], y)
    (weak, _), y = make_members(seed=6, n_rows=120, n_members=2)
    perfect = 20 * np.eye(5)[y] - 10
    norm = model.heads_.norm_logits(np.stack([log_softmax(perfect), log_softmax(weak)]))
    assert np.mean(norm[0].argmax(axis=1) == y) == 1
    assert np.mean(model.predict([perfect, weak]) == y) == 1


def test_constant_members(fit_split):
    flat = np.full((len(fit_split[1]), 5), 0.2)
    model = quick().fit([fit_split[0][0], flat], fit_split[1])
    probs = model.predict_proba([fit_split[0][0], flat])
    assert np.isfinite(probs).all()
    assert np.mean(probs.argmax(axis=1) == fit_split[1]) >= model.solo_accuracy_[0] - 0.03


def test_one_member(fit_split, target_split):
    model = quick(head="affine", discussion_weight=1.0).fit(fit_split[0][:1], fit_split[1])
    accuracy = np.mean(model.predict(target_split[0][:1]) == target_split[1])
    assert accuracy > model.solo_accuracy_[0] - 0.05


def test_two_classes():
    model = quick().fit(*make_members(seed=3, n_classes=2))
    members, y = make_members(seed=4, n_classes=2)
    assert np.mean(model.predict(members) == y) > 0.85


@each_head
def test_a_class_without_labels_keeps_what_the_members_give(head, fit_split, target_split):
    members, y = fit_split
    rows = y != 2
    with pytest.warns(UserWarning, match="no row in the fit split") as warned:
        model = quick(head=head).fit([z[rows] for z in members], y[rows])
    assert [str(w.message) for w in warned] == [
        "1 of 5 classes have no row in the fit split (2); nothing is learned of them, and the "
        "norm models leave them what the members give [PP302]"
    ]
    logs = np.stack([log_softmax(z) for z in target_split[0]])
    features = member_features(logs, model.heads_.betas)
    np.testing.assert_array_equal(model.heads_.norm_logits(logs)[:, :, 2], features[:, :, 2])
    np.testing.assert_array_equal(model.heads_.devil_logits(logs)[:, 2], 0)
    assert np.mean(model.predict(target_split[0])[target_split[1] == 2] == 2) > 0.5


@pytest.mark.filterwarnings("ignore:.* classes have no row in the fit split")
@pytest.mark.parametrize("n_rows", [1, 2, 3, 9, 10, 13])
def test_hardly_any_rows(n_rows, fit_split, target_split):
    members, y = fit_split
    model = quick().fit([z[:n_rows] for z in members], y[:n_rows])
    assert np.isfinite(model.predict_proba(target_split[0])).all()


def test_devil_is_wrong(fit_split, target_split):
    model = quick(head="bias", epochs=20).fit(*fit_split)
    logs = np.stack([log_softmax(z) for z in target_split[0]])
    z_0 = model.heads_.devil_logits(logs)
    assert np.mean(z_0.argmax(axis=1) == target_split[1]) < 0.1
    assert np.mean((-z_0).argmax(axis=1) == target_split[1]) > 0.6


def test_vote_is_the_sum_less_the_devil(fit_split, target_split):
    model = quick(head="affine").fit(*fit_split)
    logs = np.stack([log_softmax(z) for z in target_split[0]])
    z, z_0 = model.heads_.norm_logits(logs), model.heads_.devil_logits(logs)
    expected = softmax((z.sum(axis=0) - 1.5 * z_0) / 5.5)
    np.testing.assert_allclose(model.vote(target_split[0], 1.5), expected, atol=1e-12)
    fixed = quick(head="affine", vote="published", devil_weight=1.5).fit(*fit_split)
    np.testing.assert_allclose(fixed.vote(target_split[0], 1.5), expected, atol=1e-12)
    np.testing.assert_allclose(fixed.predict_proba(target_split[0]), expected, atol=1e-12)


def test_without_the_devil_in_the_vote(fit_split):
    for vote in ("learned", "published"):
        assert quick(devil_weight=0, vote=vote, head="bias").fit(*fit_split).devil_weight_ == 0


def test_controls_stand_side_by_side(fit_split, target_split):
    members, y = target_split
    model = quick(head="affine", discussion_weight=1.0, controls=True).fit(*fit_split)
    found = model.contestants(members)
    assert list(found) == [SOFT, LOG, PLAIN, NO_DEVIL, NORM, FULL]
    np.testing.assert_array_equal(found[SOFT], ensemble.soft_vote(members))
    np.testing.assert_array_equal(found[LOG], ensemble.log_pool(members))
    np.testing.assert_array_equal(found[FULL], model.predict_proba(members))
    for control in model.controls_.values():
        assert control.devil_weight == 0
        np.testing.assert_array_equal(control.coef, 0)
    report = model.compare(members, y)
    assert report.baseline.name == SOFT
    assert [m.name for m in report.models] == list(found)
    share = compare(found[NO_DEVIL].argmax(axis=1), found[FULL].argmax(axis=1), y)
    assert model.devil_share(members, y) == share
    # Plain fine-tuning is the discussion without the devil, without its ring.
    plain = quick(head="affine", discussion_weight=0.0, controls=True).fit(*fit_split)
    both = plain.contestants(members)
    np.testing.assert_array_equal(both[PLAIN], both[NO_DEVIL])
    np.testing.assert_array_equal(both[PLAIN], found[PLAIN])


def test_sampled_negatives_are_drawn_by_the_seed(fit_split, target_split):
    a, b, c = (
        quick(head="bias", negatives="sampled", seed=seed).fit(*fit_split).heads_.coef
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_saved_and_loaded_without_torch(fit_split, target_split, tmp_path):
    model = quick(head="affine", controls=True, vote="published").fit(*fit_split)
    ensemble.save_model(model, tmp_path / "devil.json")
    loaded = ensemble.load_model(tmp_path / "devil.json")
    assert loaded.get_params() == model.get_params()
    for name, probs in model.contestants(target_split[0]).items():
        np.testing.assert_array_equal(loaded.contestants(target_split[0])[name], probs)
    np.save(tmp_path / "x.npy", np.stack(target_split[0]))
    code = (
        "import sys, numpy as np, ensemble\n"
        f"x = list(np.load({str(tmp_path / 'x.npy')!r}))\n"
        f"ensemble.load_model({str(tmp_path / 'devil.json')!r}).predict_proba(x)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_in_torch_out(fit_split, target_split):
    model = quick(head="bias").fit(*fit_split)
    probs = model.predict_proba([torch.asarray(z) for z in target_split[0]])
    assert isinstance(probs, torch.Tensor)
    np.testing.assert_allclose(probs.numpy(), model.predict_proba(target_split[0]), atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees(fit_split, target_split):
    a, b = (quick(head="affine", device=d).fit(*fit_split) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(
        a.predict_proba(target_split[0]), b.predict_proba(target_split[0]), atol=1e-3
    )


def test_adam_is_that_of_torch():
    target = torch.tensor([1.0, -2.0, 3.0])
    ours, theirs = (torch.zeros(3, requires_grad=True) for _ in range(2))
    adam, reference = Adam([ours], 0.1), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(20):
        adam.step(torch.autograd.grad((ours - target).square().sum(), [ours]))
        reference.zero_grad()
        (theirs - target).square().sum().backward()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_set_params_and_the_method_vote():
    model = ensemble.DevilsAdvocate().set_params(vote="published", epochs=3)
    assert model.get_params()["vote"] == "published"
    assert callable(model.vote)
    assert "vote='published'" in repr(model)


def test_not_fitted(target_split):
    with pytest.raises(NotFittedError):
        ensemble.DevilsAdvocate().vote(target_split[0])


def test_no_share_without_controls(fit_split):
    model = quick(head="bias", epochs=1).fit(*fit_split)
    with pytest.raises(ValueError) as error:
        model.devil_share(*fit_split)
    message = (
        "`controls` must be True when the devil's share is wanted, got False; fit again with it"
    )
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"head": "linear"},
            '`head` must be one of "auto", "bias", "scale-bias", "affine", got \'linear\'',
        ),
        ({"vote": "soft"}, '`vote` must be one of "learned", "published", got \'soft\''),
        (
            {"negatives": "hard"},
            '`negatives` must be one of "sampled", "expected", got \'hard\'',
        ),
        ({"discussion_weight": -1}, "`discussion_weight` must be in [0, inf), got -1"),
        (
            {"devil_weight": -1, "vote": "published"},
            "`devil_weight` must be in [0, inf), got -1",
        ),
        (
            {"devil_weight": 1.0},
            '`devil_weight` must be None or 0 where vote="learned", got 1.0; '
            'take vote="published" to give a weight',
        ),
        ({"epochs": -1}, "`epochs` must be an integer >= 0, got -1"),
        ({"patience": 0}, "`patience` must be an integer >= 1, got 0"),
        ({"decay": -1}, "`decay` must be in [0, inf), got -1"),
        ({"seeds": 0}, "`seeds` must be an integer >= 1, got 0"),
        ({"n_folds": 1}, "`n_folds` must be an integer >= 2, got 1"),
        ({"seed": -1}, "`seed` must be an integer >= 0, got -1"),
        (
            {"device": "tpu"},
            "`device` must be one of \"cpu\", \"cuda\", got 'tpu'; did you mean 'cpu'?",
        ),
    ],
)
def test_bad_parameters(options, message, fit_split):
    with pytest.raises(ValueError) as error:
        ensemble.DevilsAdvocate(**options).fit(*fit_split)
    assert str(error.value) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda(fit_split):
    with pytest.raises(ValueError) as error:
        ensemble.DevilsAdvocate(device="cuda").fit(*fit_split)
    assert str(error.value) == (
        "`device` must be available, got cuda; no CUDA device was found; use cpu"
    )
