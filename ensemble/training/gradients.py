"""Gradients of modules: those of a loss, their sums and means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

#: One gradient a parameter; None for a parameter that the loss does not depend on.
Gradients = list[torch.Tensor | None]

#: Computes a loss, or one of each module, with the parameters as they are when it is called.
LossOf = Callable[[], torch.Tensor]


def trained_parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of all modules that are trained."""
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def gradients_of(loss_of: LossOf, parameters: Sequence[nn.Parameter]) -> Gradients:
    """Gradients of the sum of losses, which are computed for them."""
    return list(torch.autograd.grad(loss_of().sum(), parameters, allow_unused=True))


def added(a: Gradients, b: Gradients) -> Gradients:
    """Sums of gradients; None counts as zero."""
    return [y if x is None else x if y is None else x + y for x, y in zip(a, b, strict=True)]


def scaled(gradients: Gradients, factor: float) -> Gradients:
    """Gradients times a number."""
    return [None if g is None else g * factor for g in gradients]


def masked(gradients: Gradients, masks: Sequence[torch.Tensor]) -> Gradients:
    """Gradients of the weights that masks keep, one a parameter; all without masks."""
    if not masks:
        return gradients
    return [None if g is None else g * m for g, m in zip(gradients, masks, strict=True)]
