"""Fits that several methods of a benchmark share: made once, charged to each that uses them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SharedFits:
    """Values by name, each computed when it is first asked for, with the seconds it took.

    Seconds are those of the processor, so that they do not depend on what else a machine does.
    `timed` gives those of a call as though it shared nothing.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        #: What a value took without those that it is made from, and which these are.
        self._own: dict[str, float] = {}
        self._made_from: dict[str, set[str]] = {}
        #: Names used by the computation under way, and seconds that went into them.
        self._used: set[str] = set()
        self._inside = 0.0

    def get(self, name: str, make: Callable[[], T]) -> T:
        """Return the value of this name; make it if there is none yet."""
        if name not in self._values:
            before_used, before_inside = self._used, self._inside
            self._used, self._inside = set(), 0.0
            begun = time.process_time()
            try:
                self._values[name] = make()
            finally:
                total = time.process_time() - begun
                self._own[name], self._made_from[name] = total - self._inside, self._used
                self._used, self._inside = before_used, before_inside + total
        self._used |= {name} | self._made_from[name]
        return cast(T, self._values[name])

    def timed(
        self, call: Callable[[], T], paid: Collection[str] = ()
    ) -> tuple[T, float, frozenset[str]]:
        """Return what a call gives, its seconds, and the names of the shared values it used.

        The seconds are those of the call by itself: all shared values that it used count, whoever
        made them, but for those that have been paid for.
        """
        self._used, self._inside = set(), 0.0
        begun = time.process_time()
        value = call()
        own = time.process_time() - begun - self._inside
        used = frozenset(self._used)
        return value, own + sum(self._own[name] for name in sorted(used.difference(paid))), used
