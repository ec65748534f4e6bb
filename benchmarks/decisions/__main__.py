"""Measure decisions on run directories: `python -m benchmarks.decisions RUNDIR... --json FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ensemble.bench.decision_tables import decision_tables
from ensemble.bench.decisions import measure_decisions
from ensemble.bench.tasks import find_tasks
from postproc.reports.text import to_markdown

SHIFTS = ("none", "longtail:50")


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--costly", type=int, default=20, help="draws of what fits for long")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the records to this file")
    words = vars(parser.parse_args())
    tasks, skipped = find_tasks(words.pop("runs"))
    for found in skipped:
        print(f"skipped {found.path}: {found.reason}", file=sys.stderr)
    file = words.pop("json")
    records: list[dict[str, Any]] = []
    for record in measure_decisions(tasks, shifts=SHIFTS, **words):
        records.append(record)
        if file is not None:
            file.write_text(json.dumps(records, indent=1))
    print(to_markdown(decision_tables(records)))


if __name__ == "__main__":
    main()
