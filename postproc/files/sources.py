"""Sources: rows of scores that stay in their files until they are read.

A source is a small handle: it is pickled by path, so that other processes open the file for
themselves, and it reads with plain reads and not through a memory map, where a file that shrinks
would kill the process without a word.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows whose bytes tell two contents of a file apart in a signature.
SAMPLE_ROWS = 16


class SourceChangedError(OSError):
    """A file is no longer the one that was opened."""


class Source:
    """Rows of an (n, C) array that lie in files.

    Attributes
    ----------
    shape : (n, C)
        Of the whole array.
    dtype : dtype
        Of its numbers.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    #: Where arrays live, in the words of the array API standard.
    device = "cpu"
    ndim = 2

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop into a new array."""
        raise NotImplementedError

    def signature(self) -> dict[str, Any]:
        """What tells this source from another, as JSON's own types."""
        raise NotImplementedError

    def columns(self, order: NDArray[Any]) -> Source:
        """The same rows with columns picked by position."""
        return PickedColumns(self, tuple(int(column) for column in order))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read rows by a slice, positions or a mask; what comes after a comma picks columns."""
        if isinstance(index, tuple):
            rows, columns = index
            picked = self[rows]
            return picked if columns == slice(None) else picked[..., columns]
        if isinstance(index, slice):
            start, stop, step = index.indices(self.shape[0])
            if step < 0:
                return self._take(np.arange(self.shape[0])[index])
            block = self.read(slice(start, max(start, stop)))
            return block if step == 1 else block[::step]
        positions = np.asarray(index)
        if positions.dtype.kind == "b":
            positions = np.flatnonzero(positions)
        if positions.ndim == 0:
            return np.asarray(self._take(positions[None])[0])
        return self._take(positions)

    def _take(self, positions: NDArray[Any]) -> NDArray[Any]:
        """Read rows by position, each run of consecutive ones at once."""
        n_rows = self.shape[0]
        at = np.where(positions < 0, positions + n_rows, positions).astype(np.int64)
        if len(at) and (at.min() < 0 or at.max() >= n_rows):
            msg = f"rows must lie in 0..{n_rows - 1}, got {positions.min()}..{positions.max()}"
            raise IndexError(msg)
        out = np.empty((len(at), self.shape[1]), self.dtype)
        edges = [0, *(np.flatnonzero(np.diff(at) != 1) + 1).tolist(), len(at)]
        for start, stop in pairwise(edges):
            if stop > start:
                out[start:stop] = self.read(slice(int(at[start]), int(at[stop - 1]) + 1))
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything: for those who need the whole array in memory."""
        whole = self.read(slice(0, self.shape[0]))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """Blocks are NumPy arrays."""
        import array_api_compat.numpy as xp

        return xp

    def _sample(self) -> str:
        """Digest of a few rows from all over the array."""
        n_rows = self.shape[0]
        picks = np.unique(np.linspace(0, max(n_rows - 1, 0), SAMPLE_ROWS).astype(np.int64))
        rows = self._take(picks) if n_rows else np.empty((0, self.shape[1]), self.dtype)
        return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()[:16]


@dataclass(frozen=True)
class NpySource(Source):
    """Rows in one `.npy` file.

    Attributes
    ----------
    path : str
        The file, absolute.
    offset : int
        Where the first row starts, in bytes.
    size, mtime_ns : int
        The file's size and time of change when it was opened.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    size: int
    mtime_ns: int

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> NpySource:
        """Read the header of a file.

        Raises
        ------
        ValueError
            If it is no `.npy` file of rows of numbers, or is shorter than its header says.
        """
        file = Path(path).absolute()
        with file.open("rb") as stream:
            try:
                version = np.lib.format.read_magic(stream)
                reader = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = reader(stream)
            except ValueError:
                msg = f"{path}: cannot be read: it is not an .npy file"
                raise ValueError(msg) from None
            offset, status = stream.tell(), os.fstat(stream.fileno())
        if len(shape) != 2 or dtype.kind not in "fiub" or (fortran and min(shape) > 1):
            order = ", column after column" if fortran else ""
            msg = (
                f"{path}: must be an array of numbers, (rows, classes), row after row, "
                f"got shape {shape} of {dtype}{order}"
            )
            raise ValueError(msg)
        if status.st_size < offset + shape[0] * shape[1] * dtype.itemsize:
            msg = f"{path}: cannot be read: it is shorter than its header says"
            raise ValueError(msg)
        return cls(str(file), shape, dtype, offset, status.st_size, status.st_mtime_ns)

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop.

        Raises
        ------
        SourceChangedError
            If the file has shrunk, grown or been written to since it was opened.
        OSError
            If it cannot be read.
        """
        block = np.empty((rows.stop - rows.start, self.shape[1]), self.dtype)
        self.read_into(block, rows.start)
        return block

    def read_into(self, block: NDArray[Any], start: int) -> None:
        """Fill a contiguous block with the rows from `start` on; raises as `read`."""
        left = block.reshape(-1).view(np.uint8).data
        with open(self.path, "rb", buffering=0) as stream:  # noqa: PTH123  # once a block
            status = os.fstat(stream.fileno())
            if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
                self._changed(status.st_size)
            stream.seek(self.offset + start * self.shape[1] * self.dtype.itemsize)
            while left:
                got = stream.readinto(left)
                if not got:
                    self._changed(os.fstat(stream.fileno()).st_size)
                left = left[got:]

    def _changed(self, size: int) -> None:
        what = "shrank" if size < self.size else "grew" if size > self.size else "was written to"
        sizes = f" from {self.size} to {size} bytes" if size != self.size else ""
        msg = f"{self.path}: the file {what}{sizes} while it was read"
        raise SourceChangedError(msg)

    def signature(self) -> dict[str, Any]:
        """Path, size, time of change, shape, dtype, and a digest of a few rows."""
        return {
            "path": self.path,
            "size": self.size,
            "mtime": self.mtime_ns,
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "sample": self._sample(),
        }


@dataclass(frozen=True)
class PickedColumns(Source):
    """Rows of a source with columns in another order, or with some of them only."""

    source: Source
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the source
        """Rows and columns."""
        return self.source.shape[0], len(self.order)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """That of the source."""
        return self.source.dtype

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop."""
        return np.take(self.source.read(rows), self.order, axis=1)

    def signature(self) -> dict[str, Any]:
        """That of the source, and the order."""
        return {**self.source.signature(), "columns": list(self.order)}


@dataclass(frozen=True)
class ZarrSource(Source):
    """Rows in a Zarr array; needs the package zarr.

    Attributes
    ----------
    path : str
        The folder of the array, absolute.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ZarrSource:
        """Open an array.

        Raises
        ------
        ImportError
            If zarr is missing.
        ValueError
            If the folder holds no array of numbers, (rows, classes).
        """
        zarr = import_zarr(path)
        try:
            array = zarr.open_array(str(path), mode="r")
        except Exception as error:  # zarr has a dozen of its own for damaged metadata
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            msg = f"{path}: cannot be read as a Zarr array: {reason}"
            raise ValueError(msg) from None
        if len(array.shape) != 2 or np.dtype(array.dtype).kind not in "fiub":
            got = f"shape {array.shape} of {array.dtype}"
            msg = f"{path}: must be an array of numbers, (rows, classes), got {got}"
            raise ValueError(msg)
        return cls(str(Path(path).absolute()), tuple(array.shape), np.dtype(array.dtype))

    @cached_property
    def _array(self) -> Any:
        return import_zarr(self.path).open_array(self.path, mode="r")

    def __reduce__(self) -> tuple[Any, ...]:  # an open array is not pickled
        return ZarrSource, (self.path, self.shape, self.dtype)

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop."""
        return np.asarray(self._array[rows.start : rows.stop])

    def signature(self) -> dict[str, Any]:
        """Path, time of change of the metadata, shape, dtype, and a digest of a few rows."""
        metadata = next(f for name in ZARR_FILES if (f := Path(self.path) / name).is_file())
        return {
            "path": self.path,
            "mtime": metadata.stat().st_mtime_ns,
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "sample": self._sample(),
        }


#: Files that make a folder a Zarr array, of version 3 and 2 of the format.
ZARR_FILES = ("zarr.json", ".zarray")


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the folder of a Zarr array."""
    return any((Path(path) / name).is_file() for name in ZARR_FILES)


def import_zarr(path: str | os.PathLike[str]) -> Any:
    """The package zarr.

    Raises
    ------
    ImportError
        If it is missing; the message says how to get it.
    """
    try:
        import zarr
    except ImportError:
        msg = f'{path}: Zarr arrays need zarr; pip install "postproc[zarr]"'
        raise ImportError(msg) from None
    return zarr


def as_source(scores: Any) -> Any:
    """Return a memory map of a file as a source; other arrays and sources as they are."""
    if not isinstance(scores, np.ndarray) or scores.ndim != 2 or not scores.flags.c_contiguous:
        return scores
    base: Any = scores
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    while base is not None and isinstance(base.base, np.memmap):
        base = base.base  # views of a map take its offset for theirs; only the first is right
    if base is None or base.mode != "r" or scores.size == 0 or scores.dtype.kind not in "fiub":
        return scores
    try:
        status = Path(base.filename).stat()
    except (OSError, TypeError):  # the map outlives its file, or never had one with a name
        return scores
    start, first = (array.__array_interface__["data"][0] for array in (scores, base))
    shape = (int(scores.shape[0]), int(scores.shape[1]))
    where = base.offset + start - first
    return NpySource(
        str(base.filename), shape, scores.dtype, where, status.st_size, status.st_mtime_ns
    )


def signature_of(scores: Any) -> dict[str, Any]:
    """What tells scores from others: a source's own signature, or a digest of an array."""
    source = as_source(scores)
    if isinstance(source, Source):
        return source.signature()
    array = np.ascontiguousarray(source)
    digest = hashlib.sha256(array.data).hexdigest()[:16]
    return {"shape": list(array.shape), "dtype": array.dtype.str, "digest": digest}
