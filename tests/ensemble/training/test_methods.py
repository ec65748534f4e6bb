"""Each training method alone against its equation, in NumPy or by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ensemble.training import (
    Adversarial,
    ChildTuning,
    Contrastive,
    LabelDenoising,
    TrainingOptions,
    VirtualAugmentation,
)
from ensemble.training.adversarial import project, shifted, unit
from ensemble.training.child_tuning import driven_child, driven_masks, free_mask
from ensemble.training.contrastive import contrastive_loss
from ensemble.training.flooding import flood, found_levels, turning_point
from ensemble.training.steps import Stepper

RNG = np.random.default_rng(0)
A = torch.as_tensor(RNG.standard_normal((3, 3)))
A = A @ A.T + torch.eye(3, dtype=A.dtype)
W = torch.as_tensor([1.0, -2.0, 0.5], dtype=A.dtype)


def quadratic():
    """w·Aw/2, whose gradient is Aw, and its parameter."""
    w = nn.Parameter(W.clone())
    return w, lambda: w @ A @ w / 2


@pytest.mark.parametrize(("loss", "sign"), [(0.5, 1), (0.31, 1), (0.29, -1), (0.0, -1)])
def test_flooding_turns_at_the_level(loss, sign):
    losses = torch.tensor([loss, 2.0], requires_grad=True)
    flooded = flood(losses, torch.tensor([0.3, 0.3]))
    assert flooded[0].item() == pytest.approx(abs(loss - 0.3) + 0.3)
    flooded.sum().backward()
    assert losses.grad.tolist() == [sign, 1]


def test_levels_are_found_where_accordance_is_gone_and_stay():
    first, second = [0.1, 0.2, 0.3, -0.1], [0.01, 0.0, -0.2, -0.1]
    losses = [0.7, 0.6, 0.5, 0.4]
    assert found_levels([0.0] * 4, losses, [first]) == [0.0] * 4  # nothing was positive before
    levels = found_levels([0.0] * 4, losses, [first, second])
    assert levels == [0.0, 0.6, 0.5, 0.0]
    assert found_levels(levels, [0.3] * 4, [first, second, second]) == levels


def test_accordance_turns_where_it_was_positive_before():
    assert turning_point([-0.1, 0.2, 0.0, 0.1, -0.3]) == 2
    assert turning_point([-0.1, -0.2]) is turning_point([0.1, 0.2]) is turning_point([]) is None


def test_fgm_by_hand():
    w, loss = quadratic()
    (found,) = Adversarial("w", "fgm", radius=0.7).gradients(loss, [w], [w])
    g = A @ W
    torch.testing.assert_close(found, g + A @ (W + 0.7 * g / g.norm()))
    assert torch.equal(w, W)


@pytest.mark.parametrize("radius", [0.2, 0.5, 9.0])
def test_pgd_by_hand(radius):
    w, loss = quadratic()
    (found,) = Adversarial("w", "pgd", radius, 0.3, 3).gradients(loss, [w], [w])
    delta, last = np.zeros(3), (A @ W).numpy()
    for _ in range(3):
        delta = delta + 0.3 * last / np.linalg.norm(last)
        delta *= min(1, radius / np.linalg.norm(delta))
        last = A.numpy() @ (W.numpy() + delta)
    np.testing.assert_allclose(found, A.numpy() @ W.numpy() + last, rtol=1e-12)
    assert torch.equal(w, W)


@pytest.mark.parametrize("magnitude", [None, 0.0, 0.4, 30.0])
@pytest.mark.parametrize("radius", [0.2, 0.5, 9.0])
def test_freelb_by_hand(radius, magnitude):
    w, loss = quadratic()
    torch.manual_seed(3)
    option = Adversarial("w", "freelb", radius, 0.3, 4, magnitude)
    (found,) = option.gradients(loss, [w], [w])
    torch.manual_seed(3)
    first = radius if magnitude is None else magnitude
    delta = first / np.sqrt(3) * (2 * torch.rand_like(W) - 1).numpy()
    total = np.zeros(3)
    for _ in range(4):
        delta *= min(1, radius / max(np.linalg.norm(delta), 1e-300))
        g = A.numpy() @ (W.numpy() + delta)
        total += g / 4
        delta = delta + 0.3 * g / np.linalg.norm(g)
    np.testing.assert_allclose(found, total, rtol=1e-12)
    assert torch.equal(w, W)


def test_freelb_with_one_step_of_length_zero_is_plain_training():
    w, loss = quadratic()
    before = torch.get_rng_state()
    (found,) = Adversarial("w", "freelb", 0.7, 0.0, 1).gradients(loss, [w], [w])
    assert torch.equal(found, A @ W)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_first_point_of_freelb_has_a_magnitude_of_its_own():
    w = nn.Parameter(torch.zeros(10_000, dtype=torch.double))
    torch.manual_seed(0)
    seen = []
    Adversarial("w", "freelb", 2.0, 0.0, 1, magnitude=1.5).gradients(
        lambda: seen.append(w.detach().clone()) or w.sum(), [w], [w]
    )
    assert seen[0].abs().max() <= 0.015
    assert seen[0].norm().item() == pytest.approx(1.5 / np.sqrt(3), rel=0.02)  # uniform


def test_units_and_projections_of_zero():
    zero = torch.zeros(2)
    assert torch.equal(unit(zero, zero), zero)
    assert torch.equal(unit(None, zero), zero)
    assert torch.equal(project(zero, 0.0), zero)
    assert project(torch.tensor([3.0, 4.0]), 1.0).tolist() == pytest.approx([0.6, 0.8])


def test_parameters_come_back_after_an_error():
    w, _ = quadratic()
    with pytest.raises(RuntimeError), shifted([w], [torch.ones(3, dtype=w.dtype) / 3]):
        raise RuntimeError
    assert torch.equal(w, W)


def test_only_named_parameters_are_perturbed():
    module = nn.ModuleDict({"embedding": nn.Embedding(4, 2), "out": nn.Linear(2, 3)})
    assert Adversarial("embedding*").perturbed(module)[0] is module["embedding"].weight
    with pytest.raises(ValueError, match=r"`parameters` must be a name or pattern of embedding\."):
        Adversarial("words").perturbed(module)


def test_free_child_keeps_the_mean():
    torch.manual_seed(0)
    g = torch.ones(200_000)
    (kept, none) = free_mask([g, None], 0.3)
    assert none is None
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.3])
    assert abs((kept > 0).double().mean() - 0.3) < 3 * np.sqrt(0.3 * 0.7 / 200_000)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1.0])
def test_driven_child_keeps_exactly_its_share(share):
    fisher = [torch.as_tensor(RNG.random((4, 7))), torch.zeros(12), torch.full((60,), 0.5)]
    masks = driven_masks(fisher, share)
    kept = torch.cat([m.flatten() for m in masks])
    values = torch.cat([f.flatten() for f in fisher])
    assert kept.sum() == round(share * 100)
    assert not (~kept).any() or values[kept].min() >= values[~kept].max()
    assert [m.shape for m in masks] == [f.shape for f in fisher]


def test_driven_child_by_hand():
    """Two modules, each with a share of its own, by the squared gradients of three batches."""
    modules = [nn.Linear(3, 1, bias=False), nn.Linear(3, 1, bias=False)]
    batches = [torch.tensor(x) for x in ([3.0, 0.0, 1.0], [0.0, -4.0, 1.0], [3.0, 1.0, 1.0])]
    losses = [
        lambda x=x: (modules[0](x) + 100 * modules[1](x.flip(0))).sum() for x in batches
    ]  # Fisher: 18, 17, 3
    masks = driven_child(losses, modules, 0.34)
    assert masks[0].tolist() == [[True, False, False]]
    assert masks[1].tolist() == [[False, False, True]]


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_contrastive_by_hand(temperature):
    h, plus = RNG.standard_normal((2, 5, 4))
    total = 0.0
    for i in range(5):
        cosines = [h[i] @ p / np.linalg.norm(h[i]) / np.linalg.norm(p) for p in plus]
        terms = np.exp(np.array(cosines) / temperature)
        total -= np.log(terms[i] / terms.sum()) / 5
    found = contrastive_loss(torch.as_tensor(h), torch.as_tensor(plus), temperature)
    assert found.item() == pytest.approx(total)


def test_contrastive_term_needs_dropout_to_differ():
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)).train()
    option = Contrastive(lambda module, x: module(x), weight=2.0)
    torch.manual_seed(0)
    x = torch.randn(6, 4)
    term = option.term(module, x, x)
    assert term.item() > 2 * option.term(module.eval(), x, x).item() > 0


def stepped(batches, accumulate, child=None):
    torch.manual_seed(0)
    module = nn.Linear(4, 3).double()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    options = TrainingOptions(accumulate=accumulate, child_tuning=child)
    stepper = Stepper([module], [optimizer], options)
    for x, y in batches:
        stepper.add(lambda x=x, y=y: functional.cross_entropy(module(x), y), len(y))
    stepper.finish()
    return module.weight.detach()


def test_accumulation_is_one_large_batch():
    x, y = torch.as_tensor(RNG.standard_normal((23, 4))), torch.as_tensor(RNG.integers(3, size=23))
    uneven = list(zip(x.split([5, 5, 2, 8, 3]), y.split([5, 5, 2, 8, 3]), strict=True))
    whole = list(zip(x.split([12, 11]), y.split([12, 11]), strict=True))
    torch.testing.assert_close(stepped(uneven, 3), stepped(whole, 1), atol=1e-12, rtol=0)
    assert not torch.allclose(stepped(uneven, 1), stepped(whole, 1), atol=1e-4)


def test_a_free_child_of_all_weights_is_plain_training():
    x, y = torch.as_tensor(RNG.standard_normal((9, 4))), torch.as_tensor(RNG.integers(3, size=9))
    assert torch.equal(stepped([(x, y)], 1, ChildTuning(share=1.0)), stepped([(x, y)], 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adversarial("w", "bim"), '`method` must be one of "fgm", "pgd", "freelb", got'),
        (lambda: Adversarial("w", radius=-1), r"`radius` must be in \[0, inf\), got -1"),
        (lambda: Adversarial("w", n_steps=0), "`n_steps` must be an integer >= 1, got 0"),
        (lambda: Adversarial("w", magnitude=-1), r"`magnitude` must be in \[0, inf\), got -1"),
        (lambda: ChildTuning(share=0), r"`share` must be in \(0, 1\], got 0"),
        (lambda: ChildTuning("F"), '`method` must be one of "free", "driven"'),
        (lambda: Contrastive(len, temperature=0), "`temperature` must be in"),
        (lambda: TrainingOptions(flooding=-0.1), r"`flooding` must be in \[0, inf\), got -0.1"),
        (lambda: TrainingOptions(flooding="x"), """`flooding` must be one of "auto", got 'x'"""),
        (lambda: TrainingOptions(accumulate=0), "`accumulate` must be an integer >= 1, got 0"),
        (
            lambda: TrainingOptions(accumulate=2, flooding=0.1),
            "`accumulate` must be 1 with flooding, got 2; use larger batches",
        ),
        (
            lambda: TrainingOptions(accumulate=2, flooding="auto"),
            "`accumulate` must be 1 with flooding, got 2; use larger batches",
        ),
        (
            lambda: TrainingOptions(accumulate=2, contrastive=Contrastive(len)),
            "`accumulate` must be 1 with contrastive, got 2; use larger batches",
        ),
        (
            lambda: TrainingOptions(accumulate=2, label_denoising=LabelDenoising(len)),
            "`accumulate` must be 1 with label_denoising, got 2; use larger batches",
        ),
        (lambda: LabelDenoising(len, weight=-1), r"`weight` must be in \[0, inf\), got -1"),
        (lambda: VirtualAugmentation(len, "e", len, noise=-1), "`noise` must be in"),
        (lambda: VirtualAugmentation(len, "e", len, top=0), "`top` must be an integer >= 1"),
        (lambda: VirtualAugmentation(len, "e", len, weight=-1), "`weight` must be in"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
