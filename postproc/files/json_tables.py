"""Tables in one JSON object, column by column, as DataFrames and scripts write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

#: The key of class names beside lists of scores.
CLASSES = "classes"


def rows_of(content: Mapping[str, Any]) -> list[Any] | None:
    """The records of a table of columns, of pandas in its default or split form; else None."""
    if content.keys() >= {"columns", "data"}:
        return _of_split(content["columns"], content["data"], content.get("index"))
    columns = {name: values for name, values in content.items() if name != CLASSES}
    if not columns:
        return None
    if all(isinstance(values, dict) for values in content.values()):
        labels = list(next(iter(content.values())))
        if any(list(one) != list(two) for one, two in pairwise(content.values())):
            return None
        rows = [[values[label] for values in content.values()] for label in labels]
        return _of_split(list(content), rows, labels)
    if not all(isinstance(values, list) for values in columns.values()):
        return None
    if len({len(values) for values in columns.values()}) != 1:
        return None
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    names = content.get(CLASSES)
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        rows = [[_named(cell, names) for cell in row] for row in rows]
    return _of_split(list(columns), rows, None)


def _of_split(names: Any, rows: Any, index: Any) -> list[Any] | None:
    """Records of names and rows; an index that does not merely number the rows is their `id`."""
    if not isinstance(names, list) or not isinstance(rows, list):
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    records = [dict(zip(map(str, names), row, strict=True)) for row in rows]
    labels = [str(label) for label in index] if isinstance(index, list) else []
    if len(labels) == len(rows) and labels != [str(row) for row in range(len(rows))]:
        return [{"id": label, **record} for label, record in zip(labels, records, strict=True)]
    return records


def _named(cell: Any, names: Sequence[str]) -> Any:
    """A list of as many scores under these names; all else as it is."""
    is_scores = isinstance(cell, list) and len(cell) == len(names)
    return dict(zip(names, cell, strict=True)) if is_scores else cell
