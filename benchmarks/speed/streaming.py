"""Files larger than a block through the command line: peak memory, and the rate of copying.

At full size the file is 2,000,000 x 1,000 float32, 8 GB, and results take as much again. What
grows with the number of rows alone shows in a report of 40,000,000 rows of few classes.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Run, postproc, python
from benchmarks.speed.timing import Figure, in_bytes
from postproc.scores.blocks import row_blocks

#: Peak of private memory that a command may take, in bytes.
MOST_MEMORY = 1e9

#: Copies a mapped file into another: the same bytes, read and written once.
COPY = """
import sys, numpy as np
a = np.load(sys.argv[1], mmap_mode='r')
b = np.lib.format.open_memmap(sys.argv[2], mode='w+', dtype=a.dtype, shape=a.shape)
np.copyto(b, a)
b.flush()
"""

#: Commands, and how many times the file's bytes they must read and write at the least: CAN reads
#: once for the reference and once to adjust.
COMMANDS = {
    "can, d = 1": (("can", "{scores}", "--prior", "uniform"), 3),
    "ensemble soft of 1": (("ensemble", "soft", "{scores}"), 2),
    "report": (("report", "{scores}", "--labels", "{labels}", "--json"), 1),
}

#: A reference of three rows in four, too long for memory.
DEEP = ("--iterations", "3", "--reference-size", "auto")


def write(path: Path, n_rows: int, n_classes: int) -> None:
    """Write probabilities of which three rows in four are confident; a block is repeated."""
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, n_classes))
    blocks = list(row_blocks(n_rows, n_classes))
    size = blocks[0].stop
    block = np.exp(rng.standard_normal((size, n_classes), dtype=np.float32))
    most = rng.choice(np.array([1, 100], np.float32), size, p=[0.25, 0.75]) * n_classes
    block[np.arange(size), rng.integers(0, n_classes, size)] += most
    block /= block.sum(axis=1, keepdims=True)
    for rows in blocks:
        file[rows] = block[: rows.stop - rows.start]
    file.flush()


def figures(*, quick: bool) -> Iterator[Figure]:
    """Rates on a file that the page cache holds, and peak memory on files that are far larger."""
    sizes = ((40_000, 250),) if quick else ((250_000, 1_000), (2_000_000, 1_000))
    for n_rows, n_classes in sizes:
        large = n_rows == sizes[-1][0]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            scores, labels, out = folder / "scores.npy", folder / "labels.npy", folder / "out.npy"
            write(scores, n_rows, n_classes)
            np.save(labels, np.random.default_rng(1).integers(0, n_classes, n_rows))
            size = f"{n_rows} x {n_classes} float32, {in_bytes(scores.stat().st_size)}"
            for command, (words, moved) in COMMANDS.items():
                given = [word.format(scores=scores, labels=labels) for word in words]
                if moved > 1:
                    given += ["-o", str(out), "--overwrite", "--quiet"]
                what = f"postproc {command}, {size}"
                if large:
                    yield _memory(what, postproc(*given))
                    out.unlink(missing_ok=True)
                if moved > 1 and (quick or not large):
                    yield _rate(what, given, scores, out, moved)
            if large:
                words = ("can", str(scores), "--prior", "uniform", *DEEP, "-o", str(out))
                yield _memory(f"postproc can, d = 3, condensed, {size}", postproc(*words))
    yield _many_rows(1_000_000 if quick else 40_000_000)
    yield _shifted(*((100_000, 20) if quick else (2_000_000, 100)))


def _many_rows(n_rows: int, n_classes: int = 4) -> Figure:
    """Two files of few classes, so that what is kept of each row would show."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        shape = (n_rows, n_classes)
        for model in "ab":
            path = folder / f"{model}.npy"
            file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            for rows in row_blocks(*shape):
                block = (rows.stop - rows.start, n_classes)
                file[rows] = 3 * rng.standard_normal(block, dtype=np.float32)
            file.flush()
        del file
        labels = folder / "labels.npy"
        np.save(labels, rng.integers(0, n_classes, n_rows, dtype=np.int32))
        words = ["report", *(str(folder / f"{model}.npy") for model in "ab")]
        done = postproc(*words, "--labels", str(labels), "--json")
    return _memory(f"postproc report of two files, {n_rows} x {n_classes} float32", done)


def _shifted(n_rows: int, n_classes: int) -> Figure:
    """Label shift, so that `auto` estimates the prior of the target in many passes."""
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        names = ("fit.npy", "labels.npy", "target.npy", "out.npy")
        fit, labels, target, out = (folder / each for each in names)

        def logits(y: NDArray[np.int64]) -> NDArray[np.float32]:
            noise = 2 * rng.standard_normal((len(y), n_classes), dtype=np.float32)
            noise[np.arange(len(y)), y] += 6
            return noise

        y = rng.integers(0, n_classes, 1000)
        np.save(labels, y)
        np.save(fit, logits(y))
        falling = 20.0 ** -(np.arange(n_classes) / n_classes)
        shape = (n_rows, n_classes)
        file = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=shape)
        for rows in row_blocks(*shape):
            size = rows.stop - rows.start
            file[rows] = logits(rng.choice(n_classes, size, p=falling / falling.sum()))
        file.flush()
        del file
        words = ("auto", str(target), "--fit", str(fit), "--fit-labels", str(labels), "--json")
        done = postproc(*words, "-o", str(out))
    action = json.loads(done.output)["decision"]["action"]
    size = f"{n_rows} x {n_classes} float32"
    return _memory(f"postproc auto with label shift ({action}), {size}", done)


def _memory(what: str, done: Run) -> Figure:
    share = done.peak / MOST_MEMORY
    took = f"{done.seconds:.3g} s"
    name = f"peak memory of {what}, over 1 GB"
    return Figure(name, share, (share, share), "<= 1", took, in_bytes(done.peak))


def _rate(what: str, given: list[str], scores: Path, out: Path, moved: int) -> Figure:
    """Bytes a second over those of a copy; what both take to start is left out."""
    few = scores.with_name("few.npy")
    np.save(few, np.load(scores, mmap_mode="r")[:100])
    start = [str(few) if word == str(scores) else word for word in given]
    times = []
    for _ in range(3):
        took = []
        for words, source in ((given, scores), (start, few)):
            took.append(postproc(*words))
            out.unlink()
            took.append(python(COPY, str(source), str(out)))
            out.unlink()
        done, copied, idle, idle_copy = (run.seconds for run in took)
        times.append((done - idle, copied - idle_copy, took[0].peak))
    rates = [moved / 2 * copied / done for done, copied, _ in times]
    done, copied = (statistics.median(line[side] for line in times) for side in (0, 1))
    return Figure(
        f"rate of {what}, over that of np.copyto for as many bytes, less start-up",
        statistics.median(rates),
        (min(rates), max(rates)),
        ">= 0.6",
        f"command {done:.3g} s for {moved} times the file, copy {copied:.3g} s for 2 times",
        in_bytes(max(peak for *_, peak in times)),
    )
