"""Flooding: a training loss below a level is driven up again (Ishida et al., ICML 2020)."""

from __future__ import annotations

import torch


def flood(losses: torch.Tensor, level: float) -> torch.Tensor:
    """|L - b| + b of each module's loss: below b its gradient has the opposite sign."""
    return (losses - level).abs() + level
