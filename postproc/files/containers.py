"""Containers: formats that hold arrays under keys, .npz, .safetensors and .pt."""

from __future__ import annotations

import errno
import json
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from postproc.files.contents import (
    NAME_KEYS,
    Contents,
    check_expansion,
    class_tuple,
    id_array,
    key_note,
    pick_key,
    row_names,
)
from postproc.files.reading import Reading
from postproc.scores.checks import one_line
from postproc.scores.tables.tables import refuse

if TYPE_CHECKING:
    import torch


def read_npz(path: Path, reading: Reading, labels: bool) -> Contents:
    """Read an archive of arrays."""
    if not zipfile.is_zipfile(path):
        refuse("it is not an .npz archive")
    with np.load(path, allow_pickle=False) as archive:
        check_expansion(path, sum(member.file_size for member in archive.zip.infolist()))
        key, kind = pick_key(archive.files, reading, labels, lambda key: np.ndim(archive[key]))
        wanted = {name: archive[name] for name in (key, *NAME_KEYS) if name in archive.files}
        if any(not isinstance(member, np.ndarray) for member in wanted.values()):
            refuse("its members must be arrays")
        said = () if labels or reading.key else key_note(key, len(archive.files))
        ids, noted = row_names(archive.files, lambda key: archive[key], wanted[key])
    classes = class_tuple(wanted.get("classes"))
    return Contents(wanted[key], classes, ids, kind, notes=(*said, *noted))


def read_safetensors(path: Path, reading: Reading, labels: bool) -> Contents:
    """Read tensors; names may be metadata."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        keys = list(file.keys())
        key, kind = pick_key(
            keys, reading, labels, lambda key: len(file.get_slice(key).get_shape())
        )
        metadata = file.metadata() or {}
        names = {name: file.get_tensor(name) for name in NAME_KEYS if name in keys}
        names |= {name: json.loads(metadata[name]) for name in metadata if name in NAME_KEYS}
        bfloat16 = file.get_slice(key).get_dtype() == "BF16"
        values = None if bfloat16 else file.get_tensor(key)
    if bfloat16:  # NumPy has no such type
        with safe_open(path, framework="pt") as file:
            values = file.get_tensor(key).float().numpy()
    classes, ids = class_tuple(names.get("classes")), id_array(names.get("ids"))
    return Contents(np.asarray(values), classes, ids, kind, narrow=bfloat16)


def read_pt(path: Path, reading: Reading, labels: bool) -> Contents:
    """Read a tensor, a dict of tensors, or a list of either, one a batch."""
    import torch

    from postproc.scores.arrays import as_numpy

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old protocols; what matters here is an error
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "Weights only" in str(error):
            raise
        refuse("it is damaged, or was not written by torch.save")
    for tensor in _tensors(loaded):
        if tensor.nbytes > max(2**20, tensor.untyped_storage().nbytes()):
            refuse("a tensor in it repeats few numbers without holding them; save tensor.clone()")
    if isinstance(loaded, list) and loaded and all(_is_parts(batch) for batch in loaded):
        loaded = _joined_parts(loaded)
    if _is_parts(loaded):  # what fastai's `get_preds` gives, or a `predict_step`
        loaded = _parts(loaded)
    if isinstance(loaded, list):
        loaded = _joined(loaded)
    if isinstance(loaded, torch.Tensor):
        return Contents(as_numpy(loaded), narrow=loaded.dtype == torch.bfloat16)
    if not isinstance(loaded, dict):
        refuse(f"it must hold a tensor or a dict of tensors, got {type(loaded).__name__}")
    key, kind = pick_key(loaded, reading, labels, lambda key: _n_dims(loaded[key]))
    tensor = _joined(loaded[key]) if isinstance(loaded[key], list) else loaded[key]
    if not isinstance(tensor, torch.Tensor):
        refuse(f'"{key}" must be a tensor, got {type(tensor).__name__}')
    ids, said = row_names(loaded, lambda key: loaded[key], tensor)
    is_narrow = tensor.dtype == torch.bfloat16
    classes = class_tuple(loaded.get("classes"))
    return Contents(as_numpy(tensor), classes, ids, kind, narrow=is_narrow, notes=said)


def _is_parts(value: Any) -> bool:
    """Whether a tuple or list holds scores of some rows and, in vectors, more about each."""
    if not isinstance(value, tuple | list) or len(value) < 2:
        return False
    n_dims = [getattr(part, "ndim", None) for part in value]
    if n_dims.count(2) != 1 or not set(n_dims) <= {0, 1, 2}:
        return False
    return len({len(part) for part in value if part.ndim}) == 1


def _parts(value: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scores, the labels that come after them, and whole numbers too large for labels, as ids."""
    place = next(at for at, part in enumerate(value) if part.ndim == 2)
    n_classes = max(2, value[place].shape[1])
    vectors = {at: part for at, part in enumerate(value) if part.ndim == 1 and len(part)}
    ids = [
        at
        for at, part in vectors.items()
        if not part.is_floating_point() and part.max() >= n_classes
    ]
    labels = [at for at in vectors if at > place and at not in ids]
    found = {"scores": value[place]}
    if len(ids) == 1:
        found["ids"] = vectors[ids[0]]
    if len(labels) == 1:
        found["labels"] = vectors[labels[0]]
    return found


def _joined_parts(batches: Sequence[Sequence[torch.Tensor]]) -> tuple[Any, ...]:
    """Each part of all batches one after another; single numbers, such as losses, are left out."""
    if len({tuple(part.ndim for part in batch) for batch in batches}) > 1:
        refuse("its batches must have the same parts, in one order")
    kept = [at for at, part in enumerate(batches[0]) if part.ndim]
    return tuple(_joined([batch[at] for batch in batches]) for at in kept)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in lists and dicts."""
    if hasattr(value, "untyped_storage"):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _n_dims(value: Any) -> int:
    """Number of dimensions of a tensor, or of batches of it."""
    return _n_dims(value[0]) if isinstance(value, list) and value else getattr(value, "ndim", 0)


def _joined(batches: Sequence[Any]) -> torch.Tensor | dict[Any, Any]:
    """Batches one after another: tensors of one width, or dicts of such tensors."""
    import torch

    if not batches:
        refuse("it must hold batches of tensors, got an empty list")
    first = batches[0]
    if isinstance(first, dict) and all(
        isinstance(batch, dict) and batch.keys() == first.keys() for batch in batches
    ):
        return {key: _joined_key([batch[key] for batch in batches]) for key in first}
    for number, batch in enumerate(batches):
        if not isinstance(batch, torch.Tensor) or batch.ndim not in (1, 2):
            what = type(batch).__name__
            if isinstance(batch, torch.Tensor):
                what = f"one of shape {tuple(batch.shape)}"
            mend = "save one torch.cat(batches), or a dict with the keys logits, labels and ids"
            rule = "each of its batches must be a tensor of rows"
            refuse(f"{rule}, got {what} as batch {number}; {mend}")
        if batch.shape[1:] != first.shape[1:]:
            width, wanted = tuple(batch.shape[1:]), tuple(first.shape[1:])
            refuse(f"its batches must have rows of one shape, {wanted}, got {width} in {number}")
    return torch.cat(list(batches))


def _joined_key(values: Sequence[Any]) -> Any:
    """What stands under one key of all batches; what is no tensor is left as it is."""
    import torch

    if all(isinstance(value, torch.Tensor) and value.ndim in (1, 2) for value in values):
        return _joined(values)
    if all(isinstance(value, list | tuple) for value in values):
        return [each for value in values for each in value]
    return values[0]


def named(contents: Contents) -> dict[str, Any]:
    """Arrays by their keys."""
    arrays: dict[str, Any] = {contents.kind or "scores": contents.values}
    if contents.classes is not None:
        arrays["classes"] = np.array(contents.classes, dtype=np.str_)
    if contents.ids is not None:
        arrays["ids"] = contents.ids
    return arrays


def write_npz(path: Path, contents: Contents) -> None:
    """Write an archive of arrays."""
    with path.open("wb") as file:  # to a path NumPy would add a suffix of its own
        np.savez(file, allow_pickle=False, **named(contents))


def write_safetensors(path: Path, contents: Contents) -> None:
    """Write one tensor, with names as metadata."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    metadata = {}
    if contents.classes is not None:
        metadata["classes"] = json.dumps(contents.classes)
    if contents.ids is not None:
        metadata["ids"] = json.dumps(contents.ids.tolist())
    values = np.ascontiguousarray(contents.values)
    try:
        save_file({contents.kind or "scores": values}, path, metadata=metadata or None)
    except SafetensorError as error:
        raise _unwritten(error) from error


def write_pt(path: Path, contents: Contents) -> None:
    """Write a dict of tensors, with lists of names."""
    import torch

    stored = {
        key: torch.from_numpy(np.ascontiguousarray(value))
        if value.dtype.kind != "U"
        else value.tolist()
        for key, value in named(contents).items()
    }
    try:
        with path.open("wb") as file:  # given a path, the archive would hold its name
            torch.save(stored, file)
    except RuntimeError as error:
        raise _unwritten(error) from error


def _unwritten(error: Exception) -> OSError:
    """A package's own error of a disk, which may be full, as one of the system."""
    return OSError(errno.EIO, f"cannot be written; is the disk full? {one_line(error)}")
