"""Measure gains on run directories: python -m benchmarks.gains RUNDIR... [--draws 20]."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.gains.methods import METHODS
from benchmarks.gains.protocol import by_task, measure, table, to_json
from postproc.shift_protocol import SHIFTS


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gains",
        description="Mean points of accuracy over each member's own argmax, over target draws.",
    )
    parser.add_argument("paths", metavar="RUNDIR", nargs="+")
    parser.add_argument("--draws", type=int, default=20, help="draws a member and shift [20]")
    parser.add_argument("--rows", type=int, default=2000, help="most rows of a draw [2000]")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help="some only")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="some members only")
    parser.add_argument("--shifts", nargs="+", default=SHIFTS, help=f"[{' '.join(SHIFTS)}]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every cell")
    given = parser.parse_args(arguments)
    try:
        cells = measure(
            given.paths,
            n_draws=given.draws,
            rows=given.rows,
            methods=given.methods,
            shifts=given.shifts,
            models=given.models,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not cells:
        parser.error("no member has one of these names")
    print(table(cells))
    for method in dict.fromkeys(c.method for c in cells if c.method == "auto"):
        print("\n" + by_task(cells, method))
    if given.json is not None:
        given.json.write_text(json.dumps(to_json(cells), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
