"""A kill, a full or a broken disk at every file operation of commands that write.

What stood under a name is there as it was, or the new file is, whole. The same command then runs to
its end and leaves nothing but its outputs.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import ensemble
import postproc
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
CAN = ["can", "a.npy", "--prior", "uniform"]
DEVIL = ["--head", "bias", "--epochs", "2", "--seeds", "1"]
LABELS = ["--fit", "p.npy", "--fit-labels", "l.npy"]
COMMANDS = {
    "can": [*CAN, "-o", "out.npy"],
    "can to csv": [*CAN, "-o", "out.csv"],
    "can to shards": [*CAN, "-o", "out/"],
    "weights": ["ensemble", "weights", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "can to zarr": [*CAN, "-o", "out.zarr"],
    "can and labels": [*CAN, "-o", "out.parquet", "--labels-out", "labels.csv.gz"],
    "soft": ["ensemble", "soft", "a.npy", "b.npy", "-o", "out.npz"],
    "devil": ["ensemble", "devil", "a.npy", "b.npy", *FIT, *DEVIL, "-o", "out.safetensors"],
    "apply": ["apply", "scaling.json", "a.npy", "-o", "out.pt"],
    "labels": ["calibrate", "p.npy", "--multilabel", *LABELS, "--save", "m.json", "-o", "out.npy"],
    "calibrate": [
        *("calibrate", "a.npy", "--fit", "a.npy", "--fit-labels", "y.npy", "-o", "out.npy"),
        *("--save", "m.json"),
    ],
    "adapt": ["adapt", "a.npy", "--fit", "a.npy", "--fit-labels", "y.npy", "-o", "out.npy"],
    "auto": ["auto", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "report": ["report", "a.npy", "b.npy", "--labels", "y.npy", "--html", "page.html"],
    "convert": ["convert", "a.npy", "-o", "out.jsonl"],
    "augment": ["augment", "texts.csv", "-k", "2", "-o", "out.csv"],
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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    return tmp_path


def write_inputs(folder: Path) -> None:
    """Write what the commands read into a folder, which is the current one."""
    for name in ("a", "b"):
        np.save(f"{name}.npy", 2 * np.eye(C)[Y] + RNG.normal(size=(N, C)))
    np.save("y.npy", Y)
    probs = RNG.dirichlet(np.ones(C), N)
    rows = (f"r{row // 2}," + ",".join(map(repr, map(float, p))) for row, p in enumerate(probs))
    Path("ids.csv").write_text("\n".join(["id,a,b,c", *rows, ""]))
    Path("texts.csv").write_text("text\n" + "".join(f"row {row} of text\n" for row in range(20)))
    np.save("p.npy", RNG.random((N, C)))
    np.save("l.npy", RNG.integers(2, size=(N, C)))
    scaling = postproc.TemperatureScaling().fit(np.load("a.npy"), Y)
    ensemble.save_model(scaling, "scaling.json", most_inline=0)
    make_run(folder / "task", n_fit=30, n_test=30)


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


def break_off() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


FAULTS = (kill, fill, break_off)
CASES = [
    pytest.param(name, fault, marks=marks)
    for name in COMMANDS
    for fault in FAULTS
    for marks in [() if name in QUICK and fault is not break_off else pytest.mark.slow]
]


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


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_every_operation_may_fail(name, fault, folder):
    words = COMMANDS[name]
    inputs = contents(folder)
    assert run(words) == 0
    outputs = contents(folder).keys() - inputs.keys()
    assert outputs
    reverse(source_of(words, inputs))
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


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_may_fill_within_a_file(name, folder):
    """Files that grow beyond a size are refused, as by a full disk, with half of them written."""
    words = COMMANDS[name]
    inputs = contents(folder)
    assert run(words) == 0
    reverse(source_of(words, inputs))
    inputs = {name: Path(name).read_bytes() for name in inputs}
    old = contents(folder)
    assert run(words) == 0
    new = contents(folder)
    for most in (0, 1, 40, 100, 150, 300, 700, 1500):
        restore(folder, old)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            os._exit(run(words))
        os.waitpid(child, 0)
        found = contents(folder)
        for file, data in visible(found).items():
            grows = name == "bench" and file == "out.jsonl" and new[file].startswith(data)
            assert grows or data in (old.get(file), new.get(file)), (file, most)
        assert run(words) == 0
        assert contents(folder) == new


def source_of(words: list[str], inputs: dict[str, bytes]) -> str:
    """The first input of a command."""
    return next(file for word in words for file in inputs if file.startswith(word))


def reverse(file: str) -> None:
    """Put the rows of an input in another order, so that another result takes the first's place."""
    if file.endswith(".npy"):
        np.save(file, np.load(file)[::-1])
    else:
        header, *rows = Path(file).read_text().splitlines()
        Path(file).write_text("\n".join([header, *rows[::-1], ""]))
