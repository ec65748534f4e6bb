"""Formats: each known suffix with its reader and its writer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.containers import (
    read_npz,
    read_pt,
    read_safetensors,
    write_npz,
    write_pt,
    write_safetensors,
)
from postproc.files.contents import Contents
from postproc.files.delimited import (
    read_delimited,
    read_delimited_labels,
    read_lines,
    write_delimited,
)
from postproc.files.dialects import is_marked, is_table
from postproc.files.parquet import read_parquet, write_parquet
from postproc.files.paths import suffix_of
from postproc.files.reading import Reading
from postproc.files.records import read_records, write_records
from postproc.files.table_contents import labels_of, scores_of
from postproc.scores.checks import is_of_data
from postproc.scores.tables.column_names import may_be_ids
from postproc.scores.tables.tables import Table, is_number, refuse

#: Characters of another library's message that are shown: some quote what is in the file.
MOST_SAID = 300


def read(path: Path, reading: Reading | None = None, *, labels: bool = False) -> Contents:
    """Read a file of predictions (or of labels) by its suffix; ValueError if it is damaged."""
    with reading_of(path):
        contents = _READERS[suffix_of(path)](path, reading or Reading(), labels)
        _check_text(contents.values)
        return contents


def read_table(path: Path) -> Table | None:
    """Read a table as it stands, before it is decided what its columns hold; None for others."""
    suffix = suffix_of(path).removesuffix(".gz")
    with reading_of(path):
        if suffix in (".csv", ".tsv") or (suffix == ".txt" and is_table(path)):
            delimiter = "," if suffix == ".csv" else "\t"
            return read_delimited(path, delimiter=delimiter, as_text=lambda name: False)
        if suffix in (".jsonl", ".json") or (suffix == ".txt" and is_marked(path)):
            return read_records(path)
        return read_parquet(path) if suffix == ".parquet" else None


@contextmanager
def reading_of(path: Path) -> Iterator[None]:
    """Turn the errors of libraries that read a file into a ValueError that names it."""
    try:
        yield
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
        return "it must be UTF-8 text; save it so, or use iconv -f latin1 -t utf-8"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if any(word in reason for word in ("allow_pickle", "Weights only", "Python objects in dtype")):
        return "it holds Python objects, and nothing is unpickled; save plain arrays instead"
    return reason if is_of_data(error) else reason[:MOST_SAID]


def _check_text(values: Any) -> None:
    """Refuse text whose characters do not exist, of which NumPy and Python make errors."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.size:
        codes = np.dtype(np.uint32).newbyteorder(values.dtype.byteorder)
        if np.ascontiguousarray(values).view(codes).max() > sys.maxunicode:
            refuse("its text is damaged")


def check_writer(path: Path) -> None:
    """Check that the package is there that writes the format of a suffix; ImportError if not."""
    suffix = suffix_of(path)
    package, install = _PACKAGES.get(suffix, ("numpy", ""))
    if find_spec(package) is None:
        msg = f"{path}: {suffix} needs {package}; pip install {install}"
        raise ImportError(msg)


def write(path: Path, contents: Contents, *, suffix: str) -> None:
    """Write contents to `path` in the format of `suffix`."""
    _WRITERS[suffix.lower()](path, contents)


def _read_npy(path: Path, reading: Reading, labels: bool) -> Contents:
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


def write_npy_blocks(
    path: Path, blocks: Iterable[NDArray[Any]], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Write an `.npy` file of a known shape from row blocks in order.

    Written as a stream, so that a full disk raises an OSError: a memory map would end the process,
    and `numpy.save` loses the end of a small array in silence.
    """
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _read_delimited(path: Path, reading: Reading, labels: bool, *, delimiter: str) -> Contents:
    if labels:
        return labels_of(read_delimited_labels(path, delimiter=delimiter), reading)
    as_text = partial(may_be_ids, reading=reading)
    return scores_of(read_delimited(path, delimiter=delimiter, as_text=as_text), reading)


def _read_records(path: Path, reading: Reading, labels: bool) -> Contents:
    table = read_records(path, labels=labels)
    return (labels_of if labels else scores_of)(table, reading)


def _read_parquet(path: Path, reading: Reading, labels: bool) -> Contents:
    return (labels_of if labels else scores_of)(read_parquet(path), reading)


def _read_text(path: Path, reading: Reading, labels: bool) -> Contents:
    """One label a line, predictions of fastText, or a table as `numpy.savetxt` writes it."""
    if not labels and is_marked(path):
        return _read_records(path, reading, labels)
    if not labels and is_table(path):
        return _read_delimited(path, reading, labels, delimiter="\t")
    contents = read_lines(path)
    if labels or not all(map(is_number, contents.values)):
        return contents
    return Contents(contents.values.astype(np.float64))


_READERS: dict[str, Callable[[Path, Reading, bool], Contents]] = {
    ".npy": _read_npy,
    ".npz": read_npz,
    ".csv": partial(_read_delimited, delimiter=","),
    ".tsv": partial(_read_delimited, delimiter="\t"),
    ".csv.gz": partial(_read_delimited, delimiter=","),
    ".tsv.gz": partial(_read_delimited, delimiter="\t"),
    ".jsonl": _read_records,
    ".parquet": _read_parquet,
    ".safetensors": read_safetensors,
    ".pt": read_pt,
    ".pth": read_pt,
    ".txt": _read_text,
    ".json": _read_records,
}
_WRITERS: dict[str, Callable[[Path, Contents], None]] = {
    ".npz": write_npz,
    ".csv": partial(write_delimited, delimiter=","),
    ".tsv": partial(write_delimited, delimiter="\t"),
    ".csv.gz": partial(write_delimited, delimiter=",", compressed=True),
    ".tsv.gz": partial(write_delimited, delimiter="\t", compressed=True),
    ".jsonl": write_records,
    ".parquet": write_parquet,
    ".safetensors": write_safetensors,
    ".pt": write_pt,
    ".pth": write_pt,
}

#: Packages that not everyone has, by the suffix that needs them, and how to get them.
_PACKAGES = {
    ".parquet": ("pyarrow", '"postproc[parquet]"'),
    ".safetensors": ("safetensors", "safetensors"),
    ".pt": ("torch", "torch"),
    ".pth": ("torch", "torch"),
    ".zarr": ("zarr", '"postproc[zarr]"'),
}
