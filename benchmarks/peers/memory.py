"""Memory and processor time of a first call: a process that fits and predicts, imports included."""

from __future__ import annotations

import multiprocessing
import re
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.peers.calibrators import Method, methods_for
from benchmarks.peers.tasks import Task

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def _child(method: Method, task: Task, back: Connection) -> None:
    RESET.write_text("5")  # the peak starts anew
    before, start = _kilobytes("VmRSS"), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method(task)
    except ImportError:
        back.send(None)
        return
    back.send((time.process_time() - start, (_kilobytes("VmHWM") - before) / 1024))


def table(task: Task) -> str:
    """Seconds and peak megabytes of every method on one task, over what held the task."""
    context = multiprocessing.get_context("fork")
    rows, classes = task.fit.shape
    lines = [
        f"| {task.group}, {task.name}, {rows:,} x {classes} | seconds | MB |",
        "| --- | ---: | ---: |",
    ]
    for name, method in methods_for(classes).items():
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(method, task, its))
        process.start()
        its.close()
        try:
            found = mine.recv()
        except EOFError:  # the process has died
            found = None
        process.join()
        if found is not None:
            lines.append(f"| {name} | {found[0]:.1f} | {found[1]:.0f} |")
    return "\n".join(lines)
