"""Batches of texts, as the trainer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from ensemble.training.text.vocabulary import PADDING

#: Batches whose texts are sorted by length, so that few words of a batch are padding.
_SORTED_TOGETHER = 8


@dataclass
class TokenBatches:
    """Batches of numbers of words (n, L) and of labels (n,), no longer than their longest text.

    Texts of similar length lie together. Shuffled batches have an order of their own each time; the
    others go by length.
    """

    tokens: torch.Tensor
    y: torch.Tensor
    size: int = 64
    shuffle: bool = False
    generator: torch.Generator = field(default_factory=torch.Generator)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Go through all rows once."""
        order = self._shuffled() if self.shuffle else self._lengths().argsort(stable=True)
        for rows in order.split(self.size):
            tokens = self.tokens[rows]
            yield cropped(tokens), self.y[rows]

    def _lengths(self) -> torch.Tensor:
        return (self.tokens != PADDING).sum(dim=1)

    def _shuffled(self) -> torch.Tensor:
        """A random order in which texts of similar length lie together."""
        order = torch.randperm(len(self.y), generator=self.generator)
        lengths = self._lengths()
        chunks = order.split(_SORTED_TOGETHER * self.size)
        order = torch.cat([chunk[lengths[chunk].argsort(stable=True)] for chunk in chunks])
        batches = order.split(self.size)
        places = torch.randperm(len(batches), generator=self.generator)
        return torch.cat([batches[place] for place in places])


def cropped(tokens: torch.Tensor) -> torch.Tensor:
    """Numbers of words without the columns in which all is padding."""
    return tokens[:, : max(1, int((tokens != PADDING).sum(dim=1).max()))]
