"""Sources: rows of scores that stay in their files until they are read.

A source is a small handle: it is pickled by path, so that other processes open the file
themselves, and it uses plain reads, not a memory map, where a file that shrinks would kill the
process with SIGBUS. A file that has changed since it was opened raises a SourceChangedError.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_floating, as_native

#: Number of rows that are hashed in a signature.
SAMPLE_ROWS = 16


class SourceChangedError(OSError):
    """A file has changed since it was opened."""


class Source:
    """Rows of an (n, C) array in files."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    #: As in the array API standard.
    device = "cpu"
    ndim = 2

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop into a new array."""
        raise NotImplementedError

    def signature(self) -> dict[str, Any]:
        """What distinguishes this source from others, as JSON types."""
        raise NotImplementedError

    def verify(self) -> None:
        """Check that no file has changed or vanished since it was opened."""

    @property
    def edges(self) -> tuple[int, ...]:
        """First row of each file, and n; empty if there is one file."""
        return ()

    def row_name(self, row: int) -> str:
        """The name of a row in messages, with its file if there are several."""
        return f"row {row}"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read rows by a slice, positions or a mask, and perhaps select columns of them."""
        if isinstance(index, tuple):
            rows, columns = index
            picked = self[rows]
            whole = isinstance(columns, slice) and columns == slice(None)
            return picked if whole else picked[..., columns]
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
        """Read rows by position, runs of consecutive ones at once."""
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
        """Read the whole array into memory."""
        whole = self.read(slice(0, self.shape[0]))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """Blocks are NumPy arrays."""
        import array_api_compat.numpy as xp

        return xp

    def _sample(self) -> str:
        """Digest of a few rows spread over the array."""
        n_rows = self.shape[0]
        picks = np.unique(np.linspace(0, max(n_rows - 1, 0), SAMPLE_ROWS).astype(np.int64))
        rows = self._take(picks) if n_rows else np.empty((0, self.shape[1]), self.dtype)
        return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()[:16]


@dataclass(frozen=True)
class NpySource(Source):
    """Rows in one `.npy` file."""

    path: str  #: Absolute.
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int  #: Where the first row starts, in bytes.
    size: int
    mtime_ns: int
    fortran: bool = False  #: Column-major: a block takes one read per column.

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> NpySource:
        """Read and check the header of a file."""
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
        shape = shape if len(shape) != 1 else (*shape, 1)  # a single column
        if len(shape) != 2 or dtype.kind not in "fiub":
            got = f"shape {shape} of {dtype}"
            msg = f"{path}: must be an array of numbers, (rows, classes), got {got}"
            raise ValueError(msg)
        if status.st_size < offset + shape[0] * shape[1] * dtype.itemsize:
            msg = f"{path}: cannot be read: it is shorter than its header says"
            raise ValueError(msg)
        return cls(str(file), shape, dtype, offset, status.st_size, status.st_mtime_ns, fortran)

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop."""
        block = np.empty((rows.stop - rows.start, self.shape[1]), self.dtype)
        self.read_into(block, rows.start)
        return block

    def read_into(self, block: NDArray[Any], start: int) -> None:
        """Fill a contiguous block with the rows from `start` on."""
        with open(self.path, "rb", buffering=0) as stream:  # noqa: PTH123  # once a block
            self._check(os.fstat(stream.fileno()))
            if not self.fortran:
                self._fill(stream, start * self.shape[1], block)
                return
            column = np.empty(len(block), self.dtype)
            for number in range(self.shape[1]):
                self._fill(stream, number * self.shape[0] + start, column)
                block[:, number] = column

    def _fill(self, stream: io.RawIOBase, first: int, values: NDArray[Any]) -> None:
        """Fill a contiguous array with the numbers from the one at `first` on."""
        left = values.reshape(-1).view(np.uint8).data
        stream.seek(self.offset + first * self.dtype.itemsize)
        while left:
            got = stream.readinto(left)
            if not got:
                self._changed(os.fstat(stream.fileno()).st_size)
            else:
                left = left[got:]

    def verify(self) -> None:
        """Check that size and modification time are those of the file that was opened."""
        self._check(Path(self.path).stat())

    def _check(self, status: os.stat_result) -> None:
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            self._changed(status.st_size)

    def _changed(self, size: int) -> NoReturn:
        what = "was written to"
        if size != self.size:
            verb = "shrank" if size < self.size else "grew"
            what = f"{verb} from {self.size} to {size} bytes"
        msg = f"{self.path}: the file {what} while it was read"
        raise SourceChangedError(msg)

    def signature(self) -> dict[str, Any]:
        """Path, size, modification time, shape, dtype, and a digest of a few rows."""
        return {
            "path": self.path,
            "size": self.size,
            "mtime": self.mtime_ns,
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "sample": self._sample(),
        }


@dataclass(frozen=True)
class Derived(Source):
    """Rows made from those of an array, tensor or source as they are read; like it by default."""

    source: Any

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the source
        """Rows and columns."""
        n_rows, n_columns = self.source.shape
        return int(n_rows), int(n_columns)

    @property
    def dtype(self) -> Any:  # type: ignore[override]
        """That of the rows made."""
        return self.read(slice(0, 0)).dtype

    @property
    def device(self) -> Any:  # type: ignore[override]
        """That of the source."""
        return api.device(self.source)

    @property
    def edges(self) -> tuple[int, ...]:
        """Those of the source."""
        return self.source.edges if isinstance(self.source, Source) else ()

    def row_name(self, row: int) -> str:
        """What the source calls it."""
        source = self.source
        return source.row_name(row) if isinstance(source, Source) else super().row_name(row)

    def verify(self) -> None:
        """Check the files of the source."""
        if isinstance(self.source, Source):
            self.source.verify()

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """That of the source."""
        return api.array_namespace(self.source)


@dataclass(frozen=True)
class Picked(Derived):
    """Rows and columns in another order, picked as they are read."""

    #: Position in the source of each row, shape (n,); None where all are in place.
    rows: NDArray[np.int64] | None = None
    #: Position in the source of each column, -1 for one it lacks; None where all are in place.
    columns: NDArray[np.int64] | None = None
    #: The scores of columns that the source lacks.
    fill: float = 0.0

    @classmethod
    def of(
        cls,
        source: Any,
        rows: NDArray[np.int64] | None,
        columns: NDArray[np.int64] | None,
        fill: float,
    ) -> Picked:
        """Pick from what may have been picked already."""
        if isinstance(source, cls):
            fill = source.fill if columns is None else fill
            rows, columns = _composed(source.rows, rows), _composed(source.columns, columns)
            source = source.source
        return cls(source, rows, columns, fill)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """Rows and columns."""
        n_rows, n_columns = super().shape
        return (
            n_rows if self.rows is None else len(self.rows),
            n_columns if self.columns is None else len(self.columns),
        )

    @property
    def edges(self) -> tuple[int, ...]:
        """Those of the source, unless its rows are in another order."""
        return super().edges if self.rows is None else ()

    def row_name(self, row: int) -> str:
        """What the source calls it; its place where that has no names."""
        if self.rows is None or not isinstance(self.source, Source):
            return super().row_name(row)
        return self.source.row_name(int(self.rows[row]))

    def read(self, rows: slice) -> Array:
        """Read the rows start..stop."""
        return self._take(rows)

    def _take(self, rows: Any) -> Array:
        block = self.own(rows)
        return self.place(as_floating(block) if self.is_filled else block, self.fill)

    @property
    def is_filled(self) -> bool:
        """Whether the source lacks columns."""
        return self.columns is not None and bool((self.columns < 0).any())

    def own(self, rows: Any) -> Array:
        """Rows by a slice or positions, with the columns of the source."""
        index = rows if self.rows is None else as_native(self.rows[rows], self.source)
        return self.source[index, :]

    def place(self, block: Array, fill: float) -> Array:
        """Put the columns of a block of the source in order, with `fill` for those it lacks."""
        if self.columns is None:
            return block
        xp = api.array_namespace(block)
        placed = xp.take(block, as_native(np.maximum(self.columns, 0), block), axis=1)
        if not self.is_filled:
            return placed
        return xp.where(as_native(self.columns >= 0, block), placed, xp.full_like(placed, fill))

    def signature(self) -> dict[str, Any]:
        """That of the source, and the order of rows and columns."""
        columns = None if self.columns is None else self.columns.tolist()
        rows = None if self.rows is None else hashlib.sha256(self.rows.data).hexdigest()[:16]
        return {**signature_of(self.source), "rows": rows, "columns": columns}


@dataclass(frozen=True)
class Percent(Derived):
    """Percentages, divided by 100 as they are read."""

    def read(self, rows: slice) -> Array:
        """Read the rows start..stop."""
        return as_floating(self.source[rows, :]) / 100

    def signature(self) -> dict[str, Any]:
        """That of the percentages, and that they are some."""
        return {**signature_of(self.source), "percent": True}


def _composed(
    first: NDArray[np.int64] | None, then: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """Positions that take what `first` and then `then` take."""
    if first is None or then is None:
        return then if first is None else first
    return np.where(then < 0, -1, first[then])


def as_source(scores: Any) -> Any:
    """Return a memory map as a source of its file; other arrays and sources unchanged."""
    if isinstance(scores, Picked):
        return replace(scores, source=as_source(scores.source))
    if not isinstance(scores, np.ndarray) or scores.ndim != 2 or not scores.flags.forc:
        return scores
    base: Any = scores
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    while base is not None and isinstance(base.base, np.memmap):
        base = base.base  # views of a map inherit its offset; only that of the first is right
    if base is None or base.mode != "r" or scores.size == 0 or scores.dtype.kind not in "fiub":
        return scores
    try:
        status = Path(base.filename).stat()
    except (OSError, TypeError):  # the file is gone, or never had a name
        return scores
    start, first = (array.__array_interface__["data"][0] for array in (scores, base))
    shape = (int(scores.shape[0]), int(scores.shape[1]))
    where = base.offset + start - first
    fortran = not scores.flags.c_contiguous
    return NpySource(
        str(base.filename), shape, scores.dtype, where, status.st_size, status.st_mtime_ns, fortran
    )


def signature_of(scores: Any) -> dict[str, Any]:
    """What distinguishes scores from others: a source's signature, or a digest of an array."""
    source = as_source(scores)
    if isinstance(source, Source):
        return source.signature()
    array = np.ascontiguousarray(source)
    digest = hashlib.sha256(array.data).hexdigest()[:16]
    return {"shape": list(array.shape), "dtype": array.dtype.str, "digest": digest}
