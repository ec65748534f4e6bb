"""Engines: where the blocks of a long job are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

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
    """Computes the blocks one after another in this process."""

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) in order."""
        for number, rows in enumerate(cuts):
            yield number, part(rows)


def reduce(
    engine: Engine,
    part: Callable[[slice], T],
    cuts: Sequence[slice],
    *,
    watch: Watch | None = None,
) -> Iterator[T]:
    """Yield the results of all cuts in their order, so that sums come out alike on every engine.

    Parameters
    ----------
    engine : Engine
        Where parts are computed.
    part : callable
        Computes the result of one row range.
    cuts : sequence of slice
        The row ranges.
    watch : callable, optional
        Is told the number of rows of each result that has come.

    Examples
    --------
    >>> list(reduce(LocalEngine(), lambda rows: rows.stop - rows.start, [slice(0, 2), slice(2, 5)]))
    [2, 3]
    """
    early: dict[int, T] = {}
    turn = 0
    for number, result in engine.run(part, cuts):
        if watch is not None:
            watch(cuts[number].stop - cuts[number].start)
        early[number] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1
