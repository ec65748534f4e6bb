"""Tables in one JSON object, by column or by row, as DataFrames and scripts write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from postproc.files.dialects import lines_of, open_text
from postproc.scores.rounding import SUM_TOLERANCE_FLOAT16

#: The key of class names beside lists of scores.
CLASSES = "classes"

#: What the only column is called of rows that are lists.
LIST_NAME = "scores"


def holds_array(path: Path) -> bool:
    """Whether a file is one JSON document: by its suffix, or its first line, which opens a list."""
    if path.suffix.lower() == ".json":
        return True
    with open_text(path) as file:
        return next(lines_of(file), "").strip() == "["


def rows_of(content: Mapping[str, Any]) -> list[Any] | None:
    """The records of a table of columns or of rows, or of the only list of records; else None."""
    if content.keys() >= {"columns", "data"}:
        return _of_split(content["columns"], content["data"], content.get("index"))
    wrapped = [values for values in content.values() if _are_records(values)]
    if len(wrapped) == 1 and not any(_is_column(v, wrapped[0]) for v in content.values()):
        return list(wrapped[0])
    columns = {name: values for name, values in content.items() if name != CLASSES}
    if not columns:
        return None
    if all(isinstance(values, dict) for values in content.values()):
        labels = list(next(iter(content.values())))
        if any(list(one) != list(two) for one, two in pairwise(content.values())):
            return None
        rows = [[values[label] for values in content.values()] for label in labels]
        by_row = _are_rows(list(content), labels, rows)
        if by_row:
            return _of_split(labels, list(map(list, zip(*rows, strict=True))), list(content))
        return None if by_row is None else _of_split(list(content), rows, labels)
    if not all(isinstance(values, list) for values in columns.values()):
        return None
    if len({len(values) for values in columns.values()}) != 1:
        return None
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    by_row = CLASSES not in content and _are_rows(list(columns), None, rows)
    if by_row:
        return _of_split([LIST_NAME], [[values] for values in columns.values()], list(columns))
    if by_row is None:
        return None
    names = content.get(CLASSES)
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        rows = [[_named(cell, names) for cell in row] for row in rows]
    return _of_split(list(columns), rows, None)


def _are_records(values: Any) -> bool:
    """Whether a value is a list of objects."""
    return isinstance(values, list) and bool(values) and all(isinstance(v, dict) for v in values)


def _is_column(values: Any, like: list[Any]) -> bool:
    """Whether a value is another list of the same length."""
    return isinstance(values, list) and values is not like and len(values) == len(like)


def _are_rows(outer: list[str], inner: list[str] | None, columns: list[list[Any]]) -> bool | None:
    """Whether the outer keys name rows, and not columns, as values or keys show; None if unclear.

    `columns` hold what stands under each of the inner keys.
    """
    rows = list(zip(*columns, strict=True))
    if any(map(_is_mixed, rows)) and not any(map(_is_mixed, columns)):
        return True
    count_rows = inner is not None and inner == list(map(str, range(len(columns))))
    count_columns = outer == list(map(str, range(len(rows))))
    if inner is not None and count_rows != count_columns:
        return count_columns
    if not all(isinstance(cell, int | float) for row in rows for cell in row):
        return False
    sums = [
        all(abs(sum(each) - 1) <= SUM_TOLERANCE_FLOAT16 for each in lines)
        for lines in (rows, columns)
    ]
    if sums[0] != sums[1]:
        return sums[0]
    return None if len(rows) > len(columns) > 1 else False


def _is_mixed(cells: Sequence[Any]) -> bool:
    """Whether some cells are text and others are not."""
    return len({isinstance(cell, str) for cell in cells}) > 1


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
