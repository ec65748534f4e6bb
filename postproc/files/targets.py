"""Targets: outputs that any process can open and write a range of rows into."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from postproc.files.shards import SHARD, shard_name
from postproc.files.sources import ZARR_FILES, import_zarr, is_zarr

#: What the shards of an output are called.
OUTPUT_NAME = "probs"

#: Bytes of a shard of an output where its input has none to follow.
SHARD_BYTES = 2**28


class Target(Protocol):
    """An array on disk, filled in any order. Its handle can be pickled."""

    def create(self) -> None:
        """Make the files, without rows."""
        ...

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows and return their checksum."""
        ...

    def checksum(self, rows: slice) -> int:
        """Checksum of rows as they stand on disk."""
        ...

    def flush(self) -> None:
        """Have everything on disk when this returns."""
        ...


@dataclass(frozen=True)
class NpyTarget:
    """Rows of one `.npy` file.

    Attributes
    ----------
    path : Path
        The file.
    shape : (n, C)
        Of the whole.
    dtype : dtype
        Of its numbers.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def _start(self) -> int:
        """Where the rows start; the header has one length for all shapes of two numbers."""
        return 128

    def create(self) -> None:
        """Write the header."""
        kind = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": kind, "fortran_order": False, "shape": self.shape}
        with self.path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            if file.tell() != self._start:
                msg = f"the header of {self.path} must take {self._start} bytes, got {file.tell()}"
                raise RuntimeError(msg)

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows where they belong, by plain writes: a full disk raises an OSError."""
        values = np.ascontiguousarray(block, dtype=self.dtype)
        left = data = values.reshape(-1).view(np.uint8).data
        with open(self.path, "r+b", buffering=0) as file:  # noqa: PTH123  # once a block
            file.seek(self._start + rows.start * self.shape[1] * self.dtype.itemsize)
            while left:
                left = left[file.write(left) :]
        return zlib.crc32(data)

    def checksum(self, rows: slice) -> int:
        """Checksum of rows; -1 where the file is too short."""
        width = self.shape[1] * self.dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(self._start + rows.start * width)
            data = file.read((rows.stop - rows.start) * width)
        return zlib.crc32(data) if len(data) == (rows.stop - rows.start) * width else -1

    def flush(self) -> None:
        """Flush the file."""
        _flush(self.path)


@dataclass(frozen=True)
class ShardTarget:
    """Rows of consecutive `.npy` files in a folder.

    Attributes
    ----------
    path : Path
        The folder.
    edges : tuple of int
        Row at which each shard starts, and the number of rows.
    n_classes : int
        Number of columns C.
    dtype : dtype
        Of the numbers.
    """

    path: Path
    edges: tuple[int, ...]
    n_classes: int
    dtype: np.dtype[Any]

    def create(self) -> None:
        """Make the folder and the files in it."""
        self.path.mkdir()
        for number in range(len(self.edges) - 1):
            self._shard(number).create()

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows into the shards they belong to."""
        checksum = 0
        for number, inside in self._parts(rows):
            start = self.edges[number] + inside.start - rows.start
            part = block[start : start + inside.stop - inside.start]
            checksum ^= self._shard(number).write(inside, part)
        return checksum

    def checksum(self, rows: slice) -> int:
        """Checksum of rows as `write` took it."""
        checksum = 0
        for number, inside in self._parts(rows):
            checksum ^= self._shard(number).checksum(inside)
        return checksum

    def flush(self) -> None:
        """Flush all files."""
        for number in range(len(self.edges) - 1):
            self._shard(number).flush()

    def _shard(self, number: int) -> NpyTarget:
        n_rows = self.edges[number + 1] - self.edges[number]
        path = self.path / shard_name(OUTPUT_NAME, number)
        return NpyTarget(path, (n_rows, self.n_classes), self.dtype)

    def _parts(self, rows: slice) -> Iterator[tuple[int, slice]]:
        """Shards that rows lie in, and which of their own rows these are."""
        number = int(np.searchsorted(self.edges, rows.start, side="right")) - 1
        at = rows.start
        while at < rows.stop:
            start, stop = self.edges[number], min(rows.stop, self.edges[number + 1])
            yield number, slice(at - start, stop - start)
            at, number = stop, number + 1


@dataclass(frozen=True)
class ZarrTarget:
    """Rows of a Zarr array whose chunks are the blocks, so that none is written by two."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    chunk_rows: int

    def create(self) -> None:
        """Make the array."""
        import_zarr(self.path).create_array(
            str(self.path),
            shape=self.shape,
            chunks=(max(1, self.chunk_rows), self.shape[1]),
            dtype=self.dtype,
        )

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows."""
        values = np.ascontiguousarray(block, dtype=self.dtype)
        self._open("r+")[rows] = values
        return zlib.crc32(values.data)

    def checksum(self, rows: slice) -> int:
        """Checksum of rows as they stand on disk."""
        return zlib.crc32(np.ascontiguousarray(self._open("r")[rows]).data)

    def flush(self) -> None:
        """Flush all chunks."""
        for file in self.path.rglob("*"):
            if file.is_file():
                _flush(file)

    def _open(self, mode: str) -> Any:
        return import_zarr(self.path).open_array(str(self.path), mode=mode)


def is_replaceable(path: Path) -> bool:
    """Whether a folder holds nothing but what a command has written as shards or Zarr."""
    if is_zarr(path):
        return all(entry.name in (*ZARR_FILES, ".zattrs", "c") or entry.name[0].isdigit()
                   for entry in path.iterdir())  # fmt: skip
    return all(SHARD.fullmatch(entry.name) for entry in path.iterdir())


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
