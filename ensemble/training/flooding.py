"""Flooding: a training loss below a level is driven up again (Ishida et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def flood(losses: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """|L - b| + b of each module's loss: below b its gradient has the opposite sign."""
    return (losses - levels).abs() + levels


def turning_point(accordance: Sequence[float]) -> int | None:
    """The first epoch, from 0, whose accordance is zero or less after it was positive."""
    was_positive = False
    for epoch, mean in enumerate(accordance):
        if mean > 0:
            was_positive = True
        elif was_positive:
            return epoch
    return None


def found_levels(
    levels: Sequence[float], losses: Sequence[float], accordance: Sequence[Sequence[float]]
) -> list[float]:
    """The loss of each module whose accordance, by epoch and module, turned now; else its level."""
    now = len(accordance) - 1
    curves = zip(*accordance, strict=True)
    found = zip(levels, losses, curves, strict=True)
    return [loss if turning_point(curve) == now else level for level, loss, curve in found]
