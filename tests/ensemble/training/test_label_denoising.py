"""Label denoising against a double loop, and on labels that are partly wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ensemble.training import LabelDenoising
from ensemble.training.label_denoising import similarity_loss

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n_rows", "scale"), [(2, 1.0), (7, 1.0), (7, 9.0)])
def test_against_a_double_loop(n_rows, scale):
    h = RNG.standard_normal((n_rows, 5))
    z = scale * RNG.standard_normal((n_rows, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    terms = []
    for i in range(n_rows):
        for j in range(n_rows):
            if i != j:
                cosine = h[i] @ h[j] / np.linalg.norm(h[i]) / np.linalg.norm(h[j])
                alike = sum(np.sqrt(p[i, c] * p[j, c]) for c in range(4))
                terms.append((cosine - alike) ** 2)
    found = similarity_loss(torch.as_tensor(h), torch.as_tensor(z)).item()
    assert found == pytest.approx(np.mean(terms), rel=1e-12)


def test_what_agrees_costs_nothing():
    """Equal texts with equal predictions, orthogonal ones without a common class."""
    h = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    z = torch.tensor([[300.0, 0.0], [300.0, 0.0], [0.0, 300.0]], requires_grad=True)
    assert similarity_loss(h, z).item() == pytest.approx(0)
    similarity_loss(h.flip(0), z).backward()
    assert z.grad.isfinite().all()


def test_neither_the_order_of_rows_nor_lengths_nor_a_shift_of_logits_matter():
    h, z = (torch.as_tensor(RNG.standard_normal((6, 3))) for _ in range(2))
    expected = similarity_loss(h, z)
    order = torch.as_tensor(RNG.permutation(6))
    lengths = torch.as_tensor(RNG.uniform(0.5, 2, (6, 1)))
    for other in ((h[order], z[order]), (h * lengths, z), (h, z + lengths)):
        torch.testing.assert_close(similarity_loss(*other), expected)


def test_a_text_without_a_direction_is_like_no_other():
    h = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert similarity_loss(h, torch.zeros(2, 3)).item() == pytest.approx(1)  # (0 - 1)²


def test_one_row_has_no_pair():
    assert similarity_loss(torch.ones(1, 3), torch.ones(1, 2)).item() == 0


def test_a_wrong_label_is_pulled_to_the_neighbours():
    """Of three equal texts, one is predicted unlike the others: its gradient points to them."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    similarity_loss(torch.ones(3, 2), z).backward()
    assert z.grad[2, 0] < 0 < z.grad[2, 1]


def test_the_term_is_weighted():
    module, x = nn.Linear(4, 3), torch.randn(5, 4)
    z = module(x)
    option = LabelDenoising(lambda module, x: module(x), weight=3.0)
    torch.testing.assert_close(option.term(module, x, z), 3 * similarity_loss(z, z))
