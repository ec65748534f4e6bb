"""Engines: where blocks of rows are computed.

A part, the function that an engine calls, is a small object that can be pickled; it holds what it
needs by path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from postproc.scores.blocks import DEFAULT_SIZES
from postproc.scores.threads import available_cores, one_blas_thread

T = TypeVar("T")

#: Called with the number of rows of each finished block.
Watch = Callable[[int], None]


class Engine(Protocol):
    """Computes blocks in this process or elsewhere."""

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) as results come; errors of a part are raised unchanged."""


class LocalEngine:
    """Computes blocks in threads of this process, each with one BLAS thread.

    Several blocks at once keep all cores busy also where NumPy computes no matrix product.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or min(available_cores(), DEFAULT_SIZES.workers)

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) in order; a bounded number of blocks is in flight."""
        with one_blas_thread():
            if min(self.workers, len(cuts)) <= 1:
                for number, rows in enumerate(cuts):
                    yield number, self._compute(part, rows)
                return
            waiting: deque[tuple[int, Future[T]]] = deque()
            with ThreadPoolExecutor(self.workers) as pool:
                try:
                    for number, rows in enumerate(cuts):
                        waiting.append((number, pool.submit(self._compute, part, rows)))
                        if len(waiting) > self.workers:
                            first, done = waiting.popleft()
                            yield first, done.result()
                    while waiting:
                        first, done = waiting.popleft()
                        yield first, done.result()
                finally:
                    for _, later in waiting:
                        later.cancel()

    def _compute(self, part: Callable[[slice], T], rows: slice) -> T:
        return part(rows)


def map_blocks(
    engine: Engine,
    function: Callable[[slice], T],
    blocks: Sequence[slice],
    what: str = "",
    *,
    watch: Watch = lambda n_rows: None,
) -> Iterator[T]:
    """Yield the results of all blocks in order, so that sums are equal on every engine."""
    early: dict[int, T] = {}
    turn = 0
    for number, result in engine.run(function, blocks):
        watch(blocks[number].stop - blocks[number].start)
        early[number] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1
