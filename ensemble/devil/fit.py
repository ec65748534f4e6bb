"""Training of the heads of a Devil's Advocate ensemble on saved logits, in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ensemble.devil.losses import Negatives, devil_loss, discussion_loss
from ensemble.training.descent import HeadTask, as_tensor, descend
from ensemble.training.head_methods import PLAIN, HeadMethods

Matrix = NDArray[np.float64]

#: Step of Adam for each head. All entries of a matrix move each logit, so they take shorter steps.
LEARNING_RATES = {"bias": 0.01, "scale-bias": 0.01, "affine": 0.003}

#: Step of Adam for the devil, divided by the root of the number of its features: all of them
#: move each logit, and together they would overshoot.
DEVIL_LEARNING_RATE = 0.01

#: The devil starts far from its goal, the norm models near theirs.
DEVIL_EPOCHS = 2.5


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
    x, labels = as_tensor(flat, how.device), torch.as_tensor(y, device=how.device)
    coef = torch.zeros(n_members * n_classes, n_classes, device=how.device, requires_grad=True)
    intercept = torch.zeros(n_classes, device=how.device, requires_grad=True)
    draws = torch.Generator(how.device).manual_seed(seed)

    def losses(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        z_0 = torch.addmm(intercept, inputs, coef)
        return devil_loss(z_0, labels[rows], negatives=how.negatives, generator=draws)[None]

    def judge(rows: torch.Tensor) -> torch.Tensor:
        z_0 = torch.addmm(intercept, x[rows], coef)
        return devil_loss(z_0, labels[rows], negatives="expected")[None]

    best, curve = descend(
        HeadTask((coef, intercept), lambda rows: x[rows], losses, lambda inputs: ()),
        judge,
        inner,
        rate=DEVIL_LEARNING_RATE / float(np.sqrt(flat.shape[1])),
        epochs=int(DEVIL_EPOCHS * how.epochs),
        patience=how.patience,
        device=how.device,
        seed=seed,
        methods=PLAIN,
    )
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
    methods: HeadMethods,
) -> Trained:
    """Train the norm models in discussion with the devil; all start as the identity."""
    n_members, _, n_classes = inputs.shape
    x, labels = as_tensor(inputs, how.device), torch.as_tensor(y, device=how.device)
    devil = None if z_0 is None else as_tensor(z_0, how.device)
    square = head == "affine"
    shape = (n_members, n_classes, n_classes) if square else (n_members, 1, n_classes)
    slopes = torch.zeros(shape, device=how.device, requires_grad=head != "bias")
    biases = torch.zeros(n_members, 1, n_classes, device=how.device, requires_grad=True)
    learned = [p for p in (slopes, biases) if p.requires_grad]

    def logits(z: torch.Tensor) -> torch.Tensor:
        if head == "bias":
            return z + biases
        return z + (torch.baddbmm(biases, z, slopes) if square else z * slopes + biases)

    def losses(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        heard = None if devil is None else devil[rows]
        z, wanted = logits(inputs), labels[rows]
        return discussion_loss(z, heard, wanted, discussion_weight=discussion_weight)

    def views(inputs: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(zip(inputs, logits(inputs), strict=True))

    def penalty() -> torch.Tensor:
        return how.decay * torch.stack([p.square().sum() for p in learned]).sum()

    def judge(rows: torch.Tensor) -> torch.Tensor:
        z = logits(x[:, rows]).flatten(0, 1)
        wanted = labels[rows].repeat(n_members)
        return functional.cross_entropy(z, wanted, reduction="none").view(n_members, -1).mean(1)

    best, curve = descend(
        HeadTask((slopes, biases), lambda rows: x[:, rows], losses, views, penalty, n_members),
        judge,
        inner,
        rate=LEARNING_RATES[head],
        epochs=how.epochs,
        patience=how.patience,
        device=how.device,
        seed=seed,
        methods=methods,
    )
    return Trained(best[0] if square else best[0][:, 0], best[1][:, 0], curve)


def check_device(device: Any) -> str:
    """Return a device that torch has here."""
    from postproc.jobs import cuda as devices
    from postproc.scores.checks import check_choice

    check_choice(device, "device", ("cpu", "cuda"))
    devices.check_device(device)
    return str(device)
