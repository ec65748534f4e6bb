"""Virtual data augmentation: a masked language model mixes embeddings (Zhou et al., EMNLP 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from postproc.scores.checks import check_count, check_number, fail


@dataclass(frozen=True)
class VirtualAugmentation:
    """Predictions from virtual embeddings have to be those from a text's own.

    Parameters
    ----------
    masked_lm : callable
        Gives logits of shape (b, positions, V) of the inputs of a batch; it is not trained. Words
        that fit a place well have a large share in its virtual embedding.
    embedding : str
        Name of the parameter of shape (V, d) that embeds tokens, such as ``"embedding.weight"``.
    classify : callable
        Gives logits of shape (b, C) of a module, embeddings of shape (b, positions, d) and the
        inputs, which may hold a mask.
    noise : float
        Standard deviation σ >= 0 of the noise on the masked model's logits.
    top : int, optional
        Mix only this many tokens, those with the highest logits; None mixes all of them.
    weight : float
        Factor >= 0 of the term.

    Notes
    -----
    With logits m of the masked model, a virtual embedding is ê = softmax(m + N(0, σ²)) E, drawn
    anew at each step. The term is the symmetric divergence (KL(p ‖ p̂) + KL(p̂ ‖ p))/2 of the
    predictions from both, a mean over rows, beside the cross-entropy of the text's own. Defaults of
    σ and the weight are chosen here, not taken from the paper.
    """

    masked_lm: Callable[[Any], torch.Tensor]
    embedding: str
    classify: Callable[[nn.Module, torch.Tensor, Any], torch.Tensor]
    noise: float = 1.0
    top: int | None = 200
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.noise, "noise", low=0.0)
        if self.top is not None:
            check_count(self.top, "top", low=1)
        check_number(self.weight, "weight", low=0.0)

    def matrix(self, module: nn.Module) -> nn.Parameter:
        """The embeddings E of a module, shape (V, d)."""
        named = dict(module.named_parameters(remove_duplicate=False))
        if self.embedding not in named:
            names = ", ".join(list(named)[:3])
            fail("embedding", f"the name of a parameter, such as {names}", repr(self.embedding))
        return named[self.embedding]

    def term(self, module: nn.Module, inputs: Any, z: torch.Tensor) -> torch.Tensor:
        """The weighted loss of a batch with logits z of shape (b, C)."""
        with torch.no_grad():
            logits = self.masked_lm(inputs)
        embeddings = virtual_embeddings(logits, self.matrix(module), self.noise, self.top)
        virtual = self.classify(module, embeddings, inputs).float()
        return self.weight * symmetric_divergence(z, virtual)


def virtual_embeddings(
    logits: torch.Tensor, matrix: torch.Tensor, noise: float, top: int | None = None
) -> torch.Tensor:
    """softmax(m + N(0, σ²)) E of logits (b, positions, V) and E (V, d): (b, positions, d)."""
    if logits.shape[-1] != len(matrix):
        fail("masked_lm", f"logits of {len(matrix)} tokens, as in `embedding`", logits.shape[-1])
    kept, tokens = logits.to(matrix.dtype), None
    if top is not None and top < len(matrix):
        kept, tokens = kept.topk(top, dim=-1)
    shares = functional.softmax(kept + noise * torch.randn_like(kept), dim=-1)
    if tokens is None:
        return shares @ matrix
    mixed = functional.embedding_bag(
        tokens.flatten(0, -2), matrix, per_sample_weights=shares.flatten(0, -2), mode="sum"
    )
    return mixed.unflatten(0, shares.shape[:-1])


def symmetric_divergence(z: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Mean (KL(p ‖ q) + KL(q ‖ p))/2 of the softmax p, q of two arrays of logits (b, C)."""
    log_p, log_q = functional.log_softmax(z, dim=1), functional.log_softmax(other, dim=1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=1).mean() / 2
