"""Files larger than what a command may take of memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def sparse_logits(path, n_rows, n_classes):
    """Rows of zeros that take no room on the disk."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_classes)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * n_rows * n_classes)


def confident_logits(path, n_rows, n_classes):
    """Rows that are all sure of a class: in one array a gigabyte of float32, two of float64."""
    rows = np.where(np.arange(n_classes) == np.arange(1000)[:, None] % n_classes, 30, 0)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_classes)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(n_rows // 1000):
            file.write(rows.astype(np.float32).data)


CAN = ("can", "sure.npy", "--logits", "--prior", "uniform", "-o", "out.npy")
LARGE = {
    "soft": ("ensemble", "soft", "a.npy", "b.npy", "--logits", "-o", "out.npy"),
    "can": CAN,
    "can, deep": (*CAN, "--iterations", "3"),
    "report": ("report", "a.npy", "b.npy", "--logits", "--labels", "labels.npy"),
    "inspect": ("inspect", "a.npy", "--logits"),
}

#: Says at its end how much memory it held at most; `getrusage` would count the parent's, too.
COMMAND = """
import atexit, sys
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(*(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(peak)
from cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
@pytest.mark.parametrize("name", LARGE)
def test_memory_does_not_grow_with_the_rows(tmp_path, name):
    n, n_classes = 600_000, 1000  # 2.4 GB a file
    if name.startswith("can"):
        confident_logits(tmp_path / "sure.npy", 250_000, n_classes)
    else:
        for member in "ab":
            sparse_logits(tmp_path / f"{member}.npy", n, n_classes)
        np.save(tmp_path / "labels.npy", np.zeros(n, np.int32))
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *LARGE[name]], cwd=tmp_path, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    peak = int(done.stderr.splitlines()[-1]) * 1024
    print(name, f"{peak / 1e6:.0f} MB")  # noqa: T201  # shown by -s
    assert peak < 4e8
