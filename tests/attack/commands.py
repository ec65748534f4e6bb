"""Every command that writes, on small files, and what they leave in a folder."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np

import ensemble
import postproc
from cli.main import main
from cli.run import demo_task
from postproc.scores.blocks import Sizes
from tests.ensemble.bench.conftest import make_run

N, C = 40, 3
#: Classes of which a calibrator has so many numbers that they lie in a file of their own.
WIDE = 18
#: Exit codes of a command: to its end, an error in one line, a traceback.
DONE, REFUSED, TRACEBACK = 0, 1, 3

FIT = ["--fit", "a.npy", "--fit", "b.npy", "--fit-labels", "y.npy"]
ONE = ["--fit", "a.npy", "--fit-labels", "y.npy"]
CAN = ["can", "a.npy", "--prior", "uniform"]
DEVIL = ["--head", "bias", "--epochs", "2", "--seeds", "1"]
LABELS = ["--fit", "p.npy", "--fit-labels", "l.npy"]
MATRIX = ["--method", "matrix", "--fit", "wide.npy", "--fit-labels", "many.npy"]
BENCH = ["bench", "task", "-o", "out.jsonl", "--jobs", "1", "--draws", "2"]
GRID = ["--alpha", "1,2", "--iterations", "1", "--top-k", "2", "--threshold", ".5"]
COMMANDS = {
    "can": [*CAN, "-o", "out.npy"],
    "can to csv": [*CAN, "-o", "out.csv"],
    "can to shards": [*CAN, "-o", "out/"],
    "can to zarr": [*CAN, "-o", "out.zarr"],
    "can and labels": [*CAN, "-o", "out.parquet", "--labels-out", "labels.csv.gz"],
    "weights": ["ensemble", "weights", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "soft": ["ensemble", "soft", "a.npy", "b.npy", "-o", "out.npz"],
    "rank": ["ensemble", "rank", "a.npy", "b.npy", "--over", "rows", "-o", "out.csv"],
    "devil": ["ensemble", "devil", "a.npy", "b.npy", *FIT, *DEVIL, "-o", "out.safetensors"],
    "apply": ["apply", "scaling.json", "a.npy", "-o", "out.pt"],
    "labels": ["calibrate", "p.npy", "--multilabel", *LABELS, "--save", "m.json", "-o", "out.npy"],
    "calibrate": ["calibrate", "a.npy", *ONE, "-o", "out.npy", "--save", "m.json"],
    "matrix": ["calibrate", "wide.npy", *MATRIX, "-o", "out.jsonl", "--save", "m.json"],
    "adapt": ["adapt", "a.npy", *ONE, "--method", "bbse", "-o", "out.npy", "--save", "m.json"],
    "auto": ["auto", "a.npy", "b.npy", *FIT, "--save", "m.json", "-o", "out.npy"],
    "report": ["report", "a.npy", "b.npy", "--labels", "y.npy", "--html", "page.html"],
    "convert": ["convert", "a.npy", "-o", "out.jsonl"],
    "convert a log": ["convert", "long.csv", "--layout", "long", "-o", "out.npz"],
    "augment": ["augment", "texts.csv", "-k", "2", "-o", "out.csv"],
    "pool": ["pool", "ids.csv", "-o", "out.csv"],
    "tune": ["tune", "can", "a.npy", "--labels", "y.npy", *GRID, "--folds", "3", "-o", "can.json"],
    "decide": ["decide", "a.npy", *ONE, "-o", "out.csv", "--sets", "0.8", "--save", "m.json"],
    "bench": [*BENCH, "--methods", "temperature,soft", "--shift", "none,longtail:10"],
    "bench page": [*BENCH, "--methods", "soft", "--html", "times.html", "--csv", "times.csv"],
    "examples": ["examples", "out"],
}
#: What lets a command without inputs write something else.
SEEDS = {"examples": ["--seed", "1"]}
#: Those whose jobs have several blocks, and can be resumed.
RESUMABLE = ("can", "can to csv", "can to shards", "can to zarr", "soft", "apply", "calibrate")
#: Options whose value is an output.
OUTPUTS = ("-o", "--save", "--html", "--labels-out", "--csv", "examples")


def write_inputs(folder: Path) -> None:
    """Write what the commands read into a folder, which is the current one."""
    rng = np.random.default_rng(0)
    y = rng.integers(C, size=N)
    for name in ("a", "b"):
        np.save(f"{name}.npy", 2 * np.eye(C)[y] + rng.normal(size=(N, C)))
    np.save("y.npy", y)
    many = np.arange(3 * WIDE) % WIDE
    np.save("wide.npy", 2 * np.eye(WIDE)[many] + rng.normal(size=(3 * WIDE, WIDE)))
    np.save("many.npy", many)
    probs = rng.dirichlet(np.ones(C), N)
    rows = (f"r{row // 2}," + ",".join(map(repr, map(float, p))) for row, p in enumerate(probs))
    Path("ids.csv").write_text("\n".join(["id,a,b,c", *rows, ""]))
    cells = (f"r{row},{c},{p[at]}" for row, p in enumerate(probs) for at, c in enumerate("abc"))
    Path("long.csv").write_text("\n".join(["id,class,probability", *cells, ""]))
    Path("texts.csv").write_text("text\n" + "".join(f"row {row} of text\n" for row in range(20)))
    np.save("p.npy", rng.random((N, C)))
    np.save("l.npy", rng.integers(2, size=(N, C)))
    scaling = postproc.TemperatureScaling().fit(np.load("a.npy"), y)
    ensemble.save_model(scaling, "scaling.json", most_inline=0)
    make_run(folder / "task", n_fit=30, n_test=30)


def remember_examples(set_attribute: Callable[[object, str, Any], None] = setattr) -> None:
    """From now on, the classifiers of `examples` are trained once for each seed."""
    set_attribute(demo_task, "predicted", cache(demo_task.predicted))


def run(words: list[str]) -> int:
    """The exit code of a command in this process."""
    return outcome(words)[0]


def outcome(words: list[str]) -> tuple[int, str]:
    """The exit code of a command in this process, and its error; blocks are of a few rows."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            main([*words, "--overwrite"], standalone_mode=False, obj=Sizes(block=8 * C * 20))
    except click.ClickException as error:
        return REFUSED, error.format_message()
    except Exception as error:  # whatever it is, no user must see it
        return TRACEBACK, repr(error)
    return DONE, ""


def on_operations(folder: Path, act: Callable[[], None]) -> None:
    """From now on, act before every operation of this process that changes a file of a folder."""

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
        act()

    flush = os.fsync

    def fsync(handle: int) -> None:
        sys.audit("os.fsync", handle)
        flush(handle)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(watch)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes; of those with times, which are never the same, both ends."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".seconds.jsonl")
    }
    ends = {"times.html": 8, "times.csv": 1}  # a closing tag, and the end of a line
    return {
        name: data[:20] + data[-ends[name] :] if name in ends else data
        for name, data in found.items()
    }


def visible(found: dict[str, bytes]) -> dict[str, bytes]:
    """The files without those that are hidden, as a killed process leaves them."""
    return {name: data for name, data in found.items() if not is_hidden(name)}


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden."""
    return any(part.startswith(".") for part in Path(name).parts)


def check_model(folder: Path) -> None:
    """A saved model is whole, with its arrays."""
    if (folder / "m.json").exists():
        ensemble.load_model(folder / "m.json")


def source_of(words: list[str], inputs: dict[str, bytes]) -> str | None:
    """The first input of a command that has rows."""
    tables = [file for file in inputs if file.endswith((".npy", ".csv"))]
    return next((file for word in words for file in tables if file.startswith(word)), None)


def reverse(file: str | None) -> None:
    """Put the rows of an input in another order, so that another result takes the first's place."""
    if file is None:
        return
    if file.endswith(".npy"):
        np.save(file, np.load(file)[::-1])
    else:
        header, *rows = Path(file).read_text().splitlines()
        Path(file).write_text("\n".join([header, *rows[::-1], ""]))
