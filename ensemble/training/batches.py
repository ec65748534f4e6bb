"""Batches of torch modules: where they are, what modules make of them, and their random order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from postproc.calibration.affine import fit_temperature, mean_log_loss, temper
from postproc.evaluation.folds import seed_from
from postproc.scores.arrays import log_softmax


def move_batch(batch: Any, device: str) -> tuple[Any, torch.Tensor]:
    """Inputs and labels of a batch on the device; inputs are a tensor, a tuple or a dict."""
    inputs, y = batch
    if isinstance(inputs, Mapping):
        return {key: value.to(device) for key, value in inputs.items()}, y.to(device)
    if isinstance(inputs, tuple | list):
        return tuple(value.to(device) for value in inputs), y.to(device)
    return inputs.to(device), y.to(device)


def module_logits(
    module: nn.Module, inputs: Any, device: str, *, mixed_precision: bool
) -> torch.Tensor:
    """Logits of a module in float32; a tuple of inputs is positional, a dict goes by keyword."""
    precision: AbstractContextManager[Any] = nullcontext()
    if mixed_precision:
        precision = torch.autocast(device, dtype=torch.bfloat16)
    with precision:
        if isinstance(inputs, dict):
            logits = module(**inputs)
        else:
            logits = module(*inputs) if isinstance(inputs, tuple) else module(inputs)
    return logits.float()


def calibrated_log_loss(z: torch.Tensor, y: torch.Tensor) -> float:
    """Log-loss of logits (n, C) in nats, after temperature scaling on the same rows."""
    logs, labels = log_softmax(z.double().numpy()), y.numpy()
    return mean_log_loss(temper(fit_temperature(logs, labels), logs), labels)


def sow(train: Iterable[Any], *words: int) -> None:
    """Seed torch, and the generator of a loader that has one, from a few numbers."""
    seed = seed_from(*words)
    torch.manual_seed(seed)
    generator = getattr(train, "generator", None)
    if generator is not None:
        generator.manual_seed(seed)
