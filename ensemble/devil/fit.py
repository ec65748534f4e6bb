"""Training of the heads of a Devil's Advocate ensemble on saved logits, in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ensemble.devil.losses import Negatives, devil_loss, discussion_loss

Matrix = NDArray[np.float64]

#: Step of Adam for each head. All entries of a matrix move each logit, so they take shorter steps.
LEARNING_RATES = {"bias": 0.01, "scale-bias": 0.01, "affine": 0.003}

#: Step of Adam for the devil, divided by the root of the number of its features: all of them
#: move each logit, and together they would overshoot.
DEVIL_LEARNING_RATE = 0.01

#: The devil starts far from its goal, the norm models near theirs.
DEVIL_EPOCHS = 2.5

#: By how much a loss has to fall, in nats, to count as progress.
PROGRESS = 1e-4

#: Steps an epoch where rows are few, and the bounds of the rows a step.
STEPS, LEAST_BATCH, MOST_BATCH = 8, 16, 256


@dataclass(frozen=True)
class Training:
    """How heads are trained."""

    epochs: int
    patience: int
    decay: float
    negatives: Negatives
    device: str


@dataclass(frozen=True)
class Trained:
    """Parameters of the best epoch, and how training went."""

    slopes: Matrix
    biases: Matrix
    curve: Matrix


def train_devil(
    inputs: Matrix, y: NDArray[np.int64], inner: NDArray[np.bool_], how: Training, seed: int
) -> Trained:
    """Train the devil, an affine map of all members' features that starts at zero."""
    n_members, n_rows, n_classes = inputs.shape
    flat = np.ascontiguousarray(inputs.transpose(1, 0, 2)).reshape(n_rows, -1)
    x, labels = _tensor(flat, how.device), torch.as_tensor(y, device=how.device)
    coef = torch.zeros(n_members * n_classes, n_classes, device=how.device, requires_grad=True)
    intercept = torch.zeros(n_classes, device=how.device, requires_grad=True)
    draws = torch.Generator(how.device).manual_seed(seed)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        z_0 = torch.addmm(intercept, x[rows], coef)
        return devil_loss(z_0, labels[rows], negatives=how.negatives, generator=draws)

    def judge(rows: torch.Tensor) -> torch.Tensor:
        z_0 = torch.addmm(intercept, x[rows], coef)
        return devil_loss(z_0, labels[rows], negatives="expected")[None]

    rate = DEVIL_LEARNING_RATE / float(np.sqrt(flat.shape[1]))
    epochs = int(DEVIL_EPOCHS * how.epochs)
    best, curve = _descend((coef, intercept), loss, judge, inner, how, rate, epochs, seed)
    return Trained(best[0], best[1], curve)


def train_norms(
    inputs: Matrix,
    y: NDArray[np.int64],
    z_0: Matrix | None,
    inner: NDArray[np.bool_],
    how: Training,
    seed: int,
    *,
    head: str,
    discussion_weight: float,
) -> Trained:
    """Train the norm models in discussion with the devil; all start as the identity."""
    n_members, _, n_classes = inputs.shape
    x, labels = _tensor(inputs, how.device), torch.as_tensor(y, device=how.device)
    devil = None if z_0 is None else _tensor(z_0, how.device)
    square = head == "affine"
    shape = (n_members, n_classes, n_classes) if square else (n_members, 1, n_classes)
    slopes = torch.zeros(shape, device=how.device, requires_grad=head != "bias")
    biases = torch.zeros(n_members, 1, n_classes, device=how.device, requires_grad=True)
    learned = [p for p in (slopes, biases) if p.requires_grad]

    def logits(rows: torch.Tensor) -> torch.Tensor:
        z = x[:, rows]
        if head == "bias":
            return z + biases
        return z + (torch.baddbmm(biases, z, slopes) if square else z * slopes + biases)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        heard = None if devil is None else devil[rows]
        losses = discussion_loss(
            logits(rows), heard, labels[rows], discussion_weight=discussion_weight
        )
        # The models share no parameter, so the gradient of the sum is that of each on its own.
        distance = torch.stack([p.square().sum() for p in learned]).sum()
        return losses.sum() + how.decay * distance

    def judge(rows: torch.Tensor) -> torch.Tensor:
        z = logits(rows).flatten(0, 1)
        wanted = labels[rows].repeat(n_members)
        return functional.cross_entropy(z, wanted, reduction="none").view(n_members, -1).mean(1)

    start = (slopes, biases)
    best, curve = _descend(start, loss, judge, inner, how, LEARNING_RATES[head], how.epochs, seed)
    return Trained(best[0] if square else best[0][:, 0], best[1][:, 0], curve)


class Adam:
    """Adam with its published constants (Kingma and Ba, ICLR 2015, algorithm 1)."""

    # torch.optim would do, but imports the compiler of torch: two seconds before the first step.

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self.parameters = list(parameters)
        self.rate = rate
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = 0

    def step(self, loss: torch.Tensor) -> None:
        """Make one step down the gradient of a loss."""
        gradients = torch.autograd.grad(loss, self.parameters)
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


def _descend(
    parameters: Sequence[torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    judge: Callable[[torch.Tensor], torch.Tensor],
    inner: NDArray[np.bool_],
    how: Training,
    rate: float,
    epochs: int,
    seed: int,
) -> tuple[list[Matrix], Matrix]:
    """Adam with early stopping; `judge` gives the losses of the models on the inner rows."""
    held = torch.as_tensor(np.flatnonzero(inner), device=how.device)
    trained = torch.as_tensor(np.flatnonzero(~inner))
    size = min(max(-(-len(trained) // STEPS), LEAST_BATCH), MOST_BATCH)
    order = torch.Generator().manual_seed(seed)
    adam = Adam([p for p in parameters if p.requires_grad], rate)
    with torch.no_grad():
        least = judge(held)
    best = [p.detach().clone() for p in parameters]
    curve, idle = [least], 0
    for _ in range(epochs):
        # Rows are drawn on the processor, so that every device sees them in the same order.
        shuffled = trained[torch.randperm(len(trained), generator=order)].to(how.device)
        for rows in shuffled.split(size):
            adam.step(loss(rows))
        with torch.no_grad():
            now = judge(held)
            better = now < least - PROGRESS
            least = torch.where(better, now, least)
            for kept, p in zip(best, parameters, strict=True):
                if len(better) == 1:
                    kept.copy_(torch.where(better, p, kept))
                else:
                    kept[better] = p.detach()[better]
        curve.append(now)
        idle = 0 if bool(better.any()) else idle + 1
        if idle >= how.patience:
            break
    losses = torch.stack(curve).cpu().numpy().astype(np.float64)
    return [p.cpu().numpy().astype(np.float64) for p in best], losses


def _tensor(values: Matrix, device: str) -> torch.Tensor:
    """In float32: early stopping leaves no digits that float64 would save."""
    return torch.as_tensor(values, dtype=torch.float32, device=device)


def check_device(device: Any) -> str:
    """Return a device that torch has here."""
    from postproc.jobs import cuda as devices
    from postproc.scores.checks import check_choice

    check_choice(device, "device", ("cpu", "cuda"))
    devices.check_device(device)
    return str(device)
