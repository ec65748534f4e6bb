"""Steps of heads: gradients under each method, against equations by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from ensemble.training.descent import HeadGradients, HeadTask, descend
from ensemble.training.head_methods import PLAIN, HeadMethods

N, P, C = 40, 6, 3


def make_task(n_models=2):
    """Linear models on inputs of their own, and what autograd says of their losses."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n_models, N, P, generator=rng)
    y = torch.randint(C, (N,), generator=rng)
    w = torch.randn(n_models, P, C, generator=rng).requires_grad_()
    b = torch.zeros(n_models, 1, C, requires_grad=True)

    def losses(inputs, rows):
        z = torch.baddbmm(b, inputs, w)
        return torch.stack([functional.cross_entropy(part, y[rows]) for part in z])

    def views(inputs):
        return list(zip(inputs, torch.baddbmm(b, inputs, w), strict=True))

    return HeadTask((w, b), lambda rows: x[:, rows], losses, views, None, n_models), x, y


def plainly(task, inputs, rows, m):
    """Loss of model m, and its gradients of all parameters and inputs."""
    inputs = inputs.clone().requires_grad_()
    loss = task.losses(inputs, rows)[m]
    return loss, torch.autograd.grad(loss, [*task.parameters, inputs])


ROWS = torch.arange(5, 17)


def test_plain_gradients_and_the_penalty():
    task, x, _ = make_task()
    found = HeadGradients(task, PLAIN).of(ROWS)
    by_hand = [plainly(task, x[:, ROWS], ROWS, m)[1] for m in range(2)]
    for at in range(2):
        torch.testing.assert_close(found[at], by_hand[0][at] + by_hand[1][at])
    w = task.parameters[0]
    decayed = replace(task, penalty=lambda: 0.1 * w.square().sum())
    torch.testing.assert_close(HeadGradients(decayed, PLAIN).of(ROWS)[0], found[0] + 0.2 * w)


def test_flooding_turns_the_gradient_of_each_model_below_the_level():
    task, x, _ = make_task()
    losses = [plainly(task, x[:, ROWS], ROWS, m)[0].item() for m in range(2)]
    level = sum(losses) / 2
    found = HeadGradients(task, HeadMethods(flooding=level)).of(ROWS)[0]
    plain = HeadGradients(task, PLAIN).of(ROWS)[0]
    for m in range(2):
        sign = 1.0 if losses[m] > level else -1.0
        torch.testing.assert_close(found[m], sign * plain[m])
    assert losses[0] != losses[1]


def test_label_denoising_adds_its_term_to_the_loss_of_each_model():
    task, x, _ = make_task()
    found = HeadGradients(task, HeadMethods(label_denoising=0.3)).of(ROWS)
    for m in range(2):
        loss = task.losses(x[:, ROWS], ROWS)[m]
        h, z = task.views(x[:, ROWS])[m]
        pairs = [(i, j) for i in range(len(h)) for j in range(len(h)) if i != j]
        probs = z.softmax(dim=1)
        term = sum(
            (functional.cosine_similarity(h[i], h[j], dim=0) - (probs[i] * probs[j]).sqrt().sum())
            ** 2
            for i, j in pairs
        ) / len(pairs)
        expected = torch.autograd.grad(loss + 0.3 * term, task.parameters)
        for at in range(2):
            torch.testing.assert_close(found[at][m], expected[at][m])


def test_fgm_adds_the_gradient_at_the_worst_inputs_near_each_row():
    task, x, _ = make_task()
    found = HeadGradients(task, HeadMethods(fgm=0.7)).of(ROWS)
    for m in range(2):
        _, (*at_x, slope) = plainly(task, x[:, ROWS], ROWS, m)
        moved = x[:, ROWS].clone()
        for n in range(len(ROWS)):
            g = slope[m, n]
            moved[m, n] += 0.7 * g / g.norm()
        _, (*near, _) = plainly(task, moved, ROWS, m)
        for at in range(2):
            torch.testing.assert_close(found[at][m], (at_x[at] + near[at])[m])


@pytest.mark.parametrize("n_models", [1, 2])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_driven_child_is_the_share_with_most_fisher_information(n_models, share):
    task, x, _ = make_task(n_models)
    batches = torch.arange(N).split(16)
    found = HeadGradients(task, HeadMethods(child_driven=share), batches)
    plain = HeadGradients(task, PLAIN).of(ROWS)
    for m in range(n_models):
        fisher = sum(
            torch.cat([g[m].flatten() ** 2 for g in plainly(task, x[:, rows], rows, m)[1][:2]])
            for rows in batches
        )
        kept = torch.zeros(len(fisher), dtype=torch.bool)
        kept[np.argsort(-fisher.numpy())[: round(share * len(fisher))]] = True
        masks = torch.cat([mask[m].flatten() for mask in found.masks])
        torch.testing.assert_close(masks, kept)
        masked = torch.cat([g[m].flatten() for g in found.of(ROWS)])
        torch.testing.assert_close(masked, kept * torch.cat([g[m].flatten() for g in plain]))


def test_the_free_child_is_drawn_anew_and_unbiased():
    task, _, _ = make_task()
    plain = HeadGradients(task, PLAIN).of(ROWS)[0]
    gradients = HeadGradients(task, HeadMethods(child_free=0.25))
    torch.manual_seed(0)
    draws = torch.stack([gradients.of(ROWS)[0] for _ in range(400)])
    kept = draws != 0
    torch.testing.assert_close(draws, kept * plain * 4)
    assert abs(kept.float().mean() - 0.25) < 3 * (0.25 * 0.75 / kept.numel()) ** 0.5
    assert not torch.equal(kept[0], kept[1])


@pytest.mark.parametrize("methods", [PLAIN, HeadMethods(child_free=0.3), HeadMethods(fgm=0.1)])
def test_descends_to_the_best_epoch_and_leaves_the_generator_alone(methods):
    """The same for a seed, whatever was drawn before; nothing else sees its draws."""

    def run():
        task, x, y = make_task()

        def judge(rows):
            with torch.no_grad():
                return task.losses(x[:, rows], rows)

        inner = np.arange(N) % 4 == 0
        best, curve = descend(
            task, judge, inner, rate=0.05, epochs=12, patience=12, device="cpu", seed=3,
            methods=methods,
        )  # fmt: skip
        w, b = (torch.as_tensor(part, dtype=torch.float32) for part in best)
        held = torch.as_tensor(np.flatnonzero(inner))
        reached = [
            functional.cross_entropy(x[m, held] @ w[m] + b[m], y[held]).item() for m in range(2)
        ]
        return reached, curve

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    reached, curve = run()
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_allclose(reached, curve.min(axis=0), atol=1e-4)
    assert (curve.min(axis=0) < curve[0] - 0.1).all()
    torch.manual_seed(2)
    np.testing.assert_array_equal(run()[1], curve)
