"""Start-up of the command line, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import Figure, ratio, seconds

POSTPROC = [sys.executable, "-c", "from cli.main import main; main()"]


def run(*command: str) -> None:
    """Run a command to its end; a failure is an error."""
    subprocess.run(command, check=True, capture_output=True)


def python(code: str) -> None:
    """Run code in a fresh interpreter."""
    run(sys.executable, "-c", code)


def figures(*, quick: bool) -> Iterator[Figure]:
    """How soon help comes, and how soon a small file is done."""
    rounds = 5 if quick else 15
    yield ratio(
        "`postproc -h` over `import click`",
        lambda: run(*POSTPROC, "-h"),
        lambda: python("import click"),
        "<= 3",
        rounds=rounds,
        labels=("help", "click"),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "preds.npy"
        rng = np.random.default_rng(0)
        np.save(file, rng.normal(scale=2, size=(3080, 77)).astype(np.float32))
        command = [*POSTPROC, "can", str(file), "--prior", "uniform", "--overwrite", "--quiet"]
        imports = "import numpy, scipy.special"
        run(*command), python(imports)
        pairs = [
            (seconds(lambda: run(*command)), seconds(lambda: python(imports)))
            for _ in range(rounds)
        ]
    spare = [done / (2 * imported + 0.3) for done, imported in pairs]
    done, imported = (statistics.median(times) for times in zip(*pairs, strict=True))
    yield Figure(
        "`postproc can` on 3,080 x 77 over 2 x `import numpy, scipy.special` + 0.3 s",
        statistics.median(spare),
        (min(spare), max(spare)),
        "<= 1",
        f"can {done:.3g} s, imports {imported:.3g} s",
    )
