"""Requests to terminate, handled like Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

#: SIGTERM, and the alarm that raises an interrupt again.
SIGNALS = (signal.SIGTERM, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else []))

#: Seconds after which an interrupt that was lost is raised again.
AGAIN_AFTER = 0.05


@contextmanager
def terminable() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM in the main thread, so that work is cleaned up.

    Python drops an exception that is raised inside a destructor or a weak reference's callback; it
    is then raised again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    report = sys.unraisablehook

    def raise_again(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is KeyboardInterrupt and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER)
        else:
            report(lost)

    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = report
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():  # None: it was not set from Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
