"""Steps of optimizers: gradients of some batches, averaged and masked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ensemble.training.child_tuning import free_mask
from ensemble.training.gradients import (
    Gradients,
    LossOf,
    added,
    gradients_of,
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
    ) -> None:
        self.parameters = trained_parameters(modules)
        self.optimizers = optimizers
        self.options = options
        self.masks = masks  # of the parameters, where a child of the weights is fixed
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
        if adversarial is None:
            found = gradients_of(loss_of, self.parameters)
        else:
            found = adversarial.gradients(loss_of, self.parameters, self.perturbed)
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
        if self.masks:
            pairs = zip(gradients, self.masks, strict=True)
            gradients = [None if g is None else g * mask for g, mask in pairs]
        elif child is not None:
            gradients = free_mask(gradients, child.share)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        self._mean, self._n_batches, self._n_rows = [], 0, 0
