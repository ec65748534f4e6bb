"""Measure decisions on run directories: `python -m benchmarks.decisions RUNDIR... --draws 400`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ensemble.bench.decisions import measure_decisions
from ensemble.bench.tasks import find_tasks

SHIFTS = ("none", "longtail:50")

#: Columns of the tables: key of a record, heading, factor.
ABSTENTION = (
    ("accepted", "accepted, %", 100), ("error", "error on target, %", 100),
    ("broken", "bound broken, % of draws", 100),
    ("broken_on_target", "target error above it, % of draws", 100),
    ("empty", "nothing bounded, % of draws", 100),
)  # fmt: skip
SETS = (
    ("covered", "covered, %", 100), ("size", "classes", 1),
    ("covered_per_class", "mean of classes with 50 fit rows, %", 100),
)  # fmt: skip
GAINS = (
    ("gain", "gain, points", 100), ("gain_error", "standard error", 100),
    ("used", "weights used, % of draws", 100),
)  # fmt: skip


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--costly", type=int, default=20, help="draws of what fits for long")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the records to this file")
    words = parser.parse_args()
    tasks, skipped = find_tasks(words.runs)
    for found in skipped:
        print(f"skipped {found.path}: {found.reason}", file=sys.stderr)
    names = ("draws", "costly", "rows", "seed")
    options = {name: getattr(words, name) for name in names}
    records: list[dict[str, Any]] = []
    for record in measure_decisions(tasks, shifts=SHIFTS, **options):
        records.append(record)
        if words.json is not None:
            words.json.write_text(json.dumps(records, indent=1))
    print(to_markdown(records))


def to_markdown(records: Iterable[dict[str, Any]]) -> str:
    """Three tables: abstention, sets, gains."""
    lines: list[str] = []
    listed = list(records)
    for key, columns in (("accepted", ABSTENTION), ("covered", SETS), ("gain", GAINS)):
        kinds = [record for record in listed if key in record]
        lines += ["", "| decision | shift | task | draws | " + " | ".join(c[1] for c in columns)]
        lines[-1] += " |"
        lines.append("| --- | --- | --- |" + " ---: |" * (len(columns) + 1))
        for record in sorted(kinds, key=lambda r: (r["decision"], r["shift"] != "none")):
            cells = [record["decision"], record["shift"], record["task"], str(record["draws"])]
            for name, _, factor in columns:
                value = record.get(name)
                cells.append("-" if value is None else f"{factor * value:.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
