"""SimCSE: a text is closest to itself under another dropout mask (Gao et al., EMNLP 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from postproc.scores.checks import check_number

#: Representations of a batch, shape (b, d), from a module and its inputs.
Represent = Callable[[nn.Module, Any], torch.Tensor]


@dataclass(frozen=True)
class Contrastive:
    """A SimCSE term on the representations of a module.

    Parameters
    ----------
    represent : callable
        Gives representations of shape (b, d) of a module and its inputs. It is called twice with
        the same inputs; the module's dropout makes the difference.
    temperature : float
        τ > 0, .05 as published. The smaller, the more the nearest other texts count.
    weight : float
        Factor >= 0 of the term.
    """

    represent: Represent
    temperature: float = 0.05
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.temperature, "temperature", low=0.0, open_low=True)
        check_number(self.weight, "weight", low=0.0)

    def term(self, module: nn.Module, inputs: Any, _: torch.Tensor) -> torch.Tensor:
        """The weighted loss of a batch, whatever its logits."""
        first, second = (self.represent(module, inputs).float() for _ in range(2))
        return self.weight * contrastive_loss(first, second, self.temperature)


def contrastive_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean -log e^{cos(h_i, h⁺_i)/τ} / Σ_j e^{cos(h_i, h⁺_j)/τ} of rows h, h⁺ of shape (b, d)."""
    cosines = functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T
    own = torch.arange(len(first), device=first.device)
    return functional.cross_entropy(cosines / temperature, own)
