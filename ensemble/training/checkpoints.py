"""Checkpoints of a training: tensors in safetensors, everything else in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from postproc.files.paths import atomic_path
from postproc.jobs.journal import difference

#: The file that says where training stands; it names the file of the tensors.
STATE = "state.json"


def save_checkpoint(
    folder: Path,
    state: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all, in place of the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"tensors-{state['step']}.safetensors"
    with atomic_path(file, overwrite=True) as temporary:
        save_file({k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}, temporary)
    with atomic_path(folder / STATE, overwrite=True) as temporary:
        content = json.dumps({**state, "settings": settings, "tensors": file.name}, indent=1)
        temporary.write_text(content + "\n", encoding="utf-8")
    for other in folder.glob("tensors-*.safetensors"):
        if other != file:
            other.unlink()


def load_checkpoint(
    folder: Path, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
    """Read a checkpoint of a training with equal settings; None where there is none."""
    file = folder / STATE
    if not file.is_file():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        tensors = load_file(folder / Path(state.pop("tensors")).name)
        changed = difference(state.pop("settings"), settings)
    except (ValueError, KeyError, TypeError, OSError) as error:
        msg = f"{folder}: the checkpoint is damaged: {error}; remove the folder to start again"
        raise ValueError(msg) from None
    if changed is not None:
        msg = f"{folder}: cannot be resumed: {changed}; remove the folder to start again"
        raise ValueError(msg)
    return state, tensors


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, torch.Tensor]:
    """The running means and the like of an optimizer, by name."""
    found = {}
    for index, entry in optimizer.state_dict()["state"].items():
        for key, value in entry.items():
            if value is not None:
                found[f"{prefix}.{index}.{key}"] = torch.as_tensor(value)
    return found


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], prefix: str
) -> None:
    """Put back what `optimizer_tensors` took."""
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            entries.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def part_of(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Tensors below a name."""
    start = f"{name}."
    return {key[len(start) :]: t for key, t in tensors.items() if key.startswith(start)}
