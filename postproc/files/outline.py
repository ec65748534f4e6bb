"""Outline of a file that cannot be read as predictions: what stands in it, for who has to mend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.paths import resolve_path
from postproc.files.reading import Reading
from postproc.scores.names import first_few
from postproc.scores.tables.tables import Column, as_floats, is_list, is_text

#: Rows whose numbers are looked at, and characters of a value that are shown.
MOST_ROWS, MOST_CHARACTERS = 100_000, 24


@dataclass(frozen=True)
class Outline:
    """What a file holds: a line on all of it and, of a table, a line on each column."""

    name: str
    summary: str
    columns: tuple[tuple[str, str, str], ...] = ()  # name, what it holds, its first values


def outline_of(path: str, reading: Reading) -> Outline | None:
    """The outline of a file; None where not even that can be read."""
    try:
        found = resolve_path(path)
    except (OSError, ValueError):
        return None
    try:
        return _of_array(str(found), formats.read(found, reading).values)
    except (OSError, ValueError, TypeError):  # its columns may be in doubt
        return _of_table(found)


def _of_table(path: Path) -> Outline | None:
    """The columns of a table."""
    try:
        table = formats.read_table(path)
    except (OSError, ValueError):
        return None
    if table is None:
        return None
    columns = tuple(
        (name, _held(column), _first_values(column))
        for name, column in zip(table.names, table.columns, strict=True)
    )
    return Outline(str(path), f"{table.n_rows} rows, {len(columns)} columns", columns)


def _of_array(name: str, values: Any) -> Outline:
    """The numbers of an array of scores."""
    shape, shown = values.shape, " x ".join(map(str, values.shape))
    block = np.asarray(values[: min(MOST_ROWS, shape[0])])
    if block.dtype.kind not in "iufb" or not block.size:
        return Outline(name, f"an array of {shown}, {block.dtype}")
    summary = f"an array of {shown}, {block.dtype}, {_numbers(block.astype(np.float64))}"
    if block.ndim == 2 and shape[1] > 1:
        sums = block.sum(axis=1, dtype=np.float64)
        summary += f"; sums of rows: {_numbers(sums)}"
    if len(block) < shape[0]:
        summary += f", in the first {MOST_ROWS:,} rows"
    return Outline(name, summary)


def _held(column: Column) -> str:
    """What a column holds, in words."""
    if column is None:
        return "neither numbers nor text"
    if is_list(column):
        return f"lists of {np.shape(column)[1]} numbers"
    numbers = as_floats(column)
    if numbers is not None and len(numbers):
        return _numbers(numbers.astype(np.float64))
    n_values = len(set(column)) if is_text(column) else len(np.unique(column))
    return f"text, {n_values} different"


def _numbers(values: NDArray[np.float64]) -> str:
    """The range of some numbers, and how many are missing."""
    known = values[np.isfinite(values)]
    if not known.size:
        return "no finite numbers"
    what = "whole numbers" if (known % 1 == 0).all() else "numbers"
    low, high = known.min(), known.max()
    lost = values.size - known.size
    missing = f", {lost} missing or infinite" if lost else ""
    return f"{what} from {low:.6g} to {high:.6g}{missing}"


def _first_values(column: Column) -> str:
    """The first few values of a column."""
    if column is None or is_list(column):
        return ""
    shown = (f"{each:.6g}" if isinstance(each, float) else str(each) for each in column[:4])
    values = [each[:MOST_CHARACTERS] for each in shown]
    return first_few(values)
