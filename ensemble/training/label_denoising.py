"""Label denoising from within (LLD): texts are as alike as a module takes their classes to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ensemble.training.contrastive import Represent
from postproc.scores.checks import check_number


@dataclass(frozen=True)
class LabelDenoising:
    """A term that pulls the similarity of two texts and that of their predictions together.

    A wrong label asks for a prediction unlike those of similar texts; the term asks the other way.

    Parameters
    ----------
    represent : callable
        Gives representations of shape (b, d) of a module and its inputs.
    weight : float
        Factor >= 0 of the term.

    Notes
    -----
    The term is the mean over all pairs of rows in a batch of (cos(h_i, h_j) - Σ_c √(p_ic p_jc))²,
    where h are representations and p predicted probabilities. The second similarity (of
    Bhattacharyya) is 1 for equal distributions and 0 for distributions without a common class.
    Gradients flow into both. That the two similarities are pulled together is published; this form
    and the weight are not known from there, but chosen here.
    """

    represent: Represent
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.weight, "weight", low=0.0)

    def term(self, module: nn.Module, inputs: Any, z: torch.Tensor) -> torch.Tensor:
        """The weighted loss of a batch with logits z of shape (b, C)."""
        return self.weight * similarity_loss(self.represent(module, inputs).float(), z)


def similarity_loss(h: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Mean (cos(h_i, h_j) - Σ_c √(p_ic p_jc))² over pairs of rows of h (b, d) and z (b, C)."""
    n_rows = len(h)
    h = functional.normalize(h, dim=1)
    roots = (functional.log_softmax(z, dim=1) / 2).exp()
    squares = (h @ h.T - roots @ roots.T).square()
    return (squares.sum() - squares.trace()) / max(1, n_rows * (n_rows - 1))
