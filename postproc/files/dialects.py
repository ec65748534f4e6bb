"""Dialects of text tables: what separates cells, and whether the first line is a header."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from typing import IO

from postproc.files.contents import LABEL_KEYS
from postproc.scores.tables.column_names import ID_ENDING, ID_NAME, is_suspect
from postproc.scores.tables.tables import MISSING, is_integer, is_number, refuse

#: What may separate cells.
DELIMITERS = (",", ";", "\t")

#: Characters of a line: a million classes take fewer.
LONGEST_LINE = 2**24

#: Rows by which the delimiter is found.
SNIFFED = 5


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, compressed or not."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path, "rt", newline="", encoding="utf-8-sig") as file:
            yield file
    else:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file


def lines_of(file: IO[str]) -> Iterator[str]:
    """The lines of a text file, none of which fills the memory."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            refuse(f"line {number} is longer than {LONGEST_LINE:,} characters")
        yield line


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are separated, and numbers are written."""

    path: Path
    delimiter: str

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number of the last line of each row, and its cells; blank lines are skipped."""
        with open_text(self.path) as file:
            reader = csv.reader(lines_of(file), delimiter=self.delimiter)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells

    def line(self, row: int) -> str:
        """What messages call a row."""
        return f"line {next(islice(self.rows(), row, None))[0]}"


def sniff(path: Path, delimiter: str) -> Dialect:
    """The dialect in which rows have as many cells, and cells hold no other delimiter."""
    marks = (delimiter, *(mark for mark in DELIMITERS if mark != delimiter))
    return min((Dialect(path, mark) for mark in marks), key=_faults)


def _faults(dialect: Dialect) -> float:
    """How many cells of the first rows speak against a delimiter."""
    rows = [cells for _, cells in islice(dialect.rows(), SNIFFED)]
    if len({len(cells) for cells in rows[:2]}) != 1 or len(rows[0]) < 2:
        return inf
    others = set(DELIMITERS) - {dialect.delimiter}
    cells = (cell for row in rows for cell in row if others & set(cell))
    return sum(not is_decimal(cell) for cell in cells)


def is_decimal(cell: str) -> bool:
    """Whether text is a number, perhaps with a decimal comma."""
    return is_number(cell.replace(",", ".", 1))


def is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a first line holds names, and not a row like the others.

    Numbers are no names unless all are whole, differ, and cannot be a row like the others.
    """
    columns = list(zip(*others, strict=False)) if others else [()] * len(first)
    pairs = list(zip(first, columns, strict=False))
    named = [(name, cells) for name, cells in pairs if name.lower() not in MISSING]
    if any(not is_decimal(name) and _are_numbers(cells) for name, cells in named):
        return True
    numeric = [(name, cells) for name, cells in pairs if is_decimal(name)]
    names = [name for name, _ in numeric]
    if not names:
        return True
    text = [name for name, _ in pairs if name and not is_decimal(name)]
    missing = [name for name in text if name.lower() in MISSING]
    if not all(map(is_integer, names)) or len(set(names)) < len(names):
        return False
    rows = [row for row in zip(*(cells for _, cells in numeric), strict=True) if _are_numbers(row)]
    whole = [all(is_integer(cell.strip()) for cell in row) for row in rows]
    in_order = names == [str(column) for column in range(len(names))]
    if sorted(names) == ["0", "1"]:
        # It may be the certain row of two classes, unless it counts the columns and no other row,
        # or every other row, is printed like it.
        has_id = any(ID_ENDING.fullmatch(name) for name in text)
        is_unclear = bool(text) and not has_id and (not in_order or any(whole))
        is_row = not in_order or (any(whole) and not all(whole))
    else:
        total = sum(map(int, names))
        sums = [sum(float(cell.replace(",", ".", 1)) for cell in row) for row in rows]
        has_sum = bool(sums) and all(abs(each - total) <= 1e-2 * abs(total) for each in sums)
        is_unclear = has_sum or (bool(rows) and all(whole) and not in_order)
        is_row = False
    if is_unclear or missing:
        refuse(
            f"its first line ({','.join(first[:3])}, ...) may be a row or the names of classes; "
            "add a header of names"
        )
    return not is_row


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether cells hold numbers, though not all of them need be there."""
    there = [cell for cell in cells if cell.strip().lower() not in MISSING]
    return bool(there) and all(map(is_decimal, there))


def has_label_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line of a table of labels is a header."""
    first, others = rows[0], rows[1:]
    if len(first) == 1:
        has_numbers = bool(others) and all(is_number(row[0]) for row in others)
        return first[0].lower() in ("id", *LABEL_KEYS) or (has_numbers and not is_number(first[0]))
    if any(is_suspect(name) or ID_NAME.fullmatch(name) for name in first):
        return True
    if first[0] == "" and all(row[0] for row in others):
        return True  # an index of pandas
    # No number in it, where some columns have nothing else.
    return bool(others) and any(
        not is_number(name) and all(is_number(row[column]) for row in others)
        for column, name in enumerate(first)
    )
