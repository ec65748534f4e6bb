"""Gradient accordance, on linear models whose gradients are known, and Flooding-X by it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ensemble.training import ChildTuning, DevilsAdvocateTrainer, TrainingOptions
from ensemble.training.accordance import GradientAccordance
from ensemble.training.gradients import gradients_of, trained_parameters

RNG = np.random.default_rng(0)
ROOT_HALF = 0.5**0.5


def gradient_accordance(losses, modules):
    """Of the gradients of some losses, all at the same weights."""
    found = GradientAccordance(modules)
    for loss in losses:
        found.add(gradients_of(loss, trained_parameters(modules)))
    return found.take()


def linear(*inputs):
    """A module whose loss has the gradient x for each x of the inputs, and these losses."""
    module = nn.Linear(len(inputs[0]), 1, bias=False)
    return module, [lambda x=x: module(torch.tensor(x, dtype=torch.float32)) for x in inputs]


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        (([1, 0], [3, 0]), 1),
        (([1, 0], [0, 7]), 0),
        (([1, 0], [-2, 0]), -1),
        (([1, 0], [0, 1], [5, 5]), (0 + 2 * ROOT_HALF) / 3),
        (([1, 0], [0, 1], [-1, 0], [0, -1]), -2 / 6),
        (([1, 0], [0, 0]), 0),
    ],
)
def test_by_hand(gradients, expected):
    module, losses = linear(*gradients)
    (found,) = gradient_accordance(losses, [module])
    assert found == pytest.approx(expected, abs=1e-7)


def test_each_module_has_its_own():
    first, losses = linear([1, 0], [2, 0])
    second, others = linear([1, 1], [-1, -1])
    both = [lambda a=a, b=b: torch.cat([a(), b()]) for a, b in zip(losses, others, strict=True)]
    assert gradient_accordance(both, [first, second]) == pytest.approx([1, -1])


def test_only_trained_weights_count():
    module, losses = linear([1, 1], [1, -1])
    assert gradient_accordance(losses, [module])[0] == 0
    frozen = nn.Linear(2, 1).requires_grad_(False)
    assert gradient_accordance(losses, [frozen, module]) == [0, 0]


def test_taking_starts_anew():
    module, losses = linear([1, 0], [1, 0], [0, 1], [0, -1])
    found = GradientAccordance([module])
    for loss, expected in zip(losses, (None, 1, None, -1), strict=True):
        found.add(gradients_of(loss, trained_parameters([module])))
        assert expected is None or found.take() == [expected]


def test_against_all_pairs():
    """Several parameters, one of which some losses do not depend on."""
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    xs = [torch.as_tensor(RNG.standard_normal((6, 5))) for _ in range(7)]
    losses = [
        lambda x=x, i=i: (module(x) if i % 2 else module[0](x)).logsumexp(dim=1).mean()
        for i, x in enumerate(xs)
    ]
    flat = []
    for loss in losses:
        module.zero_grad()
        loss().backward()
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
        flat.append(np.concatenate([g.numpy().ravel() for g in grads]))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(flat, 2)]
    assert gradient_accordance(losses, [module])[0] == pytest.approx(np.mean(cosines), rel=1e-12)


def mean_model():
    """One logit against 0, which starts at 0: the share of each class is all it can learn."""
    module = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    return module


def fitted(batches, epochs, **options):
    return DevilsAdvocateTrainer(
        [mean_model()],
        None,
        pretrain_epochs=epochs,
        discussion_epochs=0,
        patience=99,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
        options=TrainingOptions(**options),
    ).fit(batches, batches)


def of_classes(*classes):
    return [(torch.ones(len(c), 1), torch.tensor(c)) for c in classes]


def test_flooding_begins_where_batches_pull_apart():
    """One batch wants ever more of class 0; the other has enough of it after a few steps."""
    batches, n_epochs = of_classes([0] * 4, [0, 0, 0, 1]), 6
    model = fitted(batches, n_epochs, flooding="auto")
    signs = [np.ones(4), np.array([1, 1, 1, -1])]
    w, level, accordance = 0.0, 0.0, []  # w: half the difference of the two logits
    for epoch in range(n_epochs):
        seen, slopes = [], []
        for y in signs:
            seen.append(np.log1p(np.exp(-2 * y * w)).mean())
            slopes.append((-1 if seen[-1] < level else 1) * (y / (1 + np.exp(2 * y * w))).mean())
            w += 0.5 * slopes[-1]
        accordance.append([pytest.approx(np.sign(slopes[0] * slopes[1]))])
        level = level or (np.mean(seen) if slopes[0] * slopes[1] < 0 else 0.0)
        after = [np.log1p(np.exp(-2 * y * w)).mean() for y in signs]
        assert model.history_["pretraining"][epoch + 1][0] == pytest.approx(np.mean(after))
    assert model.accordance_ == {"pretraining": accordance}
    assert accordance[0] == [1]
    assert [-1] in accordance[:-1]
    assert model.history_ != fitted(batches, n_epochs).history_


def test_discord_from_the_start_is_no_loss_of_accordance():
    batches = of_classes([0, 0], [1, 1])
    model = fitted(batches, 3, flooding="auto")
    assert model.accordance_ == {"pretraining": [[pytest.approx(-1)]] * 3}
    assert model.history_ == fitted(batches, 3).history_


def test_without_discord_it_is_plain_training():
    batches = of_classes([0, 0], [0, 0])
    model = fitted(batches, 5, flooding="auto")
    assert model.history_ == fitted(batches, 5).history_
    assert model.accordance_["pretraining"] == [[pytest.approx(1)]] * 5
    assert fitted(batches, 5).accordance_ == {}


def test_a_driven_child_is_judged_by_its_weights():
    """The second weight sees the sign of the class, but is not trained."""
    batches = [
        (torch.tensor([[2.0, 1.0]] * 2), torch.tensor([0, 0])),
        (torch.tensor([[2.0, -1.0]] * 2), torch.tensor([0, 0])),
    ]

    def made(**options):
        module = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            module.weight.zero_()
        model = DevilsAdvocateTrainer(
            [module],
            None,
            pretrain_epochs=1,
            discussion_epochs=0,
            options=TrainingOptions(flooding="auto", **options),
        )
        return model.fit(batches, batches).accordance_["pretraining"][0][0]

    assert made() == pytest.approx((4 - 1) / 5, abs=1e-2)
    assert made(child_tuning=ChildTuning("driven", 0.5)) == pytest.approx(1)


@pytest.mark.parametrize("killed_after", [2, 9])
def test_resumes_bit_for_bit_before_and_after_a_level_is_found(killed_after, tmp_path):
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.standard_normal((40, 9)), dtype=torch.float32)
    y = ((x[:, 0] > 0) ^ torch.as_tensor(rng.random(40) < 0.2)).long()
    data = DataLoader(TensorDataset(x, y), 8, shuffle=True)

    def run(checkpoint=None, progress=None):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Dropout(0.1), nn.Linear(9, 2))
        model = DevilsAdvocateTrainer(
            [module, nn.Linear(9, 2)],
            None,
            pretrain_epochs=12,
            discussion_epochs=2,
            patience=99,
            optimizer=lambda p: torch.optim.Adam(p, lr=0.01),
            checkpoint=checkpoint,
            progress=progress,
            options=TrainingOptions(flooding="auto"),
        )
        return model.fit(data, data)

    def kill(phase, epoch, losses):
        if epoch == killed_after:
            raise InterruptedError

    whole = run()
    curves = np.array(whole.accordance_["pretraining"])
    assert len(whole.accordance_["discussion"]) == 2
    assert (curves[0] > 0).all()
    assert (curves.min(axis=0) <= 0).all()
    with pytest.raises(InterruptedError):
        run(tmp_path, kill)
    again = run(tmp_path)
    assert again.history_ == whole.history_
    assert again.accordance_ == whole.accordance_
    pairs = zip(again.norm_models, whole.norm_models, strict=True)
    for one, other in pairs:
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_one_batch_has_no_accordance():
    with pytest.raises(ValueError) as error:
        fitted(of_classes([0, 1]), 1, flooding="auto")
    assert str(error.value) == '`train` must be two batches or more with flooding="auto", got 1'
