"""Gains of training methods: python -m benchmarks.training --data FOLDER --results FILE."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gains.splits import SPLITS
from benchmarks.training.cells import Cell, prepare, run
from benchmarks.training.methods import METHODS
from benchmarks.training.tables import print_tables
from ensemble.training.text.tasks import TASKS

NAMES = ("banking77", "hwu64")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells that are not in the results yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="of NAME.train.csv, .val.csv, .test.csv")
    add("--tasks", nargs="*", default=list(NAMES), metavar="NAME")
    add("--few", nargs="*", default=["banking77"], metavar="NAME", help="also with ten shots")
    names = [*METHODS, *TASKS]
    add("--methods", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    add("--seeds", type=int, default=5)
    add("--processes", type=int, default=2)
    add("--results", type=Path, metavar="FILE", help="JSON lines; cells in it are not run again")
    add("--only-tables", action="store_true")
    given = parser.parse_args(arguments)
    tasks, few = given.tasks, given.few
    if given.data is None:
        print("no --data: a synthetic task, which says nothing of real ones", file=sys.stderr)
        tasks, few = ["synthetic"], ["synthetic"] * bool(few)
    else:
        wanted = [given.data / f"{t}.{s}.csv" for t in (*tasks, *few) for s in SPLITS]
        missing = [str(file) for file in wanted if not file.is_file()]
        if missing:
            parser.error(f"{missing[0]} does not exist; --data, --tasks and --few name the files")
    done = read(given.results)
    known = {json.dumps(_key(row)) for row in done}
    cells = [
        Cell(task, short, noisy, seed, method)
        for seed in range(given.seeds)  # whole seeds first: what is broken off can be compared
        for task, short in [*((t, True) for t in few), *((t, False) for t in tasks)]
        for noisy in (False, True)
        for method in ("plain", *given.methods)
    ]
    if not given.only_tables:
        left = [cell for cell in cells if json.dumps(asdict(cell)) not in known]
        done += _run(left, given.data, given.processes, given.results)
    print_tables(done)


def read(file: Path | None) -> list[dict[str, Any]]:
    """Results of cells that were run before."""
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in Cell.__dataclass_fields__}


def _run(
    cells: Sequence[Cell], folder: Path | None, processes: int, file: Path | None
) -> list[dict[str, Any]]:
    """Run cells, each in one thread of its process, and append what they give to the file."""
    rows = []
    with ProcessPoolExecutor(processes, initializer=prepare) as pool:
        for future in as_completed([pool.submit(run, cell, folder) for cell in cells]):
            rows.append(future.result())
            print(f"{len(rows)} of {len(cells)} cells", file=sys.stderr, flush=True)
            if file is not None:
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(rows[-1]) + "\n")
    return rows


if __name__ == "__main__":
    main()
