"""Shards: one array in numbered files of a folder, `name-00000.npy`, `name-00001.npy` and so on."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.names import first_few
from postproc.scores.sources import NpySource, Source

#: Most shards, as their names have five digits.
MAX_SHARDS = 100_000

#: Name and number of a shard: three digits or more, any number behind such a word. Files with few
#: digits behind other names may be folds or members.
SHARD = re.compile(
    r"(?P<name>.*(?:part|shard|chunk|batch|block)|.+?(?=[-_.]\d{3}))"
    r"[-_.]?(?P<number>\d+)(?:-of-\d+)?\.npy"
)

#: Whether a file is a shard even where the first ones are missing: others may be of other models.
SURE = re.compile(r".*(?:(?:part|shard|chunk|batch|block)[-_.]?\d+|\d{5})(?:-of-\d+)?\.npy")

#: How many shards there are, where names tell it.
TOTAL = re.compile(r"-of-(?P<total>\d+)\.npy$")


def shard_name(name: str, number: int) -> str:
    """File name of a shard."""
    return f"{name}-{number:05d}.npy"


@dataclass(frozen=True)
class ShardSource(Source):
    """Rows in consecutive shards."""

    path: str  #: What was opened: the folder, or the folder and the common name.
    shards: tuple[NpySource, ...]

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """First row of each shard, and the number of rows."""
        return tuple(accumulate((shard.shape[0] for shard in self.shards), initial=0))

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the shards
        """Rows and columns of all shards together."""
        return self.edges[-1], self.shards[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """That of all shards."""
        return self.shards[0].dtype

    def read(self, rows: slice) -> NDArray[Any]:
        """Read the rows start..stop, perhaps from several shards."""
        block = np.empty((rows.stop - rows.start, self.shape[1]), self.dtype)
        first = bisect_right(self.edges, rows.start) - 1
        at = rows.start
        while at < rows.stop:
            stop = min(rows.stop, self.edges[first + 1])
            inside = block[at - rows.start : stop - rows.start]
            self.shards[first].read_into(inside, at - self.edges[first])
            at, first = stop, first + 1
        return block

    def row_name(self, row: int) -> str:
        """The name of a row in messages: its number within its shard, and overall."""
        number = bisect_right(self.edges, row) - 1
        file = Path(self.shards[number].path).name
        return f"row {row - self.edges[number]} of {file} (row {row:,} of all)"

    def verify(self) -> None:
        """Check all files."""
        for shard in self.shards:
            shard.verify()

    def signature(self) -> dict[str, Any]:
        """Path, shape, dtype, a digest of a few rows, and size and mtime of each shard."""
        return {
            "path": str(Path(self.path).absolute()),
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "sample": self._sample(),
            "shards": [[shard.size, shard.mtime_ns] for shard in self.shards],
        }


def find_shards(path: str | os.PathLike[str]) -> list[Path]:
    """The shards in a folder, or of a folder and their common name; none may be missing."""
    given = Path(path)
    folder, wanted = (given, None) if given.is_dir() else (given.parent, given.name)
    if not folder.is_dir():
        return []
    found: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.iterdir()):
        match = SHARD.fullmatch(file.name)
        if match is not None and not file.name.startswith(".") and wanted in (None, match["name"]):
            first = found.setdefault(match["name"], {}).setdefault(int(match["number"]), file)
            if first != file:
                msg = f"{given}: has two shards of one number, {first.name} and {file.name}"
                raise ValueError(msg)
    found = {
        name: shards
        for name, shards in found.items()
        if min(shards) < 2 or SURE.fullmatch(shards[min(shards)].name)
    }
    if len(found) > 1:
        names = first_few(sorted(found))
        msg = f"{given}: has shards of several names ({names}); choose one: {given / min(found)}"
        raise ValueError(msg)
    for name, shards in found.items():
        last, total = shards[max(shards)], TOTAL.search(shards[max(shards)].name)
        numbers = range(min(*shards, 1), max(shards) + 1)
        missing = set(numbers).difference(shards)
        if missing or (total is not None and int(total["total"]) != len(shards)):
            number = min(missing, default=len(numbers))
            msg = f"{folder}: shard {number} of {name!r} is missing, but {last.name} exists"
            raise FileNotFoundError(msg)
        return [shards[number] for number in numbers]
    return []


def open_shards(path: str | os.PathLike[str], files: list[Path]) -> ShardSource:
    """Open shards of equal width and dtype as one array."""
    shards = tuple(NpySource.open(file) for file in files)
    first = shards[0]
    for file, shard in zip(files, shards, strict=True):
        if shard.shape[1] != first.shape[1]:
            msg = (
                f"{file}: must have {first.shape[1]} columns like {files[0].name}, "
                f"got {shard.shape[1]}"
            )
            raise ValueError(msg)
        if shard.dtype != first.dtype:
            msg = f"{file}: must be {first.dtype} like {files[0].name}, got {shard.dtype}"
            raise ValueError(msg)
    return ShardSource(str(path), shards)
