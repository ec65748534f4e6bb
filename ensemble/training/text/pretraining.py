"""Pre-training of a text encoder by one of the tasks on its words."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ensemble.training.text.batches import TokenBatches
from ensemble.training.text.encoders import TextEncoder
from ensemble.training.text.tasks import IGNORED, Task, corrupt, n_targets
from ensemble.training.text.vocabulary import Vocabulary


def pretrain(
    module: TextEncoder,
    tokens: torch.Tensor,
    vocabulary: Vocabulary,
    task: Task,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Train an encoder's embeddings and states on texts (n, L) by a task, with Adam.

    Returns what the task's own head says: logits (b, L, k) of numbers of words (b, L).
    """
    generator = torch.Generator().manual_seed(torch.initial_seed() % 2**32)
    head = nn.Linear(module.width, n_targets(task, vocabulary))
    parameters = [*module.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, learning_rate, fused=True)
    batches = TokenBatches(tokens, tokens[:, 0], batch_size, shuffle=True, generator=generator)
    module.train()
    for _ in range(epochs):
        for texts, _ in batches:
            inputs, targets = corrupt(task, texts, vocabulary, generator)
            judged = targets != IGNORED
            logits = head(module.word_states(inputs)[0][judged])
            optimizer.zero_grad()
            functional.cross_entropy(logits, targets[judged]).backward()
            optimizer.step()

    module.eval()

    def word_logits(texts: torch.Tensor) -> torch.Tensor:
        return head(module.word_states(texts)[0])

    return word_logits
