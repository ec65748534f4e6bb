"""Gradient accordance: whether a step on one batch lowers the loss on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import nn

from ensemble.training.gradients import Gradients, trained_parameters
from postproc.scores.checks import fail


class GradientAccordance:
    """Mean cosine over pairs of batches of their gradients, one a module; 0 for zero gradients.

    A gradient step on batch i changes the loss of batch j by -η g_i·g_j, to first order.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        owned = [trained_parameters([module]) for module in modules]
        self._owned = [slice(*ends) for ends in pairwise(accumulate(map(len, owned), initial=0))]
        # Of unit gradients so far, one a parameter: one product for all batches before.
        self._sums = [torch.zeros_like(p) for own in owned for p in own]
        self._totals, self._n_batches = [0.0] * len(modules), 0

    def add(self, gradients: Gradients) -> None:
        """Take in the gradients of a batch, one a parameter of all modules in turn."""
        for m, own in enumerate(self._owned):
            pairs = zip(self._sums[own], gradients[own], strict=True)
            found = [(s, g) for s, g in pairs if g is not None]
            if not found:
                continue
            square = torch.stack([g.square().sum() for _, g in found]).sum()
            norm = torch.where(square > 0, square.sqrt(), torch.ones_like(square))
            self._totals[m] += float(torch.stack([(s * g).sum() for s, g in found]).sum() / norm)
            for s, g in found:
                s += g / norm
        self._n_batches += 1

    def take(self) -> list[float]:
        """The mean over all pairs since the start, or since this was last called."""
        n_pairs = self._n_batches * (self._n_batches - 1) // 2
        if n_pairs == 0:
            fail("train", 'two batches or more with flooding="auto"', self._n_batches)
        means = [total / n_pairs for total in self._totals]
        for s in self._sums:
            s.zero_()
        self._totals, self._n_batches = [0.0] * len(means), 0
        return means
