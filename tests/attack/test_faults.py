"""A kill, a full or a broken disk at every file operation of commands that write.

What stood under a name is there as it was, or the new file is, whole. The same command then runs to
its end and leaves nothing but its outputs.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.commands import (
    COMMANDS,
    DONE,
    REFUSED,
    SEEDS,
    check_model,
    contents,
    on_operations,
    remember_examples,
    reverse,
    run,
    source_of,
    visible,
    write_inputs,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

#: Exit codes of a child: killed; and what is added to that of a command that a fault has hit.
KILLED, HIT = 77, 10
#: Commands whose every operation is tried in each run of the tests.
QUICK = ("can", "can to shards", "decide")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "process_time", lambda: 0.0)  # which `bench` puts into pages
    remember_examples(monkeypatch.setattr)
    write_inputs(tmp_path)
    return tmp_path


def in_child(words: list[str], folder: Path, fault: Callable[[], None], at: int) -> int:
    """Run a command in a child whose operation number `at` on a file of the folder fails."""
    child = os.fork()
    if child == 0:
        seen = iter(range(10**9))

        def count() -> None:
            if next(seen) == at:
                fault()

        on_operations(folder, count)
        code = run(words)
        os._exit(code if next(seen) <= at else code + HIT)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill() -> None:
    os._exit(KILLED)


def fill() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_off() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


FAULTS = (kill, fill, break_off)
CASES = [
    pytest.param(name, fault, marks=marks)
    for name in COMMANDS
    for fault in FAULTS
    for marks in [() if name in QUICK and fault is not break_off else pytest.mark.slow]
]


def restore(folder: Path, before: dict[str, bytes]) -> None:
    """Bring the files back that were there."""
    found = contents(folder)
    for name in found.keys() - before.keys():
        Path(name).unlink()
    for name, data in before.items():
        if found.get(name) != data:
            Path(name).write_bytes(data)


def old_and_new(name: str, folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files before and after a command whose outputs replace others."""
    inputs, words = contents(folder), COMMANDS[name]
    assert run([*words, *SEEDS.get(name, [])]) == DONE
    assert contents(folder).keys() - inputs.keys()
    source = source_of(words, inputs)
    reverse(source)
    old = contents(folder)
    assert run(words) == DONE
    new = contents(folder)
    is_other = source is not None or name in SEEDS
    assert not is_other or any(old.get(file) != new[file] for file in new)
    gc.collect()
    gc.freeze()  # children then copy little of this process's memory
    return old, new


def check(name: str, old: dict[str, bytes], new: dict[str, bytes], folder: Path) -> None:
    """Every file is the old or the new one, and where there is more a further run mends it."""
    found = contents(folder)
    if found in (old, new):
        return
    for file, data in visible(found).items():
        grows = name.startswith("bench") and file == "out.jsonl" and new[file].startswith(data)
        assert grows or data in (old.get(file), new.get(file)), file
    for file in old:  # a model's arrays lie in a file that is named by their content
        assert file in found or (file.endswith(".arrays.npz") and file not in new), file
    check_model(folder)
    assert run(COMMANDS[name]) == DONE
    assert contents(folder) == new


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_every_operation_may_fail(name, fault, folder, record_property):
    words = COMMANDS[name]
    old, new = old_and_new(name, folder)
    for at in range(1000):
        restore(folder, old)
        code = in_child(words, folder, fault, at)
        if code == DONE:
            break
        assert code in ({KILLED} if fault is kill else {DONE + HIT, REFUSED + HIT})
        check(name, old, new, folder)
    assert at > 3
    record_property("points", at)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_may_fill_within_a_file(name, folder):
    """Files that grow beyond a size are refused, as by a full disk, with half of them written."""
    words = COMMANDS[name]
    old, new = old_and_new(name, folder)
    for most in (0, 1, 40, 100, 150, 300, 700, 1500):
        restore(folder, old)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            os._exit(run(words))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (DONE, REFUSED)
        check(name, old, new, folder)


def test_numpy_itself_saves_no_file():
    """`numpy.save` loses the end of a small array in silence when the disk is full."""
    for package in ("postproc", "ensemble", "cli"):
        for file in (Path(__file__).parents[2] / package).rglob("*.py"):
            lines = file.read_text(encoding="utf-8").splitlines()
            assert not [line for line in lines if "np.save(" in line and ">>>" not in line], file
