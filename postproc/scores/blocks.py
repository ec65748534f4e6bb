"""Blocks of rows: how large arrays are processed in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class MapBlocks(Protocol):
    """Maps a function over blocks of rows and yields its results in order."""

    def __call__(
        self, function: Callable[[slice], Any], blocks: Sequence[slice], what: str = ""
    ) -> Iterator[Any]:
        """Map the function; `what` names the work for progress bars."""


def in_order(
    function: Callable[[slice], Any], blocks: Sequence[slice], what: str = ""
) -> Iterator[Any]:
    """Map in this thread, one block after the other."""
    return map(function, blocks)


@dataclass(frozen=True)
class Sizes:
    """How much is held or computed at once, in bytes of float64; results do not depend on it."""

    #: One block of rows: small enough for the cache, large enough for BLAS.
    block: int = 8 * 2**20
    #: What is computed at once within a block where rows are independent.
    cached: int = 2**20
    #: One member's block, so that those of several members fit the cache together.
    member: int = 2**19
    #: One shard of an output whose input has no shards.
    shard: int = 2**28
    #: Most blocks computed at once by threads of one process: with more, disks are the limit.
    workers: int = 8

    # CAN. The last digits depend on these: they are the same on every machine and engine.
    #: Confident rows, with what several iterations need of them, that are kept in memory.
    reference_in_memory: int = 3 * 2**27
    #: What one task of a pass through a reference in its file reads.
    reference_task: int = 2**26
    #: Reference rows in memory that are reduced to one sum at once: they stay in the cache.
    summed: int = 2**19
    #: Reference rows in memory that enter a condensed reference at once.
    moment_rows: int = 2**27
    #: Matrices of a condensed reference whose rows stay in their file, at most.
    moments: int = 2**28
    #: Row factors that ambiguous rows give a reference in memory ...
    row_factors: int = 2**26
    #: ... and how many ambiguous rows advance together, at least and at most.
    rows_together: tuple[int, int] = (256, 2048)
    #: Ambiguous rows that share a pass through a reference in its file, at most.
    rows_a_pass: int = 1024
    #: Of few such rows in the whole target, those of one task: enough to make up for reading.
    rows_a_task: int = 256
    #: Ambiguous rows whose bounds are computed at once.
    bounded: int = 2**22
    #: Rows to be computed exactly up to which those of the whole target share passes ...
    exact_together: int = 2**26
    #: ... and the blocks of the target whose rows share passes where they are more.
    exact_shared: int = 2**25


DEFAULT_SIZES = Sizes()


def row_blocks(
    n_rows: int, n_columns: int, *, block_bytes: int = DEFAULT_SIZES.block
) -> Iterator[slice]:
    """Cut n_rows rows of n_columns float64 numbers into slices of about `block_bytes`."""
    step = max(1, block_bytes // (8 * max(1, n_columns)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def row_cuts(n_rows: int, n_columns: int, sizes: Sizes = DEFAULT_SIZES) -> tuple[slice, ...]:
    """All blocks of `row_blocks`; to read several members at once, give the columns of all."""
    return tuple(row_blocks(n_rows, n_columns, block_bytes=sizes.block))


def sub_blocks(rows: slice, n_columns: int, block_bytes: int) -> Iterator[slice]:
    """Cut the rows of one block further, into slices of about `block_bytes`."""
    for part in row_blocks(rows.stop - rows.start, n_columns, block_bytes=block_bytes):
        yield slice(rows.start + part.start, rows.start + part.stop)
