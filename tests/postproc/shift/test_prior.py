"""Class prior of the target, the test of "no shift", re-weighting and joint normalization."""

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from postproc import (
    bbse_prior,
    em_prior,
    joint_normalization,
    map_prior,
    no_shift_test,
    reweight,
    softmax,
)
from postproc.shift.evidence import PredictionMoments
from postproc.shift.prior import Likelihood, expectation_maximization

UNIFORM = np.full(3, 1 / 3)
TRUTH = np.array([0.6, 0.3, 0.1])


def gaussian_task(n, prior, seed, distance=1.5):
    rng = np.random.default_rng(seed)
    y = rng.choice(len(prior), n, p=prior)
    return distance * (rng.normal(size=(n, len(prior))) + distance * np.eye(len(prior))[y]), y


def posterior(likelihood, prior):
    return softmax(likelihood + np.log(prior))


def naive_em(probs, source, steps, strength):
    q, trace = source.copy(), []
    for _ in range(steps):
        new, loglik = strength * source, 0.0
        for row in probs:
            weight = [row[j] * q[j] / source[j] for j in range(len(q))]
            loglik += np.log(sum(weight))
            new = new + np.array(weight) / sum(weight)
        q = new / (len(probs) + strength)
        trace.append(loglik)
    return q, trace


@pytest.mark.parametrize("strength", [0.0, 12.0])
def test_em_against_a_naive_loop_with_monotone_likelihood(strength):
    source = np.array([0.5, 0.3, 0.2])
    probs = posterior(gaussian_task(60, [0.2, 0.2, 0.6], 4)[0], source)
    slow, trace = naive_em(probs, source, 100, strength)
    fast, n_iter, _ = expectation_maximization(
        Likelihood.of(probs / source), source, strength * source, max_iter=100, tol=0.0
    )
    assert n_iter == 100
    np.testing.assert_allclose(fast, slow, atol=1e-10)
    if not strength:
        assert (np.diff(trace) > -1e-9).all()


def test_em_recovers_the_prior_within_its_stated_spread():
    inside = []
    for seed in range(200):
        found = em_prior(posterior(gaussian_task(300, TRUTH, seed)[0], UNIFORM), UNIFORM)
        inside.append(np.abs(found.prior - TRUTH) < 1.96 * found.std)
        assert found.converged
        assert found.log_likelihood >= 0
    assert 0.92 < np.mean(inside) < 0.98


def test_an_estimate_that_is_held_back_lies_within_its_stated_spread_too():
    inside, strengths = [], []
    for seed in range(100):
        fit = posterior(gaussian_task(400, UNIFORM, 1000 + seed)[0], UNIFORM)
        truth = np.array([0.38, 0.33, 0.29])  # too small a shift for 100 rows to tell
        target = posterior(gaussian_task(100, truth, seed)[0], UNIFORM)
        found = map_prior(target, UNIFORM, fit_probs=fit)
        inside.append(np.abs(found.prior - truth) < 1.96 * found.std)
        strengths.append(found.strength)
    assert np.median(strengths) > 100
    assert np.mean(inside) > 0.92


def test_pseudo_rows_do_not_pass_for_certainty():
    probs = posterior(gaussian_task(200, UNIFORM, 3)[0], UNIFORM)
    free, held = (map_prior(probs, UNIFORM, strength=s).std for s in (0.0, 1e9))
    np.testing.assert_allclose(held, free, rtol=0.2)


def naive_spread(probs, source):
    """Spread of draws from the likelihood times Jeffreys' prior, weighed on a fine grid."""
    steps = np.linspace(0.0005, 0.9995, 1000)
    logs = [np.log(probs / source @ [1 - a, a]).sum() - 0.5 * np.log(a * (1 - a)) for a in steps]
    weight = np.exp(np.array(logs) - max(logs))
    mean = np.average(steps, weights=weight)
    return np.sqrt(np.average((steps - mean) ** 2, weights=weight))


@pytest.mark.parametrize("n_rows", [1, 2, 10, 1000])
@pytest.mark.parametrize("sure", [0.55, 0.6, 0.8, 0.999])
def test_standard_errors_at_the_edge_are_those_of_shares(n_rows, sure):
    # All rows speak for one class, so that the estimate is 1 and the curvature there says nothing.
    source, probs = np.array([0.5, 0.5]), np.tile([sure, 1 - sure], (n_rows, 1))
    found = em_prior(probs, source)
    np.testing.assert_allclose(found.prior, [1, 0], atol=0.01)
    spread = naive_spread(probs, source)
    assert spread / 1.5 < found.std[0] < 1.5 * spread
    assert found.std[0] == pytest.approx(found.std[1])
    assert found.std.max() < 0.5


@pytest.mark.parametrize("soft", [True, False])
def test_bbse_recovers_the_prior_within_its_stated_spread(soft):
    inside = []
    for seed in range(200):
        fit_x, fit_y = gaussian_task(500, UNIFORM, 1000 + seed)
        x, _ = gaussian_task(300, TRUTH, seed)
        fit = posterior(fit_x, UNIFORM)
        found = bbse_prior(posterior(x, UNIFORM), fit, fit_y, soft=soft)
        inside.append(np.abs(found.prior - TRUTH) < 1.96 * found.std)
    assert 0.9 < np.mean(inside) < 0.98


def test_bbse_is_the_best_fit_without_negative_shares():
    fit = posterior(gaussian_task(60, UNIFORM, 0, distance=0.7)[0], UNIFORM)
    y = np.arange(60) % 3
    target = posterior(gaussian_task(40, [0.9, 0.1, 0.0], 1, distance=2.0)[0], UNIFORM)
    confusion = np.stack([fit[y == label].mean(axis=0) for label in range(3)], axis=1)
    mean = target.mean(axis=0)
    plain = np.linalg.solve(confusion, mean)
    assert plain.min() < 0
    expected = lsq_linear(confusion, mean, bounds=(0, np.inf), tol=1e-14).x
    got = bbse_prior(target, fit, y).prior
    np.testing.assert_allclose(got, expected / expected.sum(), atol=1e-8)
    assert np.abs(got - np.maximum(plain, 0) / np.maximum(plain, 0).sum()).max() > 0.01


def test_map_lies_between_source_and_maximum_likelihood():
    probs = posterior(gaussian_task(300, [0.7, 0.2, 0.1], 0)[0], UNIFORM)
    first = [map_prior(probs, UNIFORM, strength=s).prior[0] for s in (0.0, 100.0, 1e9)]
    assert first[0] > first[1] > first[2]
    assert first[2] == pytest.approx(1 / 3, abs=1e-5)


def test_the_evidence_of_a_shift_chooses_the_strength():
    fit = posterior(gaussian_task(500, UNIFORM, 1)[0], UNIFORM)
    same, moved = (posterior(gaussian_task(500, q, 2)[0], UNIFORM) for q in (UNIFORM, TRUTH))
    calm = map_prior(same, UNIFORM, fit_probs=fit)
    sure = map_prior(moved, UNIFORM, fit_probs=fit)
    assert calm.strength > 10 * sure.strength
    assert np.abs(calm.prior - UNIFORM).sum() < 0.05
    assert np.abs(sure.prior - TRUTH).sum() < 0.15


@pytest.mark.parametrize("estimate", [em_prior, lambda p, s: map_prior(p, s, strength=9.0)])
def test_order_of_rows_and_classes_does_not_matter(estimate):
    source, order = np.array([0.5, 0.3, 0.2]), np.array([2, 0, 1])
    probs = posterior(gaussian_task(100, TRUTH, 0)[0], source)
    expected = estimate(probs, source).prior
    rows = np.random.default_rng(0).permutation(100)
    np.testing.assert_allclose(estimate(probs[rows], source).prior, expected, atol=1e-9)
    relabelled = estimate(probs[:, order], source[order]).prior
    np.testing.assert_allclose(relabelled, expected[order], atol=1e-9)


def test_the_test_holds_its_level_and_has_power():
    source, rejected = np.full(5, 0.2), 0
    for seed in range(200):
        fit = posterior(gaussian_task(300, source, 1000 + seed)[0], source)
        target = posterior(gaussian_task(400, source, seed)[0], source)
        rejected += no_shift_test(target, fit).p_value < 0.05
    assert rejected <= 18
    moved = posterior(gaussian_task(400, [0.4, 0.3, 0.1, 0.1, 0.1], 7)[0], source)
    assert no_shift_test(moved, fit).p_value < 1e-3


def test_one_row_and_equal_rows_show_no_shift():
    fit = posterior(gaussian_task(100, UNIFORM, 0)[0], UNIFORM)
    assert no_shift_test(fit[:1], fit).p_value == 1
    same = np.tile(UNIFORM, (50, 1))
    assert no_shift_test(same, same).p_value == 1
    np.testing.assert_allclose(em_prior(same, UNIFORM).prior, UNIFORM)
    assert PredictionMoments.of(same).n_rows == 50


def test_a_singular_confusion_matrix_is_an_error():
    probs = np.full((10, 2), 0.5)
    with pytest.raises(ValueError) as error:
        bbse_prior(probs, probs, np.arange(10) % 2)
    assert str(error.value) == (
        "`confusion matrix of fit_probs` must be of rank 2, the number of classes, got rank 1; "
        "a class has no label, or two classes are not told apart; use `map_prior`, which inverts "
        "no matrix"
    )


def test_no_convergence_is_said():
    probs = posterior(gaussian_task(100, [0.8, 0.1, 0.1], 0)[0], UNIFORM)
    with pytest.warns(UserWarning, match="the prior has not converged after 2 iterations; raise"):
        assert not em_prior(probs, UNIFORM, max_iter=2).converged
    with pytest.warns(UserWarning, match="joint normalization has not converged after 1 iter"):
        joint_normalization(probs, TRUTH, max_iter=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p: em_prior(p, [0.5, 0.5]),
            "`source_prior` must be a vector of 3 numbers, got 2",
        ),
        (
            lambda p: map_prior(p, UNIFORM),
            "`strength` must be given, or `fit_probs` to choose it by, got None",
        ),
        (
            lambda p: map_prior(p, UNIFORM, strength=-1.0),
            "`strength` must be in [0, inf), got -1.0",
        ),
        (
            lambda p: no_shift_test(p, [[0.5, 0.5]]),
            "`fit_probs` must be an array of 3 columns like `probs`, got 2 columns",
        ),
        (
            lambda p: em_prior(p[:0], UNIFORM),
            "`probs` must be an array of one row or more, got no row",
        ),
        (
            lambda p: joint_normalization(p, UNIFORM, strength=1.5),
            "`strength` must be in [0, 1], got 1.5",
        ),
    ],
)
def test_error_messages(call, message):
    with pytest.raises(ValueError) as error:
        call(np.tile([0.5, 0.25, 0.25], (4, 1)))
    assert str(error.value).startswith(message.split(" must be ")[0])
    if "source_prior" not in message:
        assert str(error.value) == message


def test_reweighting_is_bayes():
    source, target = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    x, _ = gaussian_task(50, target, 0)
    found = reweight(posterior(x, source), source, target)
    np.testing.assert_allclose(found, posterior(x, target), rtol=1e-9)
    np.testing.assert_array_equal(reweight(np.eye(3), source, [0.0, 0.5, 0.5])[0], [1, 0, 0])
    narrow = reweight(torch.full((2, 3), 1 / 3), source, target)
    assert narrow.dtype == torch.float32


def test_joint_normalization_meets_the_marginals():
    probs = posterior(gaussian_task(200, UNIFORM, 0)[0], UNIFORM)
    full = joint_normalization(probs, TRUTH)
    np.testing.assert_allclose(full.mean(axis=0), TRUTH, atol=1e-6)
    np.testing.assert_allclose(full.sum(axis=1), 1)
    np.testing.assert_allclose(joint_normalization(probs, TRUTH, strength=0.0), probs)
    half = joint_normalization(probs, TRUTH, strength=0.5).mean(axis=0)
    assert full.mean(axis=0)[0] > half[0] > probs.mean(axis=0)[0]
