"""Child-Tuning: only part of a module's gradients count (Xu et al., EMNLP 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ensemble.training.gradients import Gradients, LossOf, gradients_of, trained_parameters
from postproc.scores.checks import check_choice, check_number


@dataclass(frozen=True)
class ChildTuning:
    """Gradients of a part of the weights, drawn anew or fixed before.

    Parameters
    ----------
    method : {"free", "driven"}
        ``"free"`` (F): a mask M ~ Bernoulli(p) is drawn for each step; gradients become g ∘ M/p.
        ``"driven"`` (D): M is the share p of a module's weights with the largest Fisher
        information, the mean of g² over the batches before the first step; it stays fixed.
    share : float
        p in (0, 1].

    Notes
    -----
    An optimizer that decays weights also decays those without a gradient.
    """

    method: Literal["free", "driven"] = "free"
    share: float = 0.3

    def __post_init__(self) -> None:
        check_choice(self.method, "method", ("free", "driven"))
        check_number(self.share, "share", low=0.0, high=1.0, open_low=True)


def free_mask(gradients: Gradients, share: float) -> Gradients:
    """G ∘ M/p with M ~ Bernoulli(p)."""
    return [None if g is None else g * (torch.rand_like(g) < share) / share for g in gradients]


def driven_masks(fisher: Sequence[torch.Tensor], share: float) -> list[torch.Tensor]:
    """Masks of the p d entries of d (rounded) with most Fisher information; ties to the first."""
    flat = torch.cat([f.flatten() for f in fisher])
    order = torch.argsort(flat, descending=True, stable=True)
    mask = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    mask[order[: max(1, round(share * len(flat)))]] = True
    parts = mask.split([f.numel() for f in fisher])
    return [part.reshape(f.shape) for part, f in zip(parts, fisher, strict=True)]


def driven_child(
    losses: Iterable[LossOf], modules: Sequence[nn.Module], share: float
) -> list[torch.Tensor]:
    """The weights that each module keeps, by losses without dropout: a mask a parameter."""
    fisher = [[torch.zeros_like(p) for p in trained_parameters([module])] for module in modules]
    parameters = trained_parameters(modules)
    totals = [total for own in fisher for total in own]
    for module in modules:
        module.eval()
    # The recurrent layers of cuDNN have no gradients in this mode; torch's own have.
    with torch.backends.cudnn.flags(enabled=False):
        for loss_of in losses:
            for total, gradient in zip(totals, gradients_of(loss_of, parameters), strict=True):
                if gradient is not None:
                    total += gradient**2
    return [mask for own in fisher for mask in driven_masks(own, share)]
