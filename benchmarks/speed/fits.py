"""Fits to labelled rows: `auto` on several sizes, and the whole command `calibrate`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import Figure, seconds
from ensemble import AutoPostprocessor

#: Members, rows, classes, and the seconds that are wanted.
AUTO = ((6, 3000, 150, 10), (1, 3000, 150, 4), (6, 2000, 77, 4))
#: Half of ImageNet's validation rows; fitted once.
LARGE = (3, 25_000, 1000, 180)
#: Methods of calibrate, and the seconds that are wanted.
CALIBRATE = (("temperature", 2), ("bcts", 6), ("pooled", 40))


def data(n: int, n_classes: int, n_members: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Logits of members that are right on most rows, and labels."""
    rng = np.random.default_rng(1)
    y = rng.integers(n_classes, size=n)
    members = [rng.standard_normal((n, n_classes), dtype=np.float32) for _ in range(n_members)]
    for scores in members:
        scores[np.arange(n), y] += 2.5
    return members, y


def timed(name: str, times: list[float], wanted: float) -> Figure:
    """Seconds over the rounds."""
    return Figure(name, statistics.median(times), (min(times), max(times)), f"<= {wanted}", "")


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of fits, in seconds."""
    rounds, share = (1, 10) if quick else (3, 1)
    for n_members, n, n_classes, wanted in AUTO if quick else (*AUTO, LARGE):
        members, y = data(n // share, n_classes, n_members)
        times = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(1 if n == LARGE[1] else rounds):
                auto = AutoPostprocessor()
                times.append(seconds(lambda a=auto, m=members, t=y: a.fit(m, t, kinds="logits")))
        size = f"{n_members} x {len(y):,} x {n_classes}"
        yield timed(f"auto: seconds of a fit to {size}", times, wanted)
    with tempfile.TemporaryDirectory() as folder:
        (scores,), y = data(10_000 // share, 1000 // share, 1)
        preds, labels = Path(folder, "preds.npy"), Path(folder, "labels.npy")
        np.save(preds, scores)
        np.save(labels, y)
        start = [sys.executable, "-c", "from cli.main import main; main()", "calibrate", preds]
        # Installed packages are compiled, so the source tree is, too: a first run is not timed.
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env = {**kept, "PYTHONPYCACHEPREFIX": folder}
        for method, wanted in CALIBRATE:
            words = ["--fit", preds, "--fit-labels", labels, "--method", method]
            command = [*map(str, [*start, *words, "--overwrite", "--quiet"])]
            times = [
                seconds(
                    lambda c=command: subprocess.run(c, check=True, capture_output=True, env=env)
                )
                for _ in range(rounds + 1)
            ][1:]
            size = f"{len(scores):,} x {scores.shape[1]:,}"
            yield timed(
                f"calibrate --method {method}: seconds of the command, {size}", times, wanted
            )
