"""Locks: one job at a time writes an output."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn


def lock_path(output: Path, what: str = "") -> Path:
    """The lock of an output, a hidden file beside it; `what` tells several apart."""
    path = output.absolute()
    return path.with_name(f".{path.name}{what}.lock")


@contextmanager
def locked(output: Path, what: str = "") -> Iterator[None]:
    """Hold the lock of an output; that of a process of this host that is gone is taken over.

    Raises
    ------
    FileExistsError
        If another job holds it.
    OSError
        If the folder of the output cannot be written to.
    """
    path = lock_path(output, what)
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "token": uuid.uuid4().hex}
    mine["started"] = _started(os.getpid())
    try:
        _acquire(path, output, json.dumps(mine).encode())
    except FileExistsError:
        raise
    except OSError as error:  # name the output, not the hidden file
        raise type(error)(error.errno, error.strerror, str(output)) from None
    try:
        yield
    finally:
        if _holder(path).get("token") == mine["token"]:
            with suppress(OSError):
                path.unlink()


def check_unlocked(output: Path) -> None:
    """Check that no other job writes an output, before any work is done for it.

    Raises
    ------
    FileExistsError
        If one does.
    """
    path = lock_path(output)
    if path.exists() and not _is_stale(_holder(path)):
        _refuse(path, output)


def _acquire(path: Path, output: Path, content: bytes) -> None:
    for _ in range(2):
        with suppress(FileExistsError):
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            return
        found = _holder(path)
        if not _is_stale(found):
            break
        # Renamed, not removed: of several that find it stale one alone gets it.
        aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            path.rename(aside)
            if _holder(aside) != found:  # another was quicker, and this is its new lock
                with suppress(OSError):
                    os.link(aside, path)
                aside.unlink()
                break
            aside.unlink()
    _refuse(path, output)


def _refuse(path: Path, output: Path) -> NoReturn:
    found = _holder(path)
    who = f"process {found.get('pid', '?')} on {found.get('host', '?')}"
    msg = (
        f"{output}: another job writes this output ({who}); wait for it, or remove {path} if it "
        "has ended"
    )
    raise FileExistsError(msg)


def _holder(path: Path) -> dict[str, Any]:
    """What a lock says of its job; empty if it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_stale(holder: dict[str, Any]) -> bool:
    """Whether the process that holds a lock ran on this host and is gone."""
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if os.name == "nt":  # there a signal of number 0 is no question
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it runs, and is another user's
        pass
    return _started(pid) not in ("", holder.get("started"))  # its number went to another


def _started(pid: int) -> str:
    """When a process was started, as Linux tells; empty elsewhere."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
