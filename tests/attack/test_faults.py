"""A kill or a full disk at every file operation of commands that write.

What stood under a name is there as it was, or the new file is, whole. The same command then runs to
its end and leaves nothing but its outputs.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from cli.main import main
from postproc.scores.blocks import Sizes
from tests.ensemble.bench.conftest import make_run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

RNG = np.random.default_rng(0)
N, C = 40, 3
Y = RNG.integers(C, size=N)
#: Exit codes of a child: killed, or done before the fault came.
KILLED, REACHED_END = 77, 0

FIT = ["--fit", "a.npy", "--fit", "b.npy", "--fit-labels", "y.npy"]
COMMANDS = {
    "can": ["can", "a.npy", "--prior", "uniform", "-o", "out.npy"],
    "can to csv": ["can", "a.npy", "--prior", "uniform", "-o", "out.csv"],
    "can to shards": ["can", "a.npy", "--prior", "uniform", "-o", "out/"],
    "weights": ["ensemble", "weights", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "soft": ["ensemble", "soft", "a.npy", "b.npy", "-o", "out.npz"],
    "calibrate": [
        *("calibrate", "a.npy", "--fit", "a.npy", "--fit-labels", "y.npy", "-o", "out.npy"),
        *("--save", "m.json"),
    ],
    "adapt": ["adapt", "a.npy", "--fit", "a.npy", "--fit-labels", "y.npy", "-o", "out.npy"],
    "auto": ["auto", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "report": ["report", "a.npy", "b.npy", "--labels", "y.npy", "--html", "page.html"],
    "convert": ["convert", "a.npy", "-o", "out.jsonl"],
    "pool": ["pool", "ids.csv", "-o", "out.csv"],
    "tune": ["tune", "can", "a.npy", "--labels", "y.npy", "-o", "can.json"],
    "decide": [
        *("decide", "a.npy", "--fit", "a.npy", "--fit-labels", "y.npy", "-o", "out.csv"),
        *("--sets", "0.8", "--save", "m.json"),
    ],
    "bench": [
        *("bench", "task", "-o", "out.jsonl", "--jobs", "1", "--draws", "2"),
        *("--methods", "temperature,soft", "--shift", "none,longtail:10"),
    ],
}
#: Commands whose every operation is tried in each run of the tests.
QUICK = ("can", "can to shards", "decide")

SLOW = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name)
    for name in COMMANDS
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        np.save(f"{name}.npy", 2 * np.eye(C)[Y] + RNG.normal(size=(N, C)))
    np.save("y.npy", Y)
    probs = RNG.dirichlet(np.ones(C), N)
    rows = (f"r{row // 2}," + ",".join(map(repr, map(float, p))) for row, p in enumerate(probs))
    Path("ids.csv").write_text("\n".join(["id,a,b,c", *rows, ""]))
    make_run(tmp_path / "task", n_fit=30, n_test=30)
    return tmp_path


def run(words: list[str]) -> int:
    """The exit code of a command in this process; blocks are of a few rows."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            main([*words, "--overwrite"], standalone_mode=False, obj=Sizes(block=8 * C * 20))
    except Exception:  # whatever it is, files count here
        return 1
    return 0


def in_child(words: list[str], folder: Path, fault: Callable[[], None], at: int) -> int:
    """Run a command in a child whose operation number `at` on a file of the folder fails."""
    child = os.fork()
    if child == 0:
        seen = iter(range(10**9))

        def watch(event: str, args: tuple[object, ...]) -> None:
            if event == "open":
                writes = isinstance(args[1], str) and set(args[1]) & set("wax+")
                if not writes and not (isinstance(args[2], int) and args[2] & os.O_WRONLY):
                    return
            elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.fsync"):
                return
            name = args[0]
            if isinstance(name, str | bytes | os.PathLike):
                path = Path(os.fsdecode(name)).absolute()
                if folder not in path.parents:
                    return
            if next(seen) == at:
                fault()

        flush = os.fsync

        def fsync(handle: int) -> None:
            sys.audit("os.fsync", handle)
            flush(handle)

        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(watch)
        code = run(words)
        os._exit(code if next(seen) <= at else code + 2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill() -> None:
    os._exit(KILLED)


def fill() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes; times are never the same."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".seconds.jsonl")
    }


def visible(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in found.items() if not name.startswith(".")}


def restore(folder: Path, before: dict[str, bytes]) -> None:
    """Bring the files back that were there."""
    for name in contents(folder).keys() - before.keys():
        Path(name).unlink()
    for name, data in before.items():
        if Path(name).read_bytes() != data:
            Path(name).write_bytes(data)


@pytest.mark.parametrize("fault", [kill, fill])
@pytest.mark.parametrize("name", SLOW)
def test_every_operation_may_fail(name, fault, folder):
    words = COMMANDS[name]
    inputs = contents(folder)
    assert run(words) == 0
    outputs = contents(folder).keys() - inputs.keys()
    assert outputs
    source = next(file for word in words for file in inputs if file.startswith(word))
    reverse(source)
    inputs = {name: Path(name).read_bytes() for name in inputs}
    old = contents(folder)
    assert run(words) == 0
    new = contents(folder)
    assert any(old.get(file) != new[file] for file in new)
    for at in range(1000):
        restore(folder, old)
        code = in_child(words, folder, fault, at)
        found = contents(folder)
        for file, data in visible(found).items():
            grows = name == "bench" and file == "out.jsonl" and new[file].startswith(data)
            assert grows or data in (old.get(file), new.get(file)), file
        for file in old:  # a model's arrays lie in a file that is named by their content
            assert file in found or (file.endswith(".arrays.npz") and file not in new), file
        assert run(words) == 0
        assert contents(folder) == new
        if code == REACHED_END:
            break
    assert at > 3


def reverse(file: str) -> None:
    """Put the rows of an input in another order, so that another result takes the first's place."""
    if file.endswith(".npy"):
        np.save(file, np.load(file)[::-1])
    else:
        header, *rows = Path(file).read_text().splitlines()
        Path(file).write_text("\n".join([header, *rows[::-1], ""]))
