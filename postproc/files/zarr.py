"""Zarr arrays as inputs and outputs; they require the package zarr."""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.files.paths import flush
from postproc.scores.sources import Source, SourceChangedError
from postproc.scores.tables.tables import refuse

#: Files that mark the folder of a Zarr array, in versions 3 and 2 of the format.
ZARR_FILES = ("zarr.json", ".zarray")

#: Most chunks of an array that is read.
MOST_CHUNKS = 10**6

#: Names of chunks in version 2.
CHUNK = re.compile(r"\d+(\.\d+)*")


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the folder of a Zarr array."""
    return any((Path(path) / name).is_file() for name in ZARR_FILES)


def is_array_alone(path: Path) -> bool:
    """Whether a folder is a Zarr array, not a group, and contains only its files."""
    names = {entry.name for entry in path.iterdir()}
    if "zarr.json" in names:
        return _node_type(path / "zarr.json") == "array" and names <= {"zarr.json", "c"}
    known = {".zarray", ".zattrs"}
    return ".zarray" in names and all(CHUNK.fullmatch(name) for name in names - known)


def _node_type(path: Path) -> Any:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found.get("node_type") if isinstance(found, dict) else None


def import_zarr(path: str | os.PathLike[str]) -> Any:
    """Import zarr, or raise an ImportError that says how to install it."""
    try:
        import zarr
    except ImportError:
        msg = f'{path}: Zarr arrays require zarr; pip install "postproc[zarr]"'
        raise ImportError(msg) from None
    return zarr


@dataclass(frozen=True)
class ZarrSource(Source):
    """Rows in a Zarr array."""

    path: str  #: Absolute.
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    files: tuple[int, int, int]  #: Number, bytes and last change of its files when it was opened.

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ZarrSource:
        """Open an array of numbers, (rows, classes), none of whose chunks is missing."""
        zarr = import_zarr(path)
        files = _files(path)
        try:
            array = zarr.open_array(str(path), mode="r")
            if array.nchunks > MOST_CHUNKS:  # their names alone would fill the memory
                refuse(f"its metadata claim {array.nchunks:,} chunks, more than {MOST_CHUNKS:,}")
            lacking = int(array.nchunks - array.nchunks_initialized)
        except Exception as error:  # damaged metadata raise many types
            msg = f"{path}: cannot be read as a Zarr array: {_reason(error)}"
            raise ValueError(msg) from None
        shape = tuple(map(int, array.shape))
        shape = shape if len(shape) != 1 else (*shape, 1)  # a single column
        if len(shape) != 2 or np.dtype(array.dtype).kind not in "fiub":
            got = f"shape {array.shape} of {array.dtype}"
            msg = f"{path}: must be an array of numbers, (rows, classes), got {got}"
            raise ValueError(msg)
        if lacking > 0:
            msg = (
                f"{path}: cannot be read: {lacking} of {array.nchunks} chunks are missing, as if "
                "writing was interrupted; if they contain only the fill value, write the array "
                'again with zarr.create_array(..., config={"write_empty_chunks": True})'
            )
            raise ValueError(msg)
        return cls(str(Path(path).absolute()), shape, np.dtype(array.dtype), files)

    @cached_property
    def _array(self) -> Any:
        return import_zarr(self.path).open_array(self.path, mode="r")

    def __reduce__(self) -> tuple[Any, ...]:  # an open array is not pickled
        return ZarrSource, (self.path, self.shape, self.dtype, self.files)

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop."""
        try:
            block = np.asarray(self._array[rows.start : rows.stop])
            return block.reshape(len(block), self.shape[1])
        except (OSError, MemoryError):
            raise
        except Exception as error:  # codecs raise many types
            self._refuse(rows, error)

    def _refuse(self, rows: slice, error: Exception) -> NoReturn:
        msg = f"{self.path}: cannot be read in rows {rows.start}..{rows.stop - 1}: {_reason(error)}"
        raise ValueError(msg) from error

    def signature(self) -> dict[str, Any]:
        """Path, shape, dtype, number, bytes and last change of all files, digest of a few rows."""
        return {
            "path": self.path,
            "files": list(self.files),
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "sample": self._sample(),
        }

    def verify(self) -> None:
        """Check that no file was added, removed or changed since the array was opened."""
        now = _files(self.path)
        if now != self.files:
            what = f"went from {self.files[0]} to {now[0]} files"
            if now[0] == self.files[0]:
                what = "was written to"
            msg = f"{self.path}: the array {what} while it was read"
            raise SourceChangedError(msg)


def _files(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Number and bytes of the files in a folder, and when the last of them changed."""
    count = size = newest = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118  # many files
            except FileNotFoundError:  # removed meanwhile
                continue
            count, size = count + 1, size + status.st_size
            newest = max(newest, status.st_mtime_ns)
    return count, size, newest


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@dataclass(frozen=True)
class ZarrTarget:
    """Rows of a Zarr array whose chunks are the blocks, so that no chunk is written twice."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    chunk_rows: int

    def create(self) -> None:
        """Create the array; NaN is no score, so zarr omits no chunk that equals the fill value."""
        import_zarr(self.path).create_array(
            str(self.path),
            shape=self.shape,
            chunks=(max(1, self.chunk_rows), self.shape[1]),
            dtype=self.dtype,
            fill_value=np.nan,
        )

    def exists(self) -> bool:
        """Whether there is an array to be filled."""
        return bool(_node_type(self.path / "zarr.json") == "array")

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows."""
        values = np.ascontiguousarray(block, dtype=self.dtype)
        self._open("r+")[rows] = values
        return zlib.crc32(values.data)

    def checksum(self, rows: slice) -> int:
        """Checksum of rows as they stand on disk."""
        return zlib.crc32(np.ascontiguousarray(self._open("r")[rows]).data)

    def flush(self) -> None:
        """Flush all chunks, and remove those that a killed job has left unfinished."""
        for file in self.path.rglob("*"):
            if file.suffix == ".partial":
                file.unlink()
            elif file.is_file():
                flush(file)

    def _open(self, mode: str) -> Any:
        return import_zarr(self.path).open_array(str(self.path), mode=mode)
