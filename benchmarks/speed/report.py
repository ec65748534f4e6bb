"""A report of two files against one pass of argmax and logsumexp over both."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import Figure, ratio
from postproc.evaluation.registry import METRICS
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.reports.report import accuracy_report
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.threads import available_cores

Array = np.ndarray

#: All but average precision, which costs what the AUC does, and the risk-coverage area.
TEN = [name for name in METRICS if name not in ("average_precision", "aurc")]


def one_pass(scores: Array) -> None:
    """Argmax and logsumexp of every row, in blocks as small as those of the report."""
    for rows in row_blocks(*scores.shape, block_bytes=DEFAULT_SIZES.cached):
        block = np.asarray(scores[rows])
        block.argmax(axis=1)
        top = block.max(axis=1, keepdims=True)
        top[:, 0] + np.log(np.exp(block - top).sum(axis=1))


def write(path: Path, labels: Array, n_classes: int, seed: int) -> None:
    """A file of logits that are right on every third row, the worst case for top-5."""
    rng = np.random.default_rng(seed)
    shape = (len(labels), n_classes)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for rows in row_blocks(*shape):
        block = 2 * rng.standard_normal((rows.stop - rows.start, n_classes), dtype=np.float32)
        block[np.arange(len(block)), labels[rows]] += 4
        file[rows] = block
    file.flush()


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of reports."""
    n, n_classes = 100_000 if quick else 1_000_000, 100
    labels = np.random.default_rng(0).integers(0, n_classes, n)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{seed}.npy" for seed in (1, 2)]
        for seed, path in enumerate(paths):
            write(path, labels, n_classes, seed)
        maps = {path.stem: np.load(path, mmap_mode="r") for path in paths}
        yield ratio(
            f"report of two files of {n} x {n_classes} float32, over argmax and logsumexp",
            lambda: accuracy_report(maps, labels),
            lambda: [one_pass(scores) for scores in maps.values()],
            "<= 3",
            labels=("report", "one pass"),
        )
        # On as many threads as the command has: the grid of the AUC takes two more passes.
        threads = LocalEngine(available_cores())
        judge = partial(
            accuracy_report, maps, labels, metrics=TEN, map_blocks=partial(map_blocks, threads)
        )
        yield ratio(
            f"report with ten metrics, {available_cores()} threads, of the same files over one "
            "pass on one thread",
            judge,
            lambda: [one_pass(scores) for scores in maps.values()],
            "<= 6",
            labels=("report", "one pass"),
        )
        tracemalloc.start()
        accuracy_report(maps, labels)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        share = peak / sum(scores.nbytes for scores in maps.values())
        detail = f"{peak / 1e6:.3g} MB"
        yield Figure("report: peak memory over the files", share, (share, share), "<= 0.1", detail)
        tracemalloc.start()
        judge()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        yield Figure("report with ten metrics: peak memory, MB", peak, (peak, peak), "<= 300", "")
