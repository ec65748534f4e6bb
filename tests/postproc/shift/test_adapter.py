"""Adaptation to label shift as an estimator: against the functions that it is made of."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from postproc import (
    CAN,
    LabelShiftAdapter,
    ResidualMatrixScaling,
    bbse_prior,
    em_prior,
    joint_normalization,
    map_prior,
    no_shift_test,
    reweight,
    softmax,
)
from postproc.shift.adapter import METHODS


@pytest.fixture(scope="module")
def task():
    """Scores and labels of the fit split, and scores of a shifted target."""
    found = []
    for seed, prior in ((0, [0.3, 0.3, 0.4]), (1, [0.7, 0.2, 0.1])):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, 400, p=prior)
        found += [2.0 * (rng.normal(size=(400, 3)) + 1.3 * np.eye(3)[y]), y]
    return found[:3]


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_against_the_functions(task, method, soft):
    fit, y, target = task
    scaling = ResidualMatrixScaling().fit(fit, y)
    held_out, probs = np.exp(scaling.out_of_fold_), scaling.predict_proba(target)
    source = held_out.mean(axis=0)
    if method == "bbse":
        prior = bbse_prior(probs, held_out, y, soft=soft)
    elif method == "em":
        prior = em_prior(probs, source)
    else:
        prior = map_prior(probs, source, fit_probs=held_out)
    if method == "can":
        can = CAN(prior=prior.prior)
        with pytest.warns(UserWarning, match="lies far from the prior"):
            expected = can.fit(scaling.predict_proba(fit)).predict_proba(probs)
    elif method == "sinkhorn":
        expected = joint_normalization(probs, prior.prior, strength=0.7)
    else:
        expected = reweight(probs, source, prior.prior)

    adapter = LabelShiftAdapter(method=method, soft=soft, strength=0.7).fit(fit, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* lies far from the prior")
        found, adapted = adapter.adapt_to(target), adapter.predict_proba(target)
        classes = adapter.predict(target)
    assert found.test.p_value == pytest.approx(no_shift_test(probs, held_out).p_value)
    np.testing.assert_allclose(found.prior.prior, prior.prior, atol=1e-12)
    np.testing.assert_allclose(found.prior.std, prior.std, atol=1e-12)
    np.testing.assert_allclose(adapted, expected, atol=1e-9)
    np.testing.assert_array_equal(classes, expected.argmax(axis=1))


def test_without_calibration_and_in_other_libraries(task):
    fit, y, target = task
    adapter = LabelShiftAdapter(calibration="none").fit(torch.tensor(fit), torch.tensor(y))
    assert adapter.model_ is None
    np.testing.assert_allclose(adapter.moments_.mean, softmax(fit).mean(axis=0))
    found = adapter.predict_proba(torch.tensor(target, dtype=torch.float32))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), adapter.predict_proba(target), atol=1e-5)


def test_what_speaks_against_trusting_it_is_said(task):
    fit, y, target = task

    def doubts(rows, y=y, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = LabelShiftAdapter(calibration="none", **options).fit(fit, y, classes="abc")
            fitted.adapt_to(rows)
        return " ".join(str(warning.message) for warning in caught)

    assert doubts(target) == ""
    same = doubts(fit[::2])
    assert "shows no label shift (p = 0." in same
    assert "pseudo-rows of the source prior and only 200 rows of the target, so it is" in same
    for method in ("em", "bbse"):
        one = doubts(target[:1], method=method)
        assert f"{method} estimates 3 class frequencies from 1 row without regularization" in one
        assert "which is unreliable; use map" in one
    assert "3 class frequencies from 29 rows" in doubts(target[:29], method="em")
    assert "class frequencies from" not in doubts(target[:30], method="em")
    unseen = doubts(target, y=np.minimum(y, 1))
    assert "no row of the fit split has the label c, so the estimated share of this class" in unseen


def test_one_row_gives_a_prior_that_claims_nothing(task):
    fit, y, target = task
    adapter = LabelShiftAdapter(method="em").fit(fit, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = adapter.adapt_to(target[:1])
    assert found.prior.prior.max() > 0.99
    assert 0.15 < found.prior.std.min() <= found.prior.std.max() < 0.5


def test_manners_of_scikit_learn(task):
    fit, y, target = task
    adapter = LabelShiftAdapter(method="bbse", soft=False, random_state=3)
    assert clone(adapter).get_params() == adapter.get_params()
    with pytest.raises(NotFittedError):
        adapter.adapt_to(target)
    assert adapter.fit(fit, y) is adapter


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "saerens"}, '`method` must be one of "em", "map", "bbse"'),
        ({"calibration": "platt"}, '`calibration` must be one of "temperature"'),
        ({"soft": "hard"}, "`soft` must be True or False, got 'hard'"),
        ({"strength": 1.5}, "`strength` must be in [0, 1], got 1.5"),
        ({"random_state": -1}, "`random_state` must be an integer >= 0, got -1"),
        ({"kind": "odds"}, "`kind` must be "),
    ],
)
def test_bad_options(task, options, message):
    with pytest.raises((TypeError, ValueError)) as error:
        LabelShiftAdapter(**options).fit(*task[:2])
    assert str(error.value).startswith(message)


def test_bad_scores(task):
    fit, y, target = task
    with pytest.raises(ValueError, match="`scores` must be an array of 2 rows or more"):
        LabelShiftAdapter().fit(fit[:1], y[:1])
    with pytest.raises(ValueError, match="`y` must be as long as the predictions"):
        LabelShiftAdapter().fit(fit, y[1:])
    adapter = LabelShiftAdapter(calibration="temperature").fit(fit, y)
    for scores, message in (
        (target[:, :2], "`scores` must be an array of 3 columns like those fitted, got 2 columns"),
        (target[:0], "`scores` must be an array of one row or more, got no row"),
    ):
        with pytest.raises(ValueError) as error:
            adapter.predict_proba(scores)
        assert str(error.value) == message
