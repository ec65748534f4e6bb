"""Tables: named columns of numbers or text, before it is decided what they hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeGuard

import numpy as np
from numpy.typing import NDArray

#: Cells, in lower case, that stand for a value that is missing, in SAS, Weka and spreadsheets too.
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "<na>", ".", "?", "#n/a", "#null!"))

#: A number but for marks of thousands, a unit or the like.
NEAR_NUMBER = re.compile(r"[+-]?[.,'_ ]*\d[\d.,'_ ]*%?|[+-]?0x[0-9a-f]+", re.IGNORECASE)

#: Numbers (n,), lists of numbers (n, C), text, or None where it is neither.
Column = NDArray[Any] | list[str] | None


def row_number(row: int) -> str:
    """What messages call a row of most tables."""
    return f"row {row}"


@dataclass(frozen=True)
class Table:
    """Named columns of one length; missing numbers are NaN."""

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    n_rows: int
    #: What messages call a row.
    where: Callable[[int], str] = row_number
    #: Whether the names are those of the file, and not mere numbers.
    has_header: bool = True
    #: What was done aloud.
    notes: tuple[str, ...] = ()
    #: Whether it is a DataFrame, whose columns need no header to be told from rows.
    in_memory: bool = False

    def numbers(self, column: int) -> NDArray[Any]:
        """A column as numbers; names the first cell that is none."""
        values = self.columns[column]
        if isinstance(values, np.ndarray):
            return values
        name = self.names[column]
        if values is None:
            refuse(f"column {name!r} must hold numbers, got neither numbers nor text")
        for row, cell in enumerate(values):
            if not is_number(cell) and cell.lower() not in MISSING:
                mend = "; write it without units or marks of thousands"
                mend = mend if NEAR_NUMBER.fullmatch(cell) else ""
                refuse(f"{self.where(row)}, column {name!r} must be a number, got {cell!r}{mend}")
        return np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in values])

    def text(self, column: int) -> list[str]:
        """A column as text; whole floats as integers."""
        values = self.columns[column]
        if values is None or (isinstance(values, np.ndarray) and values.ndim != 1):
            refuse(f"column {self.names[column]!r} must hold one value a row, got lists")
        if not isinstance(values, np.ndarray):
            return values
        if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
            values = values.astype(np.int64)
        return [str(value) for value in values.tolist()]


def is_text(values: Column) -> TypeGuard[list[str]]:
    """Whether a column holds text."""
    return isinstance(values, list)


def is_list(values: Column) -> bool:
    """Whether every cell of a column is a list of numbers."""
    return isinstance(values, np.ndarray) and values.ndim == 2


def as_floats(values: Column) -> NDArray[Any] | None:
    """Numbers, also those kept as text; None where a column holds anything else."""
    if isinstance(values, np.ndarray):
        return values if values.ndim == 1 else None
    if values is None or not all(is_number(cell) or cell.lower() in MISSING for cell in values):
        return None
    return np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in values])


def all_differ(values: Column) -> bool:
    """Whether no value of a column occurs twice and none is missing."""
    if isinstance(values, list):
        return len(set(values)) == len(values) and not any(
            cell.lower() in MISSING for cell in values
        )
    return isinstance(values, np.ndarray) and len(np.unique(values)) == len(values)


def is_mixed(values: list[str]) -> bool:
    """Whether text looks like a broken column of numbers: most cells are numbers, or near them."""
    cells = [cell for cell in values if cell.lower() not in MISSING]
    numbers = [cell for cell in cells if is_number(cell)]
    if not numbers:
        return bool(cells) and all(map(NEAR_NUMBER.fullmatch, cells))
    ids = all(is_integer(cell) and cell not in ("0", "1") for cell in numbers)
    return not ids or 2 * len(numbers) > len(cells)


def refuse(reason: str) -> NoReturn:
    """Raise the ValueError of a file that cannot be read or written; the caller adds its name."""
    raise ValueError(reason)


def is_number(text: str) -> bool:
    """Whether text is what Python reads as a float, without underscores."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def is_integer(text: str) -> bool:
    """Whether text is a whole number in plain digits."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()
