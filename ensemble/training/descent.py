"""How heads on saved scores are trained: Adam by batches, with training methods, stopped early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ensemble.training.child_tuning import driven_masks, free_mask
from ensemble.training.flooding import flood
from ensemble.training.gradients import added
from ensemble.training.head_methods import PLAIN, HeadMethods
from ensemble.training.label_denoising import similarity_loss
from postproc.evaluation.folds import stratified_folds

Matrix = NDArray[np.float64]
Tensors = list[torch.Tensor]

#: By how much a loss has to fall, in nats, to count as progress.
PROGRESS = 1e-4

#: The inner rows, which decide when to stop, are one part in so many.
INNER_FOLDS = 5

#: Steps an epoch where rows are few, and the bounds of the rows a step.
STEPS, LEAST_BATCH, MOST_BATCH = 8, 16, 256


@dataclass(frozen=True)
class HeadTask:
    """Models trained side by side; where they are K > 1, each parameter has K parts."""

    parameters: Sequence[torch.Tensor]
    inputs: Callable[[torch.Tensor], torch.Tensor]  # of rows (b,): (..., b, p)
    losses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of inputs and rows: (K,)
    # Of inputs: representations (b, d) and logits (b, C) of each model, for label denoising.
    views: Callable[[torch.Tensor], Sequence[tuple[torch.Tensor, torch.Tensor]]]
    penalty: Callable[[], torch.Tensor] | None = None
    n_models: int = 1

    @property
    def trained(self) -> Tensors:
        """The parameters that are trained."""
        return [p for p in self.parameters if p.requires_grad]


class Adam:
    """Adam with its published constants (Kingma and Ba, ICLR 2015, algorithm 1)."""

    # torch.optim would do, but imports the compiler of torch: two seconds before the first step.

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self.parameters = list(parameters)
        self.rate = rate
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = 0

    def step(self, gradients: Iterable[torch.Tensor]) -> None:
        """Make one step down."""
        self.steps += 1
        rate = self.rate / (1 - 0.9**self.steps)
        root = (1 - 0.999**self.steps) ** 0.5
        with torch.no_grad():
            for p, gradient, mean, square in zip(
                self.parameters, gradients, self.means, self.squares, strict=True
            ):
                mean.lerp_(gradient, 0.1)
                square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                p.addcdiv_(mean, square.sqrt().div_(root).add_(1e-8), value=-rate)


class HeadGradients:
    """Gradients of a task by some methods."""

    def __init__(
        self, task: HeadTask, methods: HeadMethods, batches: Iterable[torch.Tensor] = ()
    ) -> None:
        self.task, self.methods = task, methods
        self.masks: Tensors = []  # of the parameters, where a child of them is fixed
        if methods.child_driven is not None:
            self.masks = self._driven(batches, methods.child_driven)

    def of(self, rows: torch.Tensor) -> Tensors:
        """Those of a batch: at the inputs and at the worst ones near them, masked."""
        inputs, trained = self.task.inputs(rows), self.task.trained
        if self.methods.fgm is None:
            found = list(torch.autograd.grad(self._loss(inputs, rows), trained))
        else:
            inputs = inputs.detach().requires_grad_()
            *found, slope = torch.autograd.grad(self._loss(inputs, rows), [*trained, inputs])
            near = inputs.detach() + self.methods.fgm * functional.normalize(slope, dim=-1)
            worst = torch.autograd.grad(self._loss(near, rows), trained)
            found = [both for both in added(found, list(worst)) if both is not None]
        if self.masks:
            return [g * mask for g, mask in zip(found, self.masks, strict=True)]
        if self.methods.child_free is not None:
            return [g for g in free_mask(list(found), self.methods.child_free) if g is not None]
        return found

    def _loss(self, inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        # The models share no parameter, so the gradient of the sum is that of each on its own.
        losses = self.task.losses(inputs, rows)
        if self.methods.label_denoising is not None:
            terms = [similarity_loss(h, z) for h, z in self.task.views(inputs)]
            losses = losses + self.methods.label_denoising * torch.stack(terms)
        if self.methods.flooding is not None:
            losses = flood(losses, torch.full_like(losses, self.methods.flooding))
        return losses.sum() if self.task.penalty is None else losses.sum() + self.task.penalty()

    def _driven(self, batches: Iterable[torch.Tensor], share: float) -> Tensors:
        """Masks of the share of each model's parameters with most Fisher information."""
        plain = HeadGradients(self.task, PLAIN)
        fisher = [torch.zeros_like(p) for p in self.task.trained]
        for rows in batches:
            for total, gradient in zip(fisher, plain.of(rows), strict=True):
                total += gradient**2
        if self.task.n_models == 1:
            return driven_masks(fisher, share)
        own = [driven_masks([f[m] for f in fisher], share) for m in range(self.task.n_models)]
        return [torch.stack(masks) for masks in zip(*own, strict=True)]


@contextmanager
def sown(methods: HeadMethods, device: str, seed: int) -> Iterator[None]:
    """Seed torch's own generator for a while, where a method draws from it."""
    draws = methods.child_free is not None
    devices = [torch.cuda.current_device()] if draws and device == "cuda" else []
    with torch.random.fork_rng(devices, enabled=draws):
        if draws:
            torch.manual_seed(seed)
        yield


def batch_size(n_rows: int) -> int:
    """Rows of a batch where so many are trained on."""
    return min(max(-(-n_rows // STEPS), LEAST_BATCH), MOST_BATCH)


def inner_rows(features: Matrix, y: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Which rows decide when to stop, (n,): a part of each class, by `stratified_folds`."""
    return np.asarray(stratified_folds(features, y, INNER_FOLDS, seed) == 0)


def descend(
    task: HeadTask,
    judge: Callable[[torch.Tensor], torch.Tensor],
    inner: NDArray[np.bool_],
    *,
    rate: float,
    epochs: int,
    patience: int,
    device: str,
    seed: int,
    methods: HeadMethods,
) -> tuple[list[Matrix], Matrix]:
    """Parameters of each model's best epoch, and what `judge` says of the inner rows, (E, K)."""
    held = torch.as_tensor(np.flatnonzero(inner), device=device)
    trained = torch.as_tensor(np.flatnonzero(~inner))
    size = batch_size(len(trained))
    order = torch.Generator().manual_seed(seed)
    adam = Adam(task.trained, rate)
    with torch.no_grad():
        least = judge(held)
    best = [p.detach().clone() for p in task.parameters]
    curve, idle = [least], 0
    with sown(methods, device, seed):
        gradients = HeadGradients(task, methods, trained.to(device).split(size))
        for _ in range(epochs):
            # Rows are drawn on the processor, so that every device sees them in the same order.
            shuffled = trained[torch.randperm(len(trained), generator=order)].to(device)
            for rows in shuffled.split(size):
                adam.step(gradients.of(rows))
            with torch.no_grad():
                now = judge(held)
                better = now < least - PROGRESS
                least = torch.where(better, now, least)
                for kept, p in zip(best, task.parameters, strict=True):
                    if len(better) == 1:
                        kept.copy_(torch.where(better, p, kept))
                    else:
                        kept[better] = p.detach()[better]
            curve.append(now)
            idle = 0 if bool(better.any()) else idle + 1
            if idle >= patience:
                break
    losses = torch.stack(curve).cpu().numpy().astype(np.float64)
    return [p.cpu().numpy().astype(np.float64) for p in best], losses


def as_tensor(values: Matrix, device: str) -> torch.Tensor:
    """In float32: early stopping leaves no digits that float64 would save."""
    return torch.as_tensor(values, dtype=torch.float32, device=device)
