"""Steps of optimizers: gradients of some batches, averaged and masked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from ensemble.training.accordance import GradientAccordance
from ensemble.training.child_tuning import free_mask
from ensemble.training.flooding import flood
from ensemble.training.gradients import (
    Gradients,
    LossOf,
    added,
    gradients_of,
    masked,
    scaled,
    trained_parameters,
)
from ensemble.training.options import TrainingOptions


class Stepper:
    """Steps of several modules, each with its own optimizer, on the sum of their losses."""

    def __init__(
        self,
        modules: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        options: TrainingOptions,
        masks: Sequence[torch.Tensor] = (),
        levels: Sequence[float] = (),
    ) -> None:
        self.parameters = trained_parameters(modules)
        self.optimizers = optimizers
        self.options = options
        self.masks = masks  # of the parameters, where a child of the weights is fixed
        self.levels = levels  # of flooding, one a module; none without
        self.accordance = GradientAccordance(modules) if options.flooding == "auto" else None
        self._losses: list[torch.Tensor] = []  # before flooding, since they were last taken
        self.perturbed = [
            p
            for module in modules
            if options.adversarial
            for p in options.adversarial.perturbed(module)
        ]
        self._mean: Gradients = []
        self._n_batches = self._n_rows = 0

    def add(self, loss_of: LossOf, n_rows: int) -> None:
        """Take in a batch; step if it is the last of those that are accumulated."""
        adversarial = self.options.adversarial
        if self.levels:
            loss_of = partial(self._flooded, loss_of)
        if adversarial is None:
            found = gradients_of(loss_of, self.parameters)
        else:
            found = adversarial.gradients(loss_of, self.parameters, self.perturbed)
        if self.accordance is not None:
            self.accordance.add(masked(found, self.masks))
        self._n_batches += 1
        self._n_rows += n_rows
        if self._mean:  # the mean over rows, of batches of any sizes
            share = n_rows / self._n_rows
            found = added(scaled(self._mean, 1 - share), scaled(found, share))
        self._mean = found
        if self._n_batches == self.options.accumulate:
            self.finish()

    def finish(self) -> None:
        """Step with what has been taken in since the last step, if anything."""
        if not self._n_batches:
            return
        gradients, child = self._mean, self.options.child_tuning
        if child is not None and child.method == "free":
            gradients = free_mask(gradients, child.share)
        gradients = masked(gradients, self.masks)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        self._mean, self._n_batches, self._n_rows = [], 0, 0

    def take_losses(self) -> list[float]:
        """Mean of each module's losses as they were before flooding, since this was last called."""
        losses, self._losses = self._losses, []
        means: list[float] = torch.stack(losses).mean(dim=0).tolist()
        return means

    def _flooded(self, loss_of: LossOf) -> torch.Tensor:
        losses = loss_of()
        if self.accordance is not None:
            self._losses.append(losses.detach())
        return flood(losses, losses.new_tensor(self.levels))
