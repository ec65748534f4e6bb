"""Fits shared by several methods: computed once, their time charged to each method."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SharedFits:
    """Values by name, each computed on first use, with the processor seconds it took."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        #: Seconds of a value without those it depends on, and the names of the latter.
        self._own: dict[str, float] = {}
        self._made_from: dict[str, set[str]] = {}
        #: Names used by the current computation, and the seconds spent on them.
        self._used: set[str] = set()
        self._inside = 0.0

    def get(self, name: str, make: Callable[[], T]) -> T:
        """Return the value with this name; make it on first use."""
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
        """A call's result, its seconds (with shared values not in `paid`), and what it shared."""
        self._used, self._inside = set(), 0.0
        begun = time.process_time()
        value = call()
        own = time.process_time() - begun - self._inside
        used = frozenset(self._used)
        return value, own + sum(self._own[name] for name in sorted(used.difference(paid))), used
