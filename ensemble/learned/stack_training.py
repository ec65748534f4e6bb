"""A stacking head that is trained on from its minimum by training methods, in torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ensemble.learned.heads import LinearHead, Matrix
from ensemble.training.descent import Adam, HeadGradients, HeadTask, as_tensor, batch_size, sown
from ensemble.training.head_methods import HeadMethods
from postproc.evaluation.folds import row_order

#: Epochs, and the first step of Adam; steps shorten to zero.
EPOCHS = 20
LEARNING_RATE = 0.003


def train_on(
    head: LinearHead,
    features: Matrix,
    y: NDArray[np.int64],
    c: float,
    methods: HeadMethods,
    seed: int,
) -> LinearHead:
    """Go on from a head fitted to features (n, M C) and labels as places among those seen."""
    order = row_order(features, y, seed)
    x, labels = as_tensor(features[order], "cpu"), torch.as_tensor(y[order])
    coef, intercept = (
        as_tensor(part, "cpu").requires_grad_() for part in (head.coef, head.intercept)
    )

    def losses(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(inputs @ coef + intercept, labels[rows])[None]

    def ridge() -> torch.Tensor:
        # Of two classes scikit-learn has one column, the difference.
        columns = coef[:, 1:] - coef[:, :1] if coef.shape[1] == 2 else coef
        return columns.square().sum() / (2 * c * len(x))

    def views(inputs: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(inputs, inputs @ coef + intercept)]

    task = HeadTask((coef, intercept), lambda rows: x[rows], losses, views, ridge)
    size, everyone = batch_size(len(x)), torch.arange(len(x))
    n_steps = EPOCHS * -(-len(x) // size)
    draws = torch.Generator().manual_seed(seed)
    adam = Adam(task.trained, LEARNING_RATE)
    with sown(methods, "cpu", seed):
        gradients = HeadGradients(task, methods, everyone.split(size))
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x), generator=draws).split(size):
                adam.rate = LEARNING_RATE * (1 - adam.steps / n_steps)
                adam.step(gradients.of(rows))
    moved = [p.detach().numpy().astype(np.float64) for p in (coef, intercept)]
    return replace(head, coef=moved[0], intercept=moved[1])
