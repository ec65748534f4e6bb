"""Compare with other packages: python -m benchmarks.peers [TOPIC...] [--tasks FOLDER...].

Peers that are missing are left out, aloud; benchmarks/peers/requirements.txt lists them.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

from benchmarks.peers import calibration, ensembles, memory, noise, shift
from benchmarks.peers.tasks import Task, saved_tasks, shipped_tasks

PACKAGES = (
    "probmetrics",
    "scikit-learn",
    "netcal",
    "venn-abers",
    "quapy",
    "POT",
    "autogluon.core",
    "hillclimbers",
)


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def main() -> None:
    """Run the topics, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--tasks", nargs="*", type=Path, default=[], help="run directories")
    parser.add_argument("--models", type=int, help="most of each run directory (default: all)")
    parser.add_argument("--splits", type=int, default=3, help="of every data set that is shipped")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := [name for name in given.topics if name not in TOPICS]:
        parser.error(f"no topic {unknown[0]!r}; there are {', '.join(TOPICS)}")
    print(
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {', '.join(map(_version, PACKAGES))}"
    )
    for name in given.topics or TOPICS:
        print(f"\n### {name}\n")
        TOPICS[name](given)


def _tasks(given: argparse.Namespace) -> Iterable[Task]:
    """Tasks of the run directories, else small ones made on the spot."""
    if not given.tasks:
        return shipped_tasks(1, given.seed)
    return chain.from_iterable(saved_tasks(folder, given.models) for folder in given.tasks)


def _calibration(given: argparse.Namespace) -> None:
    shipped = calibration.compare(shipped_tasks(given.splits, given.seed))
    print(calibration.table(shipped), "\n\n" + calibration.arena(shipped), flush=True)
    if given.tasks:
        saved = calibration.compare(_tasks(given))
        print("\n" + calibration.table(saved), "\n\n" + calibration.arena(saved))


def _shift(given: argparse.Namespace) -> None:
    print(shift.table(_tasks(given), given.seed))


def _ensembles(given: argparse.Namespace) -> None:
    print(ensembles.table(given.tasks) if given.tasks else "It needs --tasks.")


def _memory(given: argparse.Namespace) -> None:
    print(memory.table(list(_tasks(given))[-1]))


def _noise(given: argparse.Namespace) -> None:
    print(noise.table(_tasks(given), given.seed))


TOPICS = {
    "calibration": _calibration,
    "shift": _shift,
    "ensembles": _ensembles,
    "noise": _noise,
    "memory": _memory,
}

if __name__ == "__main__":
    main()
