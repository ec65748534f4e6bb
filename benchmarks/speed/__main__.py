"""Print the figures of speed and memory: python -m benchmarks.speed [--quick] [TOPIC...]."""

from __future__ import annotations

import argparse
import datetime
import os
import platform

import numpy as np

from benchmarks.speed import (
    can,
    dask_engine,
    ensemble,
    fits,
    report,
    scaling,
    startup,
    streaming,
    tuning,
)
from benchmarks.speed.timing import HEADING

TOPICS = {
    topic.__name__.rpartition(".")[2]: topic
    for topic in (can, ensemble, fits, report, startup, tuning, scaling, streaming, dask_engine)
}


def main() -> None:
    """Run some topics, or all; with --quick on fewer rounds, as a check that they run at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"out of {', '.join(TOPICS)}")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if unknown := [name for name in given.topics if name not in TOPICS]:
        parser.error(f"no topic {unknown[0]!r}; there are {', '.join(TOPICS)}")
    quick = given.quick
    print(
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}\n"
    )
    print(HEADING)
    for name in given.topics or TOPICS:
        for figure in TOPICS[name].figures(quick=quick):
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
