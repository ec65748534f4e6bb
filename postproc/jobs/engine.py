"""Engines: where the blocks of a long job are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from postproc.scores.blocks import DEFAULT_SIZES
from postproc.scores.threads import available_cores, one_blas_thread

T = TypeVar("T")

#: Is told the number of rows of each block that is done.
Watch = Callable[[int], None]


class Engine(Protocol):
    """What computes blocks: in this process, or elsewhere."""

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) for every cut, in any order, each as soon as it is there.

        Parameters
        ----------
        part : callable
            A small object that can be pickled; what it needs it holds by path.
        cuts : sequence of slice
            Row ranges.

        Raises
        ------
        Exception
            Whatever a part raises, unchanged.
        """
        ...


class LocalEngine:
    """Computes blocks in threads of this process, one thread of BLAS in each.

    NumPy lets other threads run while it computes. Several blocks at a time keep all cores busy
    also where there is no matrix product in them, and products come out alike on every machine.

    Parameters
    ----------
    workers : int, optional
        Blocks that are computed at a time: one a core by default, at most 8.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or min(available_cores(), DEFAULT_SIZES.workers)

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) in order; a bounded number of blocks is under way."""
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
    watch: Watch | None = None,
) -> Iterator[T]:
    """Yield the results of all cuts in their order, so that sums come out alike on every engine.

    Parameters
    ----------
    engine : Engine
        Where parts are computed.
    function : callable
        Computes the result of one block of rows.
    blocks : sequence of slice
        The blocks.
    what : str
        What is being done; this function tells nobody.
    watch : callable, optional
        Is told the number of rows of each result that has come.

    Examples
    --------
    >>> blocks = [slice(0, 2), slice(2, 5)]
    >>> list(map_blocks(LocalEngine(), lambda rows: rows.stop - rows.start, blocks))
    [2, 3]
    """
    early: dict[int, T] = {}
    turn = 0
    for number, result in engine.run(function, blocks):
        if watch is not None:
            watch(blocks[number].stop - blocks[number].start)
        early[number] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1
