"""Run directories whose members are known distortions of the truth."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
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


@pytest.fixture
def stop_part_way():
    """Start `postproc` in a process of its own; send a signal when the file has enough lines."""

    def run(arguments, path, *, n_lines, number=signal.SIGKILL):
        program = "import sys; from cli.main import main; main(sys.argv[1:])"
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            text=True,
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.read_bytes().count(b"\n") >= n_lines:
                process.send_signal(number)
                break
            time.sleep(0.005)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run
