"""Gumbel gates: their law, their gradient by torch, and what they choose against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

import ensemble
from ensemble.learned.gumbel import gates
from postproc.scores.gumbel import gumbel_noise
from tests.ensemble.learned.test_greedy import weak_members


def test_open_gates_follow_the_law_of_draws_without_replacement():
    pi, n = np.array([0.6, 0.3, 0.1]), 100_000
    noisy = np.log(pi) + gumbel_noise(np.random.default_rng(1), (n, 3))
    opened, _ = gates(noisy, 2, 1.0)
    assert (opened[:, 0] < opened[:, 1]).all()
    for a, b in combinations(range(3), 2):
        p = pi[a] * pi[b] / (1 - pi[a]) + pi[b] * pi[a] / (1 - pi[b])
        share = np.mean((opened == (a, b)).all(axis=1))
        assert abs(share - p) < 3 * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_relaxed_gates_and_their_gradient(temperature):
    rng = np.random.default_rng(0)
    noisy, slope = rng.standard_normal((1, 4)), rng.standard_normal(4)
    _, soft = gates(noisy, 2, temperature)
    theta = torch.tensor(noisy[0], requires_grad=True)
    relaxed = functional.softmax(theta / temperature, dim=0)
    np.testing.assert_allclose(soft[0], relaxed.detach(), rtol=1e-12)
    (relaxed @ torch.tensor(slope)).backward()
    by_hand = soft[0] * (slope - soft[0] @ slope) / temperature
    np.testing.assert_allclose(by_hand, theta.grad, rtol=1e-9)


@pytest.mark.parametrize("case", [(0, 400, 3, 8), (1, 150, 7, 9), (2, 60, 2, 10)])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_chooses_the_best_of_all_subsets(case, size):
    probs, y = weak_members(*case)

    def loss(chosen):
        mean = np.mean([probs[m] for m in chosen], axis=0).astype(float)
        return log_loss(y, mean / mean.sum(axis=1, keepdims=True), labels=range(case[2]))

    model = ensemble.GumbelSelection(size=size).fit(probs, y)
    least = min(map(loss, combinations(range(case[3]), size)))
    chosen = np.flatnonzero(model.member_weights_)
    assert len(chosen) == size
    assert model.log_loss_ == pytest.approx(loss(chosen), abs=1e-6)
    assert model.log_loss_ == pytest.approx(least, abs=1e-6)
    pooled = model.predict_proba(probs)
    np.testing.assert_allclose(pooled, np.mean([probs[m] for m in chosen], axis=0), atol=1e-6)


def test_a_few_good_members_are_found_among_many():
    """Gates learn: one subset in 161,700 is right, and 1,600 at most are drawn."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=300)
    noise = rng.dirichlet(np.ones(4), (100, 300))
    good = [17, 42, 80]
    noise[good] = 0.5 * noise[good] + 0.5 * np.eye(4)[y]
    model = ensemble.GumbelSelection(size=3).fit(list(noise), y)
    assert np.flatnonzero(model.member_weights_).tolist() == good
    assert model.n_tried_ <= 1600


def test_seed_size_and_order():
    probs, y = weak_members(3, 200, 3, 12)
    options = {"size": 4, "n_steps": 20, "seed": 3}
    first, second = (ensemble.GumbelSelection(**options).fit(probs, y) for _ in range(2))
    assert (first.log_loss_, first.n_tried_) == (second.log_loss_, second.n_tried_)
    everyone = ensemble.GumbelSelection(size=99).fit(probs, y)
    np.testing.assert_allclose(everyone.member_weights_, 1 / 12)
    order = np.random.default_rng(0).permutation(200)
    shuffled = ensemble.GumbelSelection(**options).fit([p[order] for p in probs], y[order])
    np.testing.assert_array_equal(shuffled.member_weights_, first.member_weights_)


@pytest.mark.parametrize("options", [{"size": 0}, {"n_steps": 0}])
def test_errors(options):
    probs, y = weak_members(0, 20, 3, 2)
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` must be an integer >= 1, got 0"):
        ensemble.GumbelSelection(**options).fit(probs, y)
