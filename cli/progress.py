"""Progress of long jobs: a bar on a terminal, a line now and then elsewhere; all on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

#: Seconds until a bar appears, and between the lines that stand for it where there is no terminal.
BAR_AFTER = 1.0
LINE_EVERY = 30.0

#: Seconds over which a rate is taken.
RATE_OVER = 20.0


@contextmanager
def watching(what: str, n_rows: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Give a function that is told the number of rows that are done."""
    shown = _Bar(what, n_rows) if sys.stderr.isatty() else _Lines(what, n_rows)
    try:
        yield (lambda rows: None) if quiet else shown.advance
    finally:
        shown.stop()


class _Lines:
    """A line now and then."""

    def __init__(self, what: str, n_rows: int) -> None:
        self.what, self.n_rows = what, n_rows
        self.done = 0
        self.begin = self.last = time.monotonic()
        self.marks = deque([(self.begin, 0)])

    def advance(self, rows: int) -> None:
        """Say how far it is, where that has not been said for long."""
        now = self.count(rows)
        if now - self.last >= LINE_EVERY and self.done < self.n_rows:
            self.last = now
            left = (self.n_rows - self.done) / self.rate(now)
            click.echo(
                f"{self.what}: {self.done} of {self.n_rows} rows, {self.rate(now):,.0f} rows/s, "
                f"{duration(left)} left",
                err=True,
            )

    def count(self, rows: int) -> float:
        """Count rows and say when that was."""
        now = time.monotonic()
        self.done += rows
        if now - self.marks[-1][0] >= RATE_OVER / 50:
            self.marks.append((now, self.done))
        while len(self.marks) > 2 and now - self.marks[1][0] >= RATE_OVER:
            self.marks.popleft()
        return now

    def rate(self, now: float) -> float:
        """Rows a second of late: what a resumed job finds done comes in a rush."""
        then, done = self.marks[0]
        return (self.done - done) / max(now - then, 1e-9)

    def stop(self) -> None:
        """Nothing is left on the screen."""


class _Bar(_Lines):
    """A bar with rate and time left, for what takes longer than a moment."""

    def __init__(self, what: str, n_rows: int) -> None:
        super().__init__(what, n_rows)
        self.bar: Any = None

    def advance(self, rows: int) -> None:
        """Move the bar."""
        now = self.count(rows)
        if self.bar is None and now - self.begin >= BAR_AFTER:
            self._start()
        if self.bar is not None:
            rate = f"{self.rate(now):,.0f} rows/s"
            self.bar.update(self.task, completed=self.done, rate=rate)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %, {task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task(self.what, total=self.n_rows, rate="")
        self.bar.start()

    def stop(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()


def duration(seconds: float) -> str:
    """A time that a person can take in.

    Examples
    --------
    >>> duration(42.3), duration(3723)
    ('42 s', '1 h 02 min')
    """
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
