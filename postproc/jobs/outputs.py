"""Outputs: what is to be written, where it lies until it is complete, and what is filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.paths import PREDICTION_SUFFIXES, suffix_of
from postproc.files.shards import MAX_SHARDS
from postproc.files.zarr import ZarrTarget
from postproc.jobs.targets import NpyTarget, ShardTarget
from postproc.scores.blocks import Sizes

#: What blocks are written into.
AnyTarget = NpyTarget | ShardTarget | ZarrTarget


@dataclass(frozen=True)
class Output:
    """Where probabilities go, and their names for formats that keep them."""

    path: Path  #: A file, a Zarr array (`.zarr`), or a folder of shards (no such suffix).
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = field(default=None, repr=False)
    edges: tuple[int, ...] = ()  #: First row of each shard, and n; empty for shards of equal size.
    only: int | None = None  #: The one column of each block that is written, if not all are.
    flat: bool = False  #: Whether one column is an array of shape (n,) in formats of arrays.
    id_heading: str = "id"  #: What tables call the column of ids.

    @property
    def is_file(self) -> bool:
        """Whether it is one file, not a folder."""
        return suffix_of(self.path) in PREDICTION_SUFFIXES

    @property
    def partial(self) -> Path:
        """The folder in which the output lies until it is complete."""
        return partial_path(self.path)

    @property
    def is_moved(self) -> bool:
        """Whether the blocks were written to the output itself, which is only renamed."""
        return not self.is_file or self.path.suffix.lower() == ".npy"


def partial_path(path: Path) -> Path:
    """The folder in which an output lies until it is complete; absolute, for other processes."""
    return path.absolute().with_name(f".{path.name}.partial")


def has_journal(path: Path) -> bool:
    """Whether a job that was stopped has left something to resume."""
    return (partial_path(path) / "journal.jsonl").is_file()


def make_target(output: Output, step: int, sizes: Sizes) -> AnyTarget:
    """What is filled block by block, `step` rows each: an `.npy` for formats that cannot be."""
    n_rows, n_classes = output.shape
    if output.is_file:
        is_flat = output.flat and output.is_moved
        return NpyTarget(output.partial / "rows.npy", output.shape, output.dtype, is_flat)
    if output.path.suffix.lower() == ".zarr":
        return ZarrTarget(output.partial / "rows.zarr", output.shape, output.dtype, step)
    edges = output.edges
    if not edges:
        at_once = max(1, sizes.shard // (output.dtype.itemsize * n_classes * step)) * step
        edges = (*range(0, n_rows, at_once), n_rows)
    if len(edges) - 1 > MAX_SHARDS:
        msg = (
            f"{output.path}: would take {len(edges) - 1} shards, and there are names for "
            f"{MAX_SHARDS}; write a Zarr array (-o name.zarr)"
        )
        raise ValueError(msg)
    return ShardTarget(output.partial / "rows", edges, n_classes, output.dtype)
