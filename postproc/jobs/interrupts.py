"""Requests to terminate, answered as Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def terminable() -> Iterator[None]:
    """Let a request to terminate (SIGTERM) raise KeyboardInterrupt, so that work is cleaned up.

    Outside of the main thread, where signals do not arrive, nothing changes.
    """

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:  # None stands for a handler that Python has not set and cannot set
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
