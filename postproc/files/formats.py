"""Formats: each known suffix with its reader and its writer, all of them other libraries' own."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.kinds import Kind

#: Names under which formats with keys hold scores; two of them declare the kind.
SCORE_KEYS: Mapping[str, Kind | None] = {"scores": None, "logits": "logits", "probs": "probs"}
LABEL_KEYS = ("labels", "label", "y")


@dataclass(frozen=True)
class Contents:
    """What a file holds: an array, and the names that came with it."""

    values: NDArray[Any]
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = None
    kind: Kind | None = None


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
    except OSError:
        raise
    except Exception as error:  # every library has errors of its own for damaged files
        reason = str(error).strip() or type(error).__name__
        reason = reason.splitlines()[0]
        if "allow_pickle" in reason or "weights_only" in reason.lower() or "Weights only" in reason:
            reason = "it holds Python objects, and nothing is unpickled; save plain arrays instead"
        msg = f"{path}: cannot be read: {reason}"
        raise ValueError(msg) from error


def write(path: Path, contents: Contents, *, suffix: str) -> None:
    """Write contents to `path` in the format of `suffix`."""
    _WRITERS[suffix.lower()](path, contents)


def _pick(available: Mapping[str, Any], labels: bool) -> tuple[str, Kind | None]:
    """The key that holds what is looked for: a known one, or the only one there is."""
    keys = [key for key in available if key not in ("classes", "ids")]
    wanted = LABEL_KEYS if labels else tuple(SCORE_KEYS)
    known = [key for key in keys if key in wanted]
    if len(known) > 1:
        msg = f"it holds several of the keys {', '.join(known)}; keep one"
        raise ValueError(msg)
    if not known and len(keys) != 1:
        listed = ", ".join(keys) or "none"
        msg = f"it must hold one of the keys {', '.join(wanted)}, got {listed}"
        raise ValueError(msg)
    key = (known or keys)[0]
    return key, None if labels else SCORE_KEYS.get(key)


def _names(values: Any) -> tuple[str, ...] | None:
    return None if values is None else tuple(str(value) for value in values)


def _ids(values: Any) -> NDArray[np.str_] | None:
    return None if values is None else np.asarray(values).astype(np.str_)


def _read_npy(path: Path, labels: bool) -> Contents:
    # A memory map needs bytes to map; an empty array has none.
    try:
        return Contents(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError as error:
        if "empty file" not in str(error) or path.stat().st_size == 0:
            raise
        return Contents(np.load(path, allow_pickle=False))


def _read_npz(path: Path, labels: bool) -> Contents:
    if not zipfile.is_zipfile(path):
        msg = "it is not an .npz archive"
        raise ValueError(msg)
    with np.load(path, allow_pickle=False) as archive:
        key, kind = _pick(dict.fromkeys(archive.files), labels)
        extra = {name: archive[name] for name in ("classes", "ids") if name in archive.files}
        return Contents(archive[key], _names(extra.get("classes")), _ids(extra.get("ids")), kind)


def _read_table(path: Path, labels: bool) -> Contents:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    if labels:
        return _read_label_table(path, delimiter)
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file, delimiter=delimiter), None)
    if not header:
        msg = "it is empty; the first line must hold the class names"
        raise ValueError(msg)
    has_ids = header[0].strip().lower() == "id"
    classes = tuple(name.strip() for name in header[1 if has_ids else 0 :])
    if classes and all(_is_fraction(name) for name in classes):
        msg = (
            f"the first line must hold class names, got numbers ({', '.join(classes[:3])}, ...); "
            "add a header"
        )
        raise ValueError(msg)
    options: dict[str, Any] = {
        "delimiter": delimiter,
        "skiprows": 1,
        "quotechar": '"',
        "comments": None,
        "encoding": "utf-8-sig",
    }
    columns = range(int(has_ids), len(header))
    values = np.loadtxt(path, dtype=np.float64, ndmin=2, usecols=columns, **options)
    ids = np.loadtxt(path, dtype=np.str_, ndmin=1, usecols=0, **options) if has_ids else None
    return Contents(values.reshape(-1, len(classes)), classes, ids)


def _is_fraction(text: str) -> bool:
    """Whether text is a number that no one would name a class: with a point, exponent or sign."""
    try:
        float(text)
    except ValueError:
        return False
    return not text.isdigit()


def _read_label_table(path: Path, delimiter: str) -> Contents:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file, delimiter=delimiter) if line]
    if not lines:
        msg = "it is empty"
        raise ValueError(msg)
    width = len(lines[0])
    for number, line in enumerate(lines, start=1):
        if len(line) != width:
            msg = f"line {number} must have {width} column(s), got {len(line)}"
            raise ValueError(msg)
    header = [name.strip() for name in lines[0]]
    if header[0].lower() == "id":
        body = lines[1:]
        ids = np.array([line[0].strip() for line in body], dtype=np.str_)
        cells = [[cell.strip() for cell in line[1:]] for line in body]
        names = header[1:]
    else:
        # One column: a first line that is no label (not an integer where the rest are) is a header.
        cells = [[cell.strip() for cell in line] for line in lines]
        ids, names = None, None
        rest_are_numbers = all(_is_integer(cell) for line in cells[1:] for cell in line)
        known = header[0].lower() in LABEL_KEYS
        if known or (len(cells) > 1 and rest_are_numbers and not _is_integer(header[0])):
            cells, names = cells[1:], header
    values = np.array(cells, dtype=np.str_)
    if values.ndim == 2 and values.shape[1] == 1:
        return Contents(values[:, 0], None, ids)
    return Contents(values, _names(names), ids)


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def _read_text(path: Path, labels: bool) -> Contents:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        msg = f"line {lines.index('') + 1} must hold a label, got an empty line"
        raise ValueError(msg)
    return Contents(np.array(lines, dtype=np.str_))


def _read_parquet(path: Path, labels: bool) -> Contents:
    parquet = _import_parquet()
    table = parquet.read_table(path)
    ids = None
    if table.column_names and table.column_names[0].lower() == "id":
        ids = _ids(table.column(0).to_pylist())
        table = table.drop_columns([table.column_names[0]])
    columns = [_column(table.column(name)) for name in table.column_names]
    if not columns:
        msg = "it has no columns"
        raise ValueError(msg)
    if labels and len(columns) == 1:
        return Contents(columns[0], None, ids)
    return Contents(np.stack(columns, axis=1), tuple(table.column_names), ids)


def _column(column: Any) -> NDArray[Any]:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        msg = f"column {column._name or ''} must be without nulls, got one in row {row}"
        raise ValueError(msg)
    values = column.to_numpy()
    return values.astype(np.str_) if values.dtype == object else np.asarray(values)


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
        key, kind = _pick(dict.fromkeys(file.keys()), labels)
        metadata = file.metadata() or {}
        bfloat16 = file.get_slice(key).get_dtype() == "BF16"
        values = None if bfloat16 else file.get_tensor(key)
    if bfloat16:  # NumPy has no such type
        with safe_open(path, framework="pt") as file:
            values = file.get_tensor(key).float().numpy()
    classes, ids = (
        json.loads(metadata[name]) if name in metadata else None for name in ("classes", "ids")
    )
    return Contents(np.asarray(values), _names(classes), _ids(ids), kind)


def _read_pt(path: Path, labels: bool) -> Contents:
    import torch

    from postproc.arrays import as_numpy

    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(loaded, torch.Tensor):
        return Contents(as_numpy(loaded))
    if not isinstance(loaded, dict):
        msg = f"it must hold a tensor or a dict of tensors, got {type(loaded).__name__}"
        raise ValueError(msg)
    key, kind = _pick(loaded, labels)
    if not isinstance(loaded[key], torch.Tensor):
        msg = f'"{key}" must be a tensor, got {type(loaded[key]).__name__}'
        raise ValueError(msg)
    values = as_numpy(loaded[key])
    return Contents(values, _names(loaded.get("classes")), _ids(loaded.get("ids")), kind)


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
    np.savez(path, allow_pickle=False, **_named(contents))


def _write_table(path: Path, contents: Contents) -> None:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    header = _header(contents)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header if contents.ids is None else ["id", *header])
        # The shortest digits that read back as the same number of this dtype.
        for row, values in enumerate(contents.values):
            cells = [np.format_float_positional(v, unique=True, trim="-") for v in values]
            writer.writerow(cells if contents.ids is None else [contents.ids[row], *cells])


def _header(contents: Contents) -> list[str]:
    return list(contents.classes or map(str, range(contents.values.shape[1])))


def _write_parquet(path: Path, contents: Contents) -> None:
    parquet = _import_parquet()
    import pyarrow

    columns: dict[str, Any] = {} if contents.ids is None else {"id": contents.ids.tolist()}
    columns |= {name: contents.values[:, j] for j, name in enumerate(_header(contents))}
    parquet.write_table(pyarrow.table(columns), path)


def _write_safetensors(path: Path, contents: Contents) -> None:
    from safetensors.numpy import save_file

    metadata = {}
    if contents.classes is not None:
        metadata["classes"] = json.dumps(contents.classes)
    if contents.ids is not None:
        metadata["ids"] = json.dumps(contents.ids.tolist())
    values = np.ascontiguousarray(contents.values)
    save_file({contents.kind or "scores": values}, path, metadata=metadata or None)


def _write_pt(path: Path, contents: Contents) -> None:
    import torch

    named = _named(contents)
    stored = {
        key: torch.from_numpy(np.ascontiguousarray(value))
        if value.dtype.kind != "U"
        else value.tolist()
        for key, value in named.items()
    }
    torch.save(stored, path)


_READERS: dict[str, Callable[[Path, bool], Contents]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
    ".txt": _read_text,
}
_WRITERS: dict[str, Callable[[Path, Contents], None]] = {
    ".npz": _write_npz,
    ".csv": _write_table,
    ".tsv": _write_table,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
    ".pt": _write_pt,
}
