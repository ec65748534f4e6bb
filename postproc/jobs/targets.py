"""Targets: outputs that any process can open and write a range of rows into."""

from __future__ import annotations

import io
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.paths import PREDICTION_SUFFIXES, check_output, flush, suffix_of
from postproc.files.shards import shard_name
from postproc.files.zarr import is_array_alone, is_zarr

#: What the shards of an output are called.
OUTPUT_NAME = "probs"
OUTPUT = re.compile(rf"{OUTPUT_NAME}-\d{{5}}\.npy")

#: Where the rows of an `.npy` file start: the header is equally long for all shapes.
START = 128


@dataclass(frozen=True)
class NpyTarget:
    """Rows of one `.npy` file."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    flat: bool = False  #: Whether one column is stored as (n,).

    def create(self) -> None:
        """Write the header."""
        header = self._header()
        if len(header) != START:
            msg = f"the header of {self.path} must take {START} bytes, got {len(header)}"
            raise RuntimeError(msg)
        self.path.write_bytes(header)

    def _header(self) -> bytes:
        kind = np.lib.format.dtype_to_descr(self.dtype)
        file, shape = io.BytesIO(), self.shape[:1] if self.flat else self.shape
        np.lib.format.write_array_header_1_0(
            file, {"descr": kind, "fortran_order": False, "shape": shape}
        )
        return file.getvalue()

    def exists(self) -> bool:
        """Whether there is a file with this header."""
        try:
            with self.path.open("rb") as file:
                return file.read(START) == self._header()
        except OSError:
            return False

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows by plain writes, not a memory map: a full disk raises an OSError."""
        values = np.ascontiguousarray(block, dtype=self.dtype)
        left = data = values.reshape(-1).view(np.uint8).data
        with open(self.path, "r+b", buffering=0) as file:  # noqa: PTH123  # once a block
            file.seek(START + rows.start * self.shape[1] * self.dtype.itemsize)
            while left:
                left = left[file.write(left) :]
        return zlib.crc32(data)

    def checksum(self, rows: slice) -> int:
        """Checksum of rows; -1 where the file is too short."""
        width = self.shape[1] * self.dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(START + rows.start * width)
            data = file.read((rows.stop - rows.start) * width)
        return zlib.crc32(data) if len(data) == (rows.stop - rows.start) * width else -1

    def flush(self) -> None:
        """Flush the file."""
        flush(self.path)


@dataclass(frozen=True)
class ShardTarget:
    """Rows of consecutive `.npy` files in a folder."""

    path: Path
    edges: tuple[int, ...]  #: First row of each shard, and the number of rows.
    n_classes: int
    dtype: np.dtype[Any]

    @property
    def _shards(self) -> list[NpyTarget]:
        return [self._shard(number) for number in range(len(self.edges) - 1)]

    def create(self) -> None:
        """Create the folder and the files in it."""
        self.path.mkdir()
        for shard in self._shards:
            shard.create()

    def exists(self) -> bool:
        """Whether all files are there."""
        return all(shard.exists() for shard in self._shards)

    def write(self, rows: slice, block: NDArray[Any]) -> int:
        """Write rows into the shards they belong to and return the checksums' exclusive or."""
        checksum = 0
        for number, inside in self._parts(rows):
            start = self.edges[number] + inside.start - rows.start
            part = block[start : start + inside.stop - inside.start]
            checksum ^= self._shard(number).write(inside, part)
        return checksum

    def checksum(self, rows: slice) -> int:
        """Checksum of rows as `write` returns it."""
        parts = (self._shard(number).checksum(inside) for number, inside in self._parts(rows))
        return reduce(xor, parts, 0)

    def flush(self) -> None:
        """Flush all files."""
        for shard in self._shards:
            shard.flush()

    def _shard(self, number: int) -> NpyTarget:
        n_rows = self.edges[number + 1] - self.edges[number]
        path = self.path / shard_name(OUTPUT_NAME, number)
        return NpyTarget(path, (n_rows, self.n_classes), self.dtype)

    def _parts(self, rows: slice) -> Iterator[tuple[int, slice]]:
        """The shards that rows lie in, and the rows within each."""
        number = int(np.searchsorted(self.edges, rows.start, side="right")) - 1
        at = rows.start
        while at < rows.stop:
            start, stop = self.edges[number], min(rows.stop, self.edges[number + 1])
            yield number, slice(at - start, stop - start)
            at, number = stop, number + 1


def check_target(path: Path, *, overwrite: bool) -> None:
    """Check that an output can be written: a file, or a folder of shards or of a Zarr array."""
    formats.check_writer(path)
    whole = path.resolve()
    is_mount = os.path.ismount(whole)
    if whole.is_dir() and (is_mount or whole in (Path.cwd(), *Path.cwd().parents)):
        what = "a mount point" if is_mount else "or contains the current folder"
        msg = f"{path}: is {what}; name a folder inside it"
        raise FileExistsError(msg)
    if suffix_of(path) in PREDICTION_SUFFIXES or not path.is_dir():
        check_output(path, overwrite=overwrite)
        if suffix_of(path) not in PREDICTION_SUFFIXES and path.exists():
            msg = f"{path}: must be a folder, got a file; name another output"
            raise FileExistsError(msg)
        return
    if not any(path.iterdir()):  # an empty folder may be filled
        return
    if not overwrite:
        msg = f"{path}: exists already; name another output or allow overwriting (--overwrite)"
        raise FileExistsError(msg)
    if not is_replaceable(path):
        msg = (
            f"{path}: contains files other than shards ({shard_name(OUTPUT_NAME, 0)}, ...) or a "
            "Zarr array; name another output"
        )
        raise FileExistsError(msg)


def is_replaceable(path: Path) -> bool:
    """Whether a folder contains only shards or a Zarr array as commands write them."""
    if is_zarr(path):
        return is_array_alone(path)
    return all(OUTPUT.fullmatch(entry.name) for entry in path.iterdir())
