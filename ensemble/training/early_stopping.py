"""Training of some modules until they get no better, from wherever it stands."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ensemble.training.batches import move_batch, sow
from ensemble.training.checkpoints import optimizer_tensors, part_of, restore_optimizer
from ensemble.training.child_tuning import driven_child
from ensemble.training.flooding import found_levels
from ensemble.training.phases import PhaseLoss
from ensemble.training.steps import Stepper

#: Called after each epoch with the phase, the epoch and the modules' losses on the valid rows.
Progress = Callable[[str, int, list[float]], None]


@dataclass
class Standing:
    """Where training stands: everything that a checkpoint has to bring back but tensors."""

    phase: int = 0
    epoch: int = 0
    idle: int = 0
    step: int = 0
    least: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    history: dict[str, list[list[float]]] = field(default_factory=dict)
    accordance: dict[str, list[list[float]]] = field(default_factory=dict)

    def of_next_phase(self) -> Standing:
        """The start of the next phase."""
        return Standing(
            phase=self.phase + 1, step=self.step, history=self.history, accordance=self.accordance
        )


@dataclass(frozen=True)
class EarlyStopping:
    """Epochs of a phase, until `patience` in a row made no module better on the valid rows."""

    loss: PhaseLoss
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer]
    most_epochs: int
    patience: int
    device: str
    seed: int
    save: Callable[[Standing, Mapping[str, torch.Tensor]], None]
    progress: Progress | None

    def run(
        self,
        standing: Standing,
        tensors: Mapping[str, torch.Tensor],
        train: Iterable[Any],
        valid: Iterable[Any],
    ) -> None:
        """Train the modules; each has the weights of its own best epoch in the end."""
        phase, modules = self.loss.phase, self.loss.modules
        optimizers = [self.optimizer(module.parameters()) for module in modules]
        if standing.least:
            best = [part_of(tensors, f"best{m}") for m in range(len(modules))]
            for m, optimizer in enumerate(optimizers):
                restore_optimizer(optimizer, tensors, f"optimizer{m}")
            kept = part_of(tensors, "child")
            masks = [kept[str(at)].to(self.device) for at in range(len(kept))]
        else:
            standing.least = self.loss.judge(valid, self.device)
            standing.history[phase] = [list(standing.least)]
            best = [copy.deepcopy(module.state_dict()) for module in modules]
            masks = self._masks(standing, train)
        standing.levels = standing.levels or self.loss.options.levels(len(modules))
        stepper = Stepper(modules, optimizers, self.loss.options, masks, standing.levels)
        while standing.epoch < self.most_epochs and standing.idle < self.patience:
            self._train(standing, stepper, train)
            if stepper.accordance is not None:
                curves = standing.accordance.setdefault(phase, [])
                curves.append(stepper.accordance.take())
                standing.levels = found_levels(standing.levels, stepper.take_losses(), curves)
                stepper.levels = standing.levels
            losses = self.loss.judge(valid, self.device)
            standing.history[phase].append(losses)
            better = [new < old for new, old in zip(losses, standing.least, strict=True)]
            for m, is_better in enumerate(better):
                if is_better:
                    standing.least[m] = losses[m]
                    best[m] = copy.deepcopy(modules[m].state_dict())
            standing.epoch += 1
            standing.step += 1
            standing.idle = 0 if any(better) else standing.idle + 1
            self.save(standing, _tensors(best, stepper))
            if self.progress is not None:
                self.progress(phase, standing.epoch, losses)
        for module, weights in zip(modules, best, strict=True):
            module.load_state_dict(weights)

    def _masks(self, standing: Standing, train: Iterable[Any]) -> list[torch.Tensor]:
        """Which weights are trained where child tuning fixes them before the first step."""
        child = self.loss.options.child_tuning
        if child is None or child.method != "driven":
            return []
        sow(train, self.seed, standing.phase)
        losses_of = (self.loss.of(*move_batch(batch, self.device)) for batch in train)
        return driven_child(losses_of, self.loss.modules, child.share)

    def _train(self, standing: Standing, stepper: Stepper, train: Iterable[Any]) -> None:
        sow(train, self.seed, standing.phase, standing.epoch)
        for module in self.loss.modules:
            module.train()
        for batch in train:
            inputs, y = move_batch(batch, self.device)
            stepper.add(self.loss.of(inputs, y), len(y))
        stepper.finish()


def _tensors(best: list[dict[str, torch.Tensor]], stepper: Stepper) -> Mapping[str, torch.Tensor]:
    """What a checkpoint keeps of a phase beside the modules: best weights, optimizers, masks."""
    found = {f"child.{at}": mask for at, mask in enumerate(stepper.masks)}
    for m, optimizer in enumerate(stepper.optimizers):
        found |= {f"best{m}.{key}": tensor for key, tensor in best[m].items()}
        found |= optimizer_tensors(optimizer, f"optimizer{m}")
    return found
