"""Start-up of the command line, in fresh processes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.speed.child import postproc, python
from benchmarks.speed.timing import Figure, of_runs


def figures(*, quick: bool) -> Iterator[Figure]:
    """How soon help comes, and how soon a small file is done."""
    rounds = 5 if quick else 15
    yield of_runs(
        "`postproc -h` over `import click`",
        lambda: postproc("-h"),
        lambda: python("import click"),
        lambda done, imported: done / imported,
        "<= 3",
        rounds=rounds,
        labels=("help", "click"),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "preds.npy"
        rng = np.random.default_rng(0)
        np.save(file, rng.normal(scale=2, size=(3080, 77)).astype(np.float32))
        yield of_runs(
            "`postproc can` on 3,080 x 77 over 2 x `import numpy, scipy.special` + 0.3 s",
            lambda: postproc("can", str(file), "--prior", "uniform", "--overwrite", "--quiet"),
            lambda: python("import numpy, scipy.special"),
            lambda done, imported: done / (2 * imported + 0.3),
            "<= 1",
            rounds=rounds,
            labels=("can", "imports"),
        )
