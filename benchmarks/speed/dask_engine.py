"""Two workers of Dask against the local engine, as commands on files of some hundred megabytes."""

from __future__ import annotations

import contextlib
import filecmp
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import Figure, ratio

#: One thread of BLAS for each process: what is compared is where blocks are computed.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

COMMANDS = {
    "CAN, d = 3, reference of 2,000 rows": (
        *("can", "0.npy", "--reference", "reference.npy"),
        *("--prior", "uniform", "--iterations", "3"),
    ),
    "soft vote of 3": ("ensemble", "soft", "0.npy", "1.npy", "2.npy"),
}


def write_files(folder: Path, n: int, n_classes: int) -> None:
    """Three members' probabilities, and confident rows for the reference."""
    rng = np.random.default_rng(0)
    for member in range(3):
        logits = 2 * rng.standard_normal((n, n_classes), dtype=np.float32)
        logits[np.arange(n), rng.integers(0, n_classes, n)] += 4.5
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        np.save(folder / f"{member}.npy", logits)
    confident = np.full((2000, n_classes), 0.05 / n_classes, dtype=np.float32)
    confident[np.arange(2000), np.arange(2000) % n_classes] += 0.95
    np.save(folder / "reference.npy", confident)


def start(folder: Path, *words: str) -> None:
    """Run a command in a process of its own."""
    code = "from cli.main import main; main()"
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", code, *words],
        check=True,
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": path},
    )


def call(folder: Path, *words: str) -> None:
    """Run a command in this process, where everything is loaded."""
    from cli.main import main

    with contextlib.chdir(folder):
        main(list(words), standalone_mode=False)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Time over that of the local engine, with and without the start of processes."""
    from postproc.jobs.dask import dask_engine

    n, n_classes, rounds = (50_000, 100, 1) if quick else (400_000, 200, 3)
    with tempfile.TemporaryDirectory() as name, dask_engine(workers=2) as engine:
        folder = Path(name)
        write_files(folder, n, n_classes)
        scheduler = ("--scheduler", engine.client.scheduler.address)
        ways = (
            (call, scheduler, "two workers that run already"),
            (start, ("--workers", "2"), "two workers that are started and closed"),
        )
        for what, words in COMMANDS.items():
            always = ("--overwrite", "--quiet")
            local = (*words, "-o", "local.npy", *always)
            for run, where, way in ways:
                there = (*words, "-o", "dask.npy", *always, "--engine", "dask", *where)
                yield ratio(
                    f"Dask: time over the local engine, {what}, {n} x {n_classes} float32, {way}",
                    partial(run, folder, *there),
                    partial(run, folder, *local),
                    "<= 1.3",
                    rounds=rounds,
                    labels=("Dask", "local"),
                )
            same = filecmp.cmp(folder / "local.npy", folder / "dask.npy", shallow=False)
            differ = float(not same)
            what = f"Dask: files that differ from the local engine's, {what}"
            yield Figure(what, differ, (differ, differ), "<= 0", f"{n} rows")
