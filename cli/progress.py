"""Progress of long jobs on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from cli.messages import echo

#: Seconds over which a rate is averaged.
RATE_OVER = 20.0


@dataclass(frozen=True)
class Pace:
    """Seconds until a bar appears, and between the lines that replace it without a terminal."""

    bar_after: float = 1.0
    line_every: float = 30.0


@contextmanager
def watching(
    what: str,
    total: int,
    *,
    unit: str = "rows",
    done: int = 0,
    over: float = RATE_OVER,
    quiet: bool = False,
) -> Iterator[Callable[[int], None]]:
    """Give a function that is called with the number of units done since its last call.

    `done` units were there before; the rate is averaged over the last `over` seconds. Without a
    unit only the percentage is shown. The pace is the object of the context, if it is one.
    """
    context = click.get_current_context(silent=True)
    pace = (context and context.find_object(Pace)) or Pace()
    kind = _Bar if sys.stderr.isatty() else _Lines
    shown = kind(what, total, unit, done, over, pace)
    try:
        yield (lambda count: None) if quiet else shown.advance
    finally:
        shown.stop()


@dataclass
class _Lines:
    """A line now and then."""

    what: str
    total: int
    unit: str
    done: int
    over: float
    pace: Pace

    def __post_init__(self) -> None:
        self.begin = self.last = time.monotonic()
        self.marks = deque([(self.begin, self.done)])

    def advance(self, count: int) -> None:
        """Print a line if the last one was long ago."""
        now = self.count(count)
        if now - self.last >= self.pace.line_every and self.done < self.total:
            self.last = now
            rate = self.rate(now)
            left = f", {duration((self.total - self.done) / rate)} left" if rate > 0 else ""
            said = f"{100 * self.done / self.total:.0f} %"
            if self.unit:
                said = f"{self.done} of {self.total} {self.unit}, {self.speed(now)}"
            echo(f"{self.what}: {said}{left}", err=True)

    def count(self, count: int) -> float:
        """Count what is done, and return the time."""
        now = time.monotonic()
        self.done += count
        if now - self.marks[-1][0] >= self.over / 50:
            self.marks.append((now, self.done))
        while len(self.marks) > 2 and now - self.marks[1][0] >= self.over:
            self.marks.popleft()
        return now

    def rate(self, now: float) -> float:
        """Recent units per second; what a resumed job finds done arrives in a rush."""
        then, done = self.marks[0]
        return (self.done - done) / max(now - then, 1e-9)

    def speed(self, now: float) -> str:
        """The rate as text, per minute if it is slow."""
        rate = self.rate(now)
        if rate < 1:
            return f"{60 * rate:,.0f} {self.unit}/min"
        return f"{rate:,.0f} {self.unit}/s"

    def stop(self) -> None:
        """Leave nothing on the screen."""


class _Bar(_Lines):
    """A bar with rate and time left, once the work has taken a while."""

    bar: Any = None

    def advance(self, count: int) -> None:
        """Move the bar."""
        now = self.count(count)
        if self.bar is None and now - self.begin >= self.pace.bar_after:
            self._start()
        if self.bar is not None:
            rate = f", {self.speed(now)}" if self.unit else ""
            self.bar.update(self.task, completed=self.done, rate=rate)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=self.over,
        )
        self.task = self.bar.add_task(self.what, total=self.total, completed=self.done, rate="")
        self.bar.start()

    def stop(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()


def duration(seconds: float) -> str:
    """A time as text, such as 42 s or 1 h 02 min."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
