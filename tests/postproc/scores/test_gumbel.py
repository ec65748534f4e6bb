"""Samples by Gumbel noise: their law, and the loop of the equation."""

import math

import numpy as np
import pytest
import torch

from postproc import gumbel_softmax, softmax
from postproc.scores.gumbel import gumbel_noise


@pytest.mark.parametrize("temperature", [0.01, 1.0, 10.0])
def test_the_largest_entry_is_each_class_by_its_probability(temperature):
    pi, n = np.array([0.5, 0.3, 0.15, 0.04, 0.01]), 200_000
    drawn = gumbel_softmax(np.tile(pi, (n, 1)), temperature=temperature)
    share = np.bincount(drawn.argmax(axis=1), minlength=5) / n
    assert (np.abs(share - pi) < 3 * np.sqrt(pi * (1 - pi) / n)).all()


def test_against_the_loop_of_the_equation():
    logits = np.random.default_rng(0).normal(size=(6, 3)) - 1
    noise = gumbel_noise(np.random.default_rng(3), (6, 3))
    found = gumbel_softmax(logits, temperature=0.7, seed=3)
    for row, g, sample in zip(softmax(logits), noise, found, strict=True):
        raised = [math.exp((math.log(p) + x) / 0.7) for p, x in zip(row, g, strict=True)]
        np.testing.assert_allclose(sample, np.array(raised) / sum(raised), rtol=1e-12)


def test_noise_is_minus_the_log_of_an_exponential():
    u = np.exp(-np.exp(-gumbel_noise(np.random.default_rng(0), 100_000)))
    assert abs(u.mean() - 0.5) < 3 / math.sqrt(12 * len(u))
    assert abs(np.mean(u**2) - 1 / 3) < 0.003


def test_a_tensor_stays_one_and_a_class_of_probability_zero_is_never_drawn():
    probs = torch.tensor([[0.5, 0.5, 0.0]] * 1000, dtype=torch.float64)
    found = gumbel_softmax(probs, temperature=0.5)
    assert isinstance(found, torch.Tensor)
    assert not (found.argmax(dim=1) == 2).any()
    expected = gumbel_softmax(probs.numpy(), temperature=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match=r"`temperature` must be in \(0, inf\), got 0.0"):
        gumbel_softmax([[0.5, 0.5]], temperature=0.0)
