"""Virtual data augmentation against its equations."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from ensemble.training import DevilsAdvocateTrainer, TrainingOptions, VirtualAugmentation
from ensemble.training.virtual_augmentation import symmetric_divergence, virtual_embeddings

RNG = np.random.default_rng(0)
LOGITS = torch.as_tensor(3 * RNG.standard_normal((2, 4, 6)))
E = torch.as_tensor(RNG.standard_normal((6, 3)))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def test_embeddings_without_noise_by_hand():
    found = virtual_embeddings(LOGITS, E, 0.0)
    np.testing.assert_allclose(found, softmax(LOGITS.numpy()) @ E.numpy(), rtol=1e-12)


@pytest.mark.parametrize("top", [1, 3, 6, 99])
def test_embeddings_of_the_likeliest_tokens_by_hand(top):
    found = virtual_embeddings(LOGITS, E, 0.0, top)
    for row in range(2):
        for place in range(4):
            m = LOGITS[row, place].numpy()
            kept = np.argsort(-m)[:top]
            expected = softmax(m[kept]) @ E.numpy()[kept]
            np.testing.assert_allclose(found[row, place], expected, rtol=1e-12)


@pytest.mark.parametrize("top", [None, 2])
def test_noise_is_that_of_the_seed(top):
    torch.manual_seed(1)
    first = virtual_embeddings(LOGITS, E, 0.5, top)
    assert not torch.allclose(first, virtual_embeddings(LOGITS, E, 0.5, top))
    torch.manual_seed(1)
    assert torch.equal(first, virtual_embeddings(LOGITS, E, 0.5, top))
    torch.manual_seed(1)
    kept, tokens = LOGITS.topk(top or 6, dim=-1)
    if top is None:
        kept, tokens = LOGITS, torch.arange(6).expand(2, 4, 6)
    noisy = kept + 0.5 * torch.randn_like(kept)
    expected = torch.einsum("bnk,bnkd->bnd", noisy.softmax(dim=-1), E[tokens])
    torch.testing.assert_close(first, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("top", [None, 2])
def test_embeddings_are_trained_through_the_mixture(top):
    matrix = E.clone().requires_grad_()
    virtual_embeddings(LOGITS, matrix, 0.0, top).sum().backward()
    shares = LOGITS.clone()
    if top:
        shares[LOGITS.topk(top, dim=-1).values[..., -1:] > LOGITS] = -np.inf
    expected = shares.softmax(dim=-1).sum(dim=(0, 1))[:, None].expand(6, 3)
    torch.testing.assert_close(matrix.grad, expected, rtol=1e-12, atol=1e-12)


def test_divergence_by_hand():
    z, other = RNG.standard_normal((2, 5, 4))
    p, q = softmax(z), softmax(other)
    rows = [
        0.5 * sum(p[i] * np.log(p[i] / q[i])) + 0.5 * sum(q[i] * np.log(q[i] / p[i]))
        for i in range(5)
    ]
    found = symmetric_divergence(torch.as_tensor(z), torch.as_tensor(other))
    assert found.item() == pytest.approx(np.mean(rows))
    assert symmetric_divergence(torch.as_tensor(other), torch.as_tensor(z)) == found
    assert symmetric_divergence(torch.as_tensor(z), torch.as_tensor(z + 3)).item() < 1e-15


class Text(nn.Module):
    """Mean embedding and a linear layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, tokens):
        return self.classify(self.embedding(tokens))

    def classify(self, embeddings):
        return self.out(embeddings.mean(dim=1))


TOKENS = torch.as_tensor(RNG.integers(6, size=(24, 4)))
Y = TOKENS[:, 0] % 2


def augmentation(**options):
    def masked_lm(tokens):
        return 9.0 * nn.functional.one_hot(tokens, 6).float()

    def classify(module, embeddings, _):
        return module.classify(embeddings)

    return VirtualAugmentation(masked_lm, "embedding.weight", classify, **options)


def test_a_sure_masked_model_gives_the_text_itself():
    module = Text()
    option = augmentation(noise=0.0, top=1)
    assert option.term(module, TOKENS, module(TOKENS)).item() == pytest.approx(0, abs=1e-12)
    assert augmentation(noise=9.0).term(module, TOKENS, module(TOKENS)).item() > 0


def test_the_masked_model_is_not_trained():
    masked = nn.Embedding(6, 6)
    module = Text()
    option = VirtualAugmentation(
        masked, "embedding.weight", lambda module, embeddings, _: module.classify(embeddings)
    )
    option.term(module, TOKENS, module(TOKENS)).backward()
    assert masked.weight.grad is None
    assert module.embedding.weight.grad.abs().sum() > 0


def test_the_loss_is_cross_entropy_plus_the_divergence():
    """One step of gradient descent on the whole."""
    trained = Text()
    module = deepcopy(trained)
    DevilsAdvocateTrainer(
        [trained],
        None,
        pretrain_epochs=1,
        discussion_epochs=0,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        options=TrainingOptions(virtual_augmentation=augmentation(noise=0.0, top=None, weight=2.0)),
    ).fit([(TOKENS, Y)], [(TOKENS, Y)])
    z = module(TOKENS)
    shares = (9.0 * nn.functional.one_hot(TOKENS, 6).double()).softmax(dim=-1).float()
    virtual = module.classify(shares @ module.embedding.weight)
    p, q = z.softmax(dim=1), virtual.softmax(dim=1)
    divergence = ((p * (p / q).log()).sum(dim=1) + (q * (q / p).log()).sum(dim=1)).mean() / 2
    (nn.functional.cross_entropy(z, Y) + 2 * divergence).backward()
    for new, p in zip(trained.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(new, p - 0.1 * p.grad)


def test_errors():
    with pytest.raises(ValueError) as error:
        VirtualAugmentation(len, "words", len).matrix(Text())
    assert str(error.value) == (
        "`embedding` must be the name of a parameter, such as embedding.weight, out.weight, "
        "out.bias, got 'words'"
    )
    with pytest.raises(ValueError, match="must be logits of 6 tokens, as in `embedding`, got 5"):
        virtual_embeddings(LOGITS[..., :5], E, 0.0)
    options = TrainingOptions(virtual_augmentation=augmentation())
    with pytest.raises(ValueError, match=r"such as 0\.weight, 0\.bias, got"):
        DevilsAdvocateTrainer([nn.Sequential(nn.Linear(2, 2))], None, options=options)
