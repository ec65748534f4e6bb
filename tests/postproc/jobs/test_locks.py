"""Locks: one job at a time writes an output, and no lock outlives its process."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from postproc.jobs.locks import check_unlocked, lock_path, locked
from tests.postproc.jobs.test_write import Rows, check, output, run

REFUSED = "another job is writing this output"

#: Holds the lock of an output until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from postproc.jobs.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

#: Takes and gives back the lock of an output again and again, and counts overlaps by a second file.
RACE = """
import os, sys, time
from pathlib import Path
from postproc.jobs.locks import locked
output, taken = Path(sys.argv[1]), 0
end = time.monotonic() + 1.0
while time.monotonic() < end:
    try:
        with locked(output):
            os.close(os.open(f"{output}.inside", os.O_CREAT | os.O_EXCL))
            taken += 1
            os.unlink(f"{output}.inside")
    except FileExistsError as error:
        assert "another job" in str(error), "two held the lock at once"
print(taken)
"""


def start(script, path):
    root, pipe = Path(__file__).parents[3], subprocess.PIPE
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=root)


def test_a_lock_holds_against_other_processes_and_ends_with_its_own(tmp_path):
    out = output(tmp_path / "out.npy")
    with start(HOLD, out.path) as holder:
        assert holder.stdout.readline() == "held\n"
        for attempt in (lambda: run(Rows(), out), lambda: check_unlocked(out.path)):
            with pytest.raises(FileExistsError, match=f"out.npy: {REFUSED}"):
                attempt()
        holder.kill()
    assert lock_path(out.path).exists()  # nobody was left to remove it
    check_unlocked(out.path)
    check(out, run(Rows(), out))
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 7, "host": "elsewhere"}'])
def test_a_lock_file_that_nobody_holds_blocks_nothing(tmp_path, content):
    out = output(tmp_path / "out.npy")
    lock_path(out.path).write_text(content)  # as a full disk or the last release left it
    check_unlocked(out.path)
    lock_path(out.path).write_text(content)
    check(out, run(Rows(), out))
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


def test_one_holds_the_lock_at_a_time_though_its_file_comes_and_goes(tmp_path):
    racers = [start(RACE, tmp_path / "out.npy") for _ in range(3)]
    answers = [racer.communicate() for racer in racers]
    assert [error for _, error in answers] == [""] * 3
    assert sum(int(taken) for taken, _ in answers) > 3
    assert list(tmp_path.iterdir()) == []


def test_a_lock_taken_in_one_thread_can_be_given_back_in_another(tmp_path):
    lock = locked(tmp_path / "out.npy")
    lock.__enter__()
    thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with locked(tmp_path / "out.npy"):
        pass


def test_a_lock_that_cannot_be_made_is_named_by_its_output(tmp_path):
    path = tmp_path / "out.npy"
    lock_path(path).mkdir()
    with pytest.raises(OSError) as refused, locked(path):
        pytest.fail("the block must not run")
    assert refused.value.filename == str(path)
