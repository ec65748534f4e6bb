"""Tables of measured decisions: abstention, sets, gains of class weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ensemble.bench.decisions import COVERAGE, ENOUGH_ROWS
from postproc.evaluation.paired import CONFIDENCE
from postproc.reports.tables import Cell, Table, named, number, percent, points


class Column(NamedTuple):
    """A value of a record: its name, its heading, how it is shown."""

    name: str
    heading: str
    show: Callable[[float], str] = percent


ABSTENTION = (
    Column("accepted", "decided, %"),
    Column("error", "wrong of these, %"),
    Column("broken", "bound broken, % of draws"),
    Column("broken_on_target", "exceeded on target, % of draws"),
    Column("empty", "nothing decided, % of draws"),
)
SETS = (
    Column("covered", "true class in set, %"),
    Column("size", "classes in set", "{:.2f}".format),
    Column("covered_per_class", f"the same, mean of classes with {ENOUGH_ROWS} fit rows, %"),
)
GAINS = (
    Column("gain", "gain, points", points),
    Column("gain_error", "standard error", percent),
    Column("used", "weights used, % of draws"),
)

#: Title, columns and note of each table.
TABLES = (
    (
        "Abstention with a bounded error",
        ABSTENTION,
        f"Confidence {CONFIDENCE:g}. The bound is broken if the error among all rows of the task "
        "exceeds it; the error on one target varies around that.",
    ),
    (f"Conformal sets of {percent(COVERAGE)} %", SETS, ""),
    (
        "Class weights for a metric",
        GAINS,
        "Gain on the target over the likeliest class; fit rows and target share the shift.",
    ),
)


def decision_tables(records: Iterable[dict[str, Any]]) -> list[Table]:
    """One table for each kind of decision that was measured."""
    listed = list(records)
    found = []
    for title, columns, note in TABLES:
        own = [record for record in listed if columns[0].name in record]
        if own:
            headings = ("decision", "shift", "task", "draws", *(each.heading for each in columns))
            rows = tuple(_row(r, columns) for r in sorted(own, key=_order))
            found.append(Table(title, headings, rows, note, n_texts=3))
    return found


def _order(record: dict[str, Any]) -> tuple[str, bool]:
    return record["decision"], record["shift"] != "none"


def _row(record: dict[str, Any], columns: Iterable[Column]) -> tuple[Cell, ...]:
    texts = [named(record[name]) for name in ("decision", "shift", "task")]
    values = [number(record.get(each.name, math.nan), each.show) for each in columns]
    return (*texts, number(record["draws"], str), *values)
