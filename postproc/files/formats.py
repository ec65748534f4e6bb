"""Formats: each known suffix with its reader and its writer, all of them other libraries' own."""

from __future__ import annotations

import errno
import json
import warnings
import zipfile
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import (
    Contents,
    check_column_names,
    class_tuple,
    id_array,
    pick_key,
    refuse,
)
from postproc.files.tables import header_of, read_table, read_text, write_table
from postproc.scores.checks import one_line

#: Keys under which formats with keys hold names.
NAME_KEYS = ("classes", "ids")


def read(path: Path, *, labels: bool = False) -> Contents:
    """Read a file of predictions (or of labels) by its suffix.

    Raises
    ------
    ValueError
        If the file is damaged, holds Python objects, or lacks what is looked for.
    """
    try:
        return _READERS[path.suffix.lower()](path, labels)
    except ImportError as error:
        msg = f"{path}: {error}"
        raise ImportError(msg) from None
    except Exception as error:  # every library has errors of its own for damaged files
        if isinstance(error, OSError) and error.filename is not None:
            raise
        msg = f"{path}: cannot be read: {_reason(error)}"
        raise ValueError(msg) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it must be UTF-8 text"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if any(word in reason for word in ("allow_pickle", "Weights only", "Python objects in dtype")):
        return "it holds Python objects, and nothing is unpickled; save plain arrays instead"
    return reason


def check_writer(path: Path) -> None:
    """Check that the package is there that writes the format of a suffix.

    Raises
    ------
    ImportError
        If it is missing; the message says how to get it.
    """
    package, install = _PACKAGES.get(path.suffix.lower(), ("numpy", ""))
    if find_spec(package) is None:
        msg = f"{path}: {path.suffix.lower()} needs {package}; pip install {install}"
        raise ImportError(msg)


def write(path: Path, contents: Contents, *, suffix: str) -> None:
    """Write contents to `path` in the format of `suffix`."""
    _WRITERS[suffix.lower()](path, contents)


def _read_npy(path: Path, labels: bool) -> Contents:
    with path.open("rb") as file:
        start = file.read(len(np.lib.format.MAGIC_PREFIX))
    if not start:
        refuse("it is empty")
    if start != np.lib.format.MAGIC_PREFIX:
        refuse("it is not an .npy file")
    try:
        return Contents(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError as error:
        if "mmap length" in str(error):
            refuse("it is shorter than its header says")
        # A memory map needs bytes to map; an array without rows has none.
        if "empty file" not in str(error):
            raise
        return Contents(np.load(path, allow_pickle=False))


def _read_npz(path: Path, labels: bool) -> Contents:
    if not zipfile.is_zipfile(path):
        refuse("it is not an .npz archive")
    with np.load(path, allow_pickle=False) as archive:
        key, kind = pick_key(dict.fromkeys(archive.files), labels)
        wanted = {name: archive[name] for name in (key, *NAME_KEYS) if name in archive.files}
    if any(not isinstance(member, np.ndarray) for member in wanted.values()):
        refuse("its members must be arrays")
    classes, ids = class_tuple(wanted.get("classes")), id_array(wanted.get("ids"))
    return Contents(wanted[key], classes, ids, kind)


def _read_parquet(path: Path, labels: bool) -> Contents:
    table = _import_parquet().read_table(path)
    names = list(table.column_names)
    columns = [_column(column, name) for column, name in zip(table.columns, names, strict=True)]
    ids = None
    if names and names[0].lower() == "id":
        ids, names, columns = id_array(columns[0]), names[1:], columns[1:]
    if labels and len(columns) == 1:
        return Contents(columns[0], None, ids)
    check_column_names(names)
    return Contents(np.stack(columns, axis=1), tuple(names), ids)


def _column(column: Any, name: str) -> NDArray[Any]:
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        refuse(f"column {name!r} must be without nulls, got one in row {row}")
    if types.is_decimal(kind):
        return np.array(column.to_pylist(), dtype=np.float64)
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array(column.to_pylist(), dtype=np.str_)
    if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
        refuse(f"column {name!r} must hold numbers or text, got {kind}")
    return np.asarray(column.to_numpy())


def _import_parquet() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        msg = '.parquet needs pyarrow; pip install "postproc[parquet]"'
        raise ImportError(msg) from None
    return parquet


def _read_safetensors(path: Path, labels: bool) -> Contents:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        keys = list(file.keys())
        key, kind = pick_key(dict.fromkeys(keys), labels)
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


def _read_pt(path: Path, labels: bool) -> Contents:
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
    if isinstance(loaded, torch.Tensor):
        return Contents(as_numpy(loaded), narrow=loaded.dtype == torch.bfloat16)
    if not isinstance(loaded, dict):
        refuse(f"it must hold a tensor or a dict of tensors, got {type(loaded).__name__}")
    key, kind = pick_key(loaded, labels)
    tensor = loaded[key]
    if not isinstance(tensor, torch.Tensor):
        refuse(f'"{key}" must be a tensor, got {type(tensor).__name__}')
    classes, ids = class_tuple(loaded.get("classes")), id_array(loaded.get("ids"))
    return Contents(as_numpy(tensor), classes, ids, kind, narrow=tensor.dtype == torch.bfloat16)


def write_npy_blocks(
    path: Path, blocks: Iterable[NDArray[Any]], *, shape: tuple[int, int], dtype: np.dtype[Any]
) -> None:
    """Write an `.npy` file of a known shape from row blocks in order.

    Written as a stream and not through a memory map, so that a full disk raises an OSError.
    """
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _named(contents: Contents) -> dict[str, Any]:
    named: dict[str, Any] = {contents.kind or "scores": contents.values}
    if contents.classes is not None:
        named["classes"] = np.array(contents.classes, dtype=np.str_)
    if contents.ids is not None:
        named["ids"] = contents.ids
    return named


def _write_npz(path: Path, contents: Contents) -> None:
    with path.open("wb") as file:  # to a path NumPy would add a suffix of its own
        np.savez(file, allow_pickle=False, **_named(contents))


def _write_parquet(path: Path, contents: Contents) -> None:
    parquet = _import_parquet()
    import pyarrow

    columns: dict[str, Any] = {} if contents.ids is None else {"id": contents.ids.tolist()}
    columns |= {name: contents.values[:, j] for j, name in enumerate(header_of(contents))}
    parquet.write_table(pyarrow.table(columns), path)


def _write_safetensors(path: Path, contents: Contents) -> None:
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


def _write_pt(path: Path, contents: Contents) -> None:
    import torch

    named = _named(contents)
    stored = {
        key: torch.from_numpy(np.ascontiguousarray(value))
        if value.dtype.kind != "U"
        else value.tolist()
        for key, value in named.items()
    }
    try:
        torch.save(stored, path)
    except RuntimeError as error:
        raise _unwritten(error) from error


def _unwritten(error: Exception) -> OSError:
    """A package's own error of a disk, which may be full, as one of the system."""
    return OSError(errno.EIO, f"cannot be written; is the disk full? {one_line(error)}")


_READERS: dict[str, Callable[[Path, bool], Contents]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": read_table,
    ".tsv": read_table,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
    ".txt": read_text,
}
_WRITERS: dict[str, Callable[[Path, Contents], None]] = {
    ".npz": _write_npz,
    ".csv": write_table,
    ".tsv": write_table,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
    ".pt": _write_pt,
}

#: Packages that not everyone has, by the suffix that needs them, and how to get them.
_PACKAGES = {
    ".parquet": ("pyarrow", '"postproc[parquet]"'),
    ".safetensors": ("safetensors", "safetensors"),
    ".pt": ("torch", "torch"),
    ".zarr": ("zarr", '"postproc[zarr]"'),
}
