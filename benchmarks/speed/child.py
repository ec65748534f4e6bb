"""Commands in processes of their own: how long they take, and how much memory they hold."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

POSTPROC = (sys.executable, "-c", "from cli.main import main; main()")

#: Seconds between two looks at a process's memory.
INTERVAL = 0.005


class Run(NamedTuple):
    """Seconds that a command took, its most private memory in bytes, and what it printed."""

    seconds: float
    peak: float
    output: str


def run(*command: str) -> Run:
    """Run a command to its end.

    Memory is that which is the process's own; pages of mapped files can be dropped at any time.

    Raises
    ------
    RuntimeError
        If the command fails; the message holds what it said.
    """
    top = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        ended = threading.Event()

        def watch() -> None:
            nonlocal top
            while not ended.wait(INTERVAL):
                top = max(top, private_bytes(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        took = time.perf_counter() - start
        ended.set()
        watcher.join()
        out.seek(0)
        err.seek(0)
        if code:
            raise RuntimeError(f"{' '.join(command[-6:])} failed: {err.read().strip()}")
        return Run(took, float(top), out.read())


def private_bytes(pid: int) -> int:
    """Resident memory of a process that belongs to no file; 0 where it cannot be told."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("RssAnon")]
    return 1024 * int(found[0]) if found else 0


def postproc(*words: str) -> Run:
    """Run the command `postproc`."""
    return run(*POSTPROC, *words)


def python(code: str, *arguments: str) -> Run:
    """Run code in a fresh interpreter."""
    return run(sys.executable, "-c", code, *arguments)
