"""Print every figure of speed and memory: python -m benchmarks.speed [--quick]."""

from __future__ import annotations

import datetime
import os
import platform
import sys

import numpy as np

from benchmarks.speed import (
    can,
    dask_engine,
    ensemble,
    report,
    scaling,
    startup,
    streaming,
    tuning,
)
from benchmarks.speed.timing import HEADING

TOPICS = (can, ensemble, report, startup, tuning, scaling, streaming, dask_engine)


def main() -> None:
    """Run all topics; with --quick on fewer rounds, as a check that they run at all."""
    quick = "--quick" in sys.argv[1:]
    print(
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}\n"
    )
    print(HEADING)
    for topic in TOPICS:
        for figure in topic.figures(quick=quick):
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
