"""Flooding: a training loss below a level is driven up again (Ishida et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def flood(losses: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """|L - b| + b of each module's loss: below b its gradient has the opposite sign."""
    return (losses - levels).abs() + levels


def found_levels(
    levels: Sequence[float], losses: Sequence[float], accordance: Sequence[float]
) -> list[float]:
    """Flooding-X: the loss of training where accordance is gone and the level still 0 (none)."""
    found = zip(levels, losses, accordance, strict=True)
    return [loss if level == 0 and mean <= 0 else level for level, loss, mean in found]
