"""Phases of the Devil's Advocate: which modules each trains, and by which loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from ensemble.devil.losses import Negatives, devil_loss, discussion_loss
from ensemble.training.batches import move_batch
from ensemble.training.gradients import LossOf
from ensemble.training.options import TrainingOptions
from postproc.scores.checks import fail

Phase = Literal["pretraining", "devil", "discussion"]
PHASES: tuple[Phase, ...] = ("pretraining", "devil", "discussion")


@dataclass(frozen=True)
class PhaseLoss:
    """The modules of a phase and their losses, on batches and on the valid rows."""

    phase: Phase
    modules: Sequence[nn.Module]
    logits: Callable[[nn.Module, Any], torch.Tensor]
    devil: nn.Module | None
    discussion_weight: float
    negatives: Negatives
    options: TrainingOptions

    def of(self, inputs: Any, y: torch.Tensor) -> LossOf:
        """What computes the loss of a batch, with the modules as they are when it is called."""
        discusses = self.phase == "discussion"
        heard = self._heard(inputs) if discusses else None
        weight = self.discussion_weight if discusses else 0.0

        def loss() -> torch.Tensor:
            logits = [self.logits(module, inputs) for module in self.modules]
            if self.phase == "devil":
                return devil_loss(logits[0], y, negatives=self.negatives)
            # Neither the devil nor the next model gets a gradient: the sum will do for all.
            losses = discussion_loss(torch.stack(logits), heard, y, discussion_weight=weight)
            return self.options.loss(losses, self.modules, inputs)

        return loss

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is unknown to mypy here
    def _heard(self, inputs: Any) -> torch.Tensor | None:
        return None if self.devil is None else self.logits(self.devil.eval(), inputs)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def judge(self, valid: Iterable[Any], device: str) -> list[float]:
        """Loss of each module on the valid rows: the devil's own, of norm models the log-loss."""
        totals, n_rows = [0.0] * len(self.modules), 0
        for batch in valid:
            inputs, y = move_batch(batch, device)
            n_rows += len(y)
            for m, module in enumerate(self.modules):
                z = self.logits(module.eval(), inputs)
                if self.phase == "devil":
                    loss = devil_loss(z, y, negatives="expected")
                else:
                    loss = functional.cross_entropy(z, y)
                totals[m] += loss.item() * len(y)
        if n_rows == 0:
            fail("valid", "one batch or more", "none")
        return [total / n_rows for total in totals]
