"""Locks: one job at a time writes an output, and one that was killed holds up none."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from postproc.jobs.locks import check_unlocked, lock_path, locked
from tests.postproc.jobs.test_write import Rows, check, output, run


def other(out, **changes):
    """A lock of another job beside an output."""
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "token": "x", "started": ""}
    lock_path(out.path).write_text(json.dumps({**mine, **changes}))


@pytest.mark.parametrize("content", ['{"pid": 7, "host": "elsewhere"}', "", "[]"])
def test_locks_of_other_hosts_and_unknown_ones_hold(tmp_path, content):
    out = output(tmp_path / "out.npy")
    lock_path(out.path).write_text(content)
    for attempt in (lambda: run(Rows(), out), lambda: check_unlocked(out.path)):
        with pytest.raises(FileExistsError, match="another job writes this output"):
            attempt()
    assert lock_path(out.path).read_text() == content


def test_a_lock_whose_process_is_gone_is_taken_over(tmp_path):
    out = output(tmp_path / "out.npy")
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    for changes in ({"pid": int(gone.stdout)}, {"started": "another time"}):
        other(out, **changes)
        check_unlocked(out.path)
        check(out, run(Rows(), out, overwrite=True))
        assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


def test_of_two_that_find_a_stale_lock_one_gets_it(tmp_path, monkeypatch):
    out = output(tmp_path / "out.npy")
    other(out, pid=2**22 + 1)
    plain, fresh = Path.rename, json.dumps({"pid": os.getpid(), "host": socket.gethostname()})

    def rename(self, target):
        self.write_text(fresh)  # another has taken it over just now
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(FileExistsError, match="another job"), locked(out.path):
        pytest.fail("the block must not run")
    assert [path.read_text() for path in tmp_path.iterdir()] == [fresh]
