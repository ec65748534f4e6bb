"""Phases of the Devil's Advocate: which modules each trains, and by which loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from ensemble.devil.losses import Negatives, devil_loss, discussion_loss
from ensemble.training.batches import calibrated_log_loss, move_batch
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
    calibrated: bool
    options: TrainingOptions

    def of(self, inputs: Any, y: torch.Tensor) -> LossOf:
        """What computes the modules' losses, (K,), of a batch; none has gradients of another's."""
        discusses = self.phase == "discussion"
        heard = self._heard(inputs) if discusses else None
        weight = self.discussion_weight if discusses else 0.0

        def loss() -> torch.Tensor:
            logits = [self.logits(module, inputs) for module in self.modules]
            if self.phase == "devil":
                return devil_loss(logits[0], y, negatives=self.negatives)[None]
            losses = discussion_loss(torch.stack(logits), heard, y, discussion_weight=weight)
            return losses + self.options.terms(self.modules, inputs, logits)

        return loss

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is unknown to mypy here
    def _heard(self, inputs: Any) -> torch.Tensor | None:
        return None if self.devil is None else self.logits(self.devil.eval(), inputs)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def judge(self, valid: Iterable[Any], device: str) -> list[float]:
        """Loss of each module on the valid rows: the devil's own, of norm models the log-loss."""
        judged: list[list[float]] = []
        logits: list[list[torch.Tensor]] = []
        labels: list[torch.Tensor] = []
        for batch in valid:
            inputs, y = move_batch(batch, device)
            found = [self.logits(module.eval(), inputs) for module in self.modules]
            labels.append(y.cpu())
            if self.calibrated and self.phase != "devil":
                logits.append([z.cpu() for z in found])
            elif self.phase == "devil":
                judged.append([devil_loss(z, y, negatives="expected").item() for z in found])
            else:
                judged.append([functional.cross_entropy(z, y).item() for z in found])
        if not labels:
            fail("valid", "one batch or more", "none")
        if logits:
            y = torch.cat(labels)
            return [calibrated_log_loss(torch.cat(z), y) for z in zip(*logits, strict=True)]
        sizes = [len(y) for y in labels]
        return [
            sum(loss * n for loss, n in zip(own, sizes, strict=True)) / sum(sizes)
            for own in zip(*judged, strict=True)
        ]
