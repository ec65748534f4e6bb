"""Locks: one job at a time writes an output. The system drops the lock of a process that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def lock_path(output: Path, suffix: str = "") -> Path:
    """The lock of an output, a hidden file beside it; `suffix` tells several of them apart."""
    path = output.absolute()
    return path.with_name(f".{path.name}{suffix}.lock")


@contextmanager
def locked(output: Path, suffix: str = "", *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of an output; a FileExistsError names the output that another job writes.

    Patience is for how many seconds to wait for the other job's end.
    """
    from filelock import FileLock, Timeout

    path = lock_path(output, suffix)
    lock = FileLock(path, thread_local=False)  # a generator may be closed by another thread
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        msg = f"{output}: another job is writing this output; wait for it or name another output"
        raise FileExistsError(msg) from None
    except OSError as error:  # name the output, not the hidden file
        raise OSError(error.errno, error.strerror, str(output)) from None
    try:
        yield
    finally:
        with suppress(OSError):  # while held: whoever opened it finds it unlinked and starts over
            path.unlink()
        lock.release()


def check_unlocked(output: Path) -> None:
    """Check that no other job writes an output, before any work is done for it."""
    if lock_path(output).exists():
        with locked(output):
            pass
