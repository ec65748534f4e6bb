"""Flooding: a training loss below a level is driven up again (Ishida et al., ICML 2020)."""

from __future__ import annotations

import torch


def flood(losses: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """|L - b| + b of each module's loss: below b its gradient has the opposite sign."""
    return (losses - levels).abs() + levels
