"""Run directories whose members are known distortions of the truth."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: Class frequencies that the biased member believes in, of three classes.
BIAS = np.array([2.0, 0.0, -2.0])


def make_run(folder, *, n_fit=300, n_test=400, n_classes=3, seed=0, members=("good", "sharp")):
    """Write a run directory: members see the same evidence, each distorted in its own way.

    `good` gives the log-posterior under equal classes, `sharp` five times that, `biased` adds a
    class bias, `noisy` adds noise to the evidence.
    """
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True)
    for split, rows in (("val", n_fit), ("test", n_test)):
        y = rng.integers(n_classes, size=rows)
        evidence = 1.5 * (1.5 * np.eye(n_classes)[y] + rng.standard_normal((rows, n_classes)))
        made = {
            "good": evidence,
            "sharp": 5 * evidence,
            "biased": evidence + np.resize(BIAS, n_classes),
            "noisy": evidence + 2 * rng.standard_normal(evidence.shape),
            "other": evidence + 2 * rng.standard_normal(evidence.shape),
        }
        for name in members:
            np.save(folder / f"{name}.{split}.npy", made[name].astype(np.float32))
        np.save(folder / f"labels.{split}.npy", y)
    return folder


@pytest.fixture
def make():
    return make_run


@pytest.fixture
def lines():
    """Parsed lines of a results file."""
    return lambda path: [json.loads(line) for line in Path(path).read_text().splitlines()]


#: Sends itself a signal when enough cells are in the file.
STOPPING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
from cli.main import main
from ensemble.bench.records import RecordsFile
plain, n_cells, number = RecordsFile.append, int(sys.argv[1]), int(sys.argv[2])
def append(self, measured):
    plain(self, measured)
    if len(self.records) >= n_cells:
        os.kill(os.getpid(), number)
RecordsFile.append = append
main(sys.argv[3:])
"""


@pytest.fixture
def stop_part_way():
    """Run `postproc` in a process of its own that a signal stops when the file has some cells."""

    def run(arguments, *, n_cells, number=signal.SIGKILL):
        command = [sys.executable, "-c", STOPPING, str(n_cells), str(int(number))]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            cwd=Path(__file__).parents[3],
            text=True,
            timeout=120,
        )

    return run
