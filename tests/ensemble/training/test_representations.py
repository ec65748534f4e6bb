"""Uniformity and tolerance against double loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ensemble.training import tolerance, uniformity

RNG = np.random.default_rng(0)
H = RNG.standard_normal((40, 5)) + 0.5
Y = RNG.integers(4, size=40)


def pairs(h):
    f = h / np.linalg.norm(h, axis=1, keepdims=True)
    for i in range(len(f)):
        for j in range(len(f)):
            if i != j:
                yield i, j, f[i], f[j]


def test_uniformity_against_a_double_loop():
    expected = np.log(np.mean([np.exp(-2 * np.sum((a - b) ** 2)) for _, _, a, b in pairs(H)]))
    assert uniformity(H) == pytest.approx(expected, rel=1e-12)
    assert uniformity(torch.as_tensor(H)) == uniformity(H)


def test_tolerance_against_a_double_loop():
    expected = np.mean([a @ b for i, j, a, b in pairs(H) if Y[i] == Y[j]])
    assert tolerance(H, Y) == pytest.approx(expected, rel=1e-12)
    assert tolerance(H, np.array(["d", "a", "c", "b"])[Y]) == pytest.approx(expected)


def test_uniformity_over_several_blocks():
    h = RNG.standard_normal((1500, 3))
    f = h / np.linalg.norm(h, axis=1, keepdims=True)
    squares = ((f[:, None] - f[None]) ** 2).sum(axis=2)[~np.eye(1500, dtype=bool)]
    assert uniformity(h) == pytest.approx(np.log(np.exp(-2 * squares).mean()), rel=1e-12)


def test_neither_order_nor_lengths_nor_rotations_matter():
    order, lengths = RNG.permutation(40), RNG.uniform(0.1, 9, (40, 1))
    rotation, _ = np.linalg.qr(RNG.standard_normal((5, 5)))
    for h, y in ((H[order], Y[order]), (H * lengths, Y), (H @ rotation, Y)):
        assert uniformity(h) == pytest.approx(uniformity(H))
        assert tolerance(h, y) == pytest.approx(tolerance(H, Y))


def test_bounds():
    assert uniformity(np.ones((9, 3))) == pytest.approx(0)
    assert uniformity([[1.0], [-1.0]]) == pytest.approx(-8)
    assert tolerance([[1.0], [-1.0]], [0, 0]) == -1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniformity(H[:1]), "`h` must be representations of two rows or more, shape"),
        (lambda: uniformity(H[0]), "`h` must be representations of two rows or more, shape"),
        (lambda: uniformity(H * (np.arange(40) != 3)[:, None]), "`h[3]` must be finite and not"),
        (lambda: tolerance(H * np.nan, Y), "`h[0]` must be finite and not zero, got a row of"),
        (lambda: tolerance(H, Y[:9]), "`y` must be one class a row, shape (40,), got shape (9,)"),
        (
            lambda: tolerance(H, np.arange(40)),
            "`y` must be classes of which one has two rows or more, got 40 of one row each",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(message)
