"""Losses of the Devil's Advocate against values computed by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from ensemble.devil.losses import devil_loss, devil_vote, discussion_loss

ZERO = torch.tensor([0])


def test_devil_loss_of_two_classes_is_the_cross_entropy_with_the_other():
    z_0 = torch.tensor([[1.0, 3.0]])
    for negatives in ("sampled", "expected"):
        loss = devil_loss(z_0, ZERO, negatives=negatives)
        assert loss.item() == pytest.approx(log(1 + exp(-2)), abs=1e-6)


def test_devil_loss_of_three_classes():
    z_0 = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    top = log(exp(1) + exp(2) + 1)
    by_hand = ((top - 2) + (top - 0) + 2 * log(3)) / 2
    loss = devil_loss(z_0, torch.tensor([0, 2]), negatives="expected")
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_sampled_negatives_have_the_expected_loss_as_mean():
    z_0 = torch.tensor([[2.0, -1.0, 0.5, 0.0]], dtype=torch.float64)
    y = torch.tensor([1])
    draws = torch.Generator().manual_seed(0)
    many = 20_000
    sampled = devil_loss(z_0.expand(many, 4), y.expand(many), generator=draws)
    expected = devil_loss(z_0, y, negatives="expected")
    assert sampled.item() == pytest.approx(expected.item(), abs=0.05)


def test_sampled_negatives_never_hit_the_true_class():
    z_0 = torch.tensor([[-1e4, 0.0, 0.0]])  # the true class would cost 10,000 nats
    draws = torch.Generator().manual_seed(0)
    loss = devil_loss(z_0.expand(500, 3), ZERO.expand(500), generator=draws)
    assert loss.item() == pytest.approx(2 * log(2), abs=1e-4)


def test_discussion_of_one_model_is_its_cross_entropy():
    z = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    z_0 = torch.tensor([[0.0, log(3)]])  # probabilities 1/4 and 3/4
    loss = discussion_loss(z, z_0, ZERO, discussion_weight=7.0)
    assert loss.tolist() == pytest.approx([log(1 + exp(0.75 - 1.25))], abs=1e-6)
    alone = discussion_loss(z, None, ZERO)
    assert alone.tolist() == pytest.approx([log(1 + exp(-1))], abs=1e-6)


def test_discussion_of_two_models():
    z = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    z_0 = torch.tensor([[0.0, 0.0]])  # one half for both: the cross-entropy does not change
    mse = (1 + 4) / 2
    by_hand = [log(1 + exp(-1)) + 0.5 * mse, log(1 + exp(2)) + 0.5 * mse]
    loss = discussion_loss(z, z_0, ZERO, discussion_weight=0.5)
    assert loss.tolist() == pytest.approx(by_hand, abs=1e-6)


def test_discussion_of_three_models_goes_round_the_ring():
    z = torch.tensor([[[0.0, 0.0, 0.0]], [[3.0, 0.0, 0.0]], [[0.0, 0.0, 6.0]]])
    z_0 = torch.tensor([[0.0, 0.0, 0.0]])
    entropies = [log(3), log(exp(3) + 2) - 3, log(2 + exp(6))]
    ring = [9 / 3, (9 + 36) / 3, 36 / 3]  # 1 hears 2, 2 hears 3, 3 hears 1
    loss = discussion_loss(z, z_0, ZERO)
    by_hand = [a + b for a, b in zip(entropies, ring, strict=True)]
    assert loss.tolist() == pytest.approx(by_hand, abs=1e-5)


def test_no_gradient_reaches_the_devil_or_the_next_model():
    z = torch.randn(3, 4, 5, requires_grad=True)
    z_0 = torch.randn(4, 5, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3])
    discussion_loss(z, z_0, y)[1].backward()
    assert z_0.grad is None
    touched = z.grad.abs().sum(dim=(1, 2)) > 0
    assert touched.tolist() == [False, True, False]


def test_gradient_of_the_ring_is_that_of_the_distance():
    z = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 0])
    with_ring = torch.autograd.grad(discussion_loss(z, None, y)[0], z)[0]
    without = torch.autograd.grad(discussion_loss(z, None, y, discussion_weight=0)[0], z)[0]
    by_hand = 2 * (z[0] - z[1]).detach() / 12
    torch.testing.assert_close((with_ring - without)[0], by_hand)


def test_vote():
    z = torch.tensor([[[1.0, 0.0, 2.0]], [[0.0, 1.0, 0.0]]])
    z_0 = torch.tensor([[-4.0, 0.0, 2.0]])
    assert devil_vote(z, z_0).tolist() == [[5.0, 1.0, 0.0]]
    assert devil_vote(z, z_0, 0.5).tolist() == [[3.0, 1.0, 1.0]]
    assert devil_vote(z, z_0, 0).tolist() == [[1.0, 1.0, 2.0]]
    assert devil_vote(z, None).tolist() == [[1.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: devil_loss(torch.zeros(1, 3), ZERO, negatives="hard"),
            '`negatives` must be one of "sampled", "expected", got \'hard\'',
        ),
        (
            lambda: devil_loss(torch.zeros(1, 1), ZERO),
            "`z_0` must be logits of two classes or more, got 1",
        ),
        (
            lambda: discussion_loss(torch.zeros(1, 1, 2), None, ZERO, discussion_weight=-1),
            "`discussion_weight` must be in [0, inf), got -1",
        ),
        (
            lambda: devil_vote(torch.zeros(1, 1, 2), torch.zeros(1, 2), -1),
            "`w` must be in [0, inf), got -1",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
