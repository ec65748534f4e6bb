"""Dialects of text tables: what separates cells, and whether the first line is a header."""

from __future__ import annotations

import csv
import gzip
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from typing import IO, Any

from postproc.files.contents import LABEL_KEYS
from postproc.scores.tables.column_names import ID_ENDING, ID_NAME, is_suspect
from postproc.scores.tables.tables import MISSING, is_integer, is_number, refuse

#: What may separate cells.
DELIMITERS = (",", ";", "\t", "|", " ")

#: What Excel takes for a line that names the delimiter.
SEPARATOR_LINE = re.compile(r"sep=.?")

#: What fastText writes before a label, and a line of its predictions.
LABEL_MARK = "__label__"
MARKED = re.compile(rf"{LABEL_MARK}(\S+) ([\d.eE+-]+)")
MARKED_LINE = re.compile(rf"{MARKED.pattern}(?: {MARKED.pattern})*")

#: Characters of a line, and cells in it.
LONGEST_LINE, MOST_CELLS = 2**24, 2**18

#: Rows by which the delimiter is found.
SNIFFED = 5


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, compressed or not, in UTF-8, or in UTF-16 if it starts with its mark."""
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        start = file.read(2)
    encoding = "utf-16" if start in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"
    if start.count(0) == 1:  # half of a letter in UTF-16 without its mark
        encoding = "utf-16-be" if start[0] == 0 else "utf-16-le"
    with opener(path, "rt", newline="", encoding=encoding) as file:
        yield file


def lines_of(file: IO[str]) -> Iterator[str]:
    """The lines of a text file, none of which fills the memory."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            refuse(f"line {number} is longer than {LONGEST_LINE:,} characters")
        yield line


def row_writer(file: IO[str], delimiter: str) -> Callable[[Sequence[Any]], None]:
    """What writes rows of cells, which are read back as they are."""
    plain, quoted = (
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )

    def write(cells: Sequence[Any]) -> None:
        # Not every version of Python quotes a carriage return, which would end the row.
        (quoted if "\r" in "".join(map(str, cells)) else plain).writerow(cells)

    return write


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are separated, and numbers are written."""

    path: Path
    delimiter: str

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number of the last line of each row, and its cells; blank lines are skipped."""
        with open_text(self.path) as file:
            blanks = self.delimiter == " "  # any number of them
            lines = map(str.strip, lines_of(file)) if blanks else lines_of(file)
            reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=blanks)
            for cells in reader:
                is_first = reader.line_num == 1
                if len(cells) > MOST_CELLS:
                    refuse(f"line {reader.line_num} has more than {MOST_CELLS:,} cells")
                if cells and not (is_first and SEPARATOR_LINE.fullmatch("".join(cells))):
                    yield reader.line_num, cells if not is_first else _uncommented(cells)

    def line(self, row: int) -> str:
        """What messages call a row."""
        return f"line {next(islice(self.rows(), row, None))[0]}"


def _uncommented(cells: list[str]) -> list[str]:
    """The first line without the mark that `numpy.savetxt` puts before a header."""
    return [cells[0].removeprefix("#").strip(), *cells[1:]] if cells[0].startswith("# ") else cells


def sniff(path: Path, delimiter: str) -> Dialect:
    """The dialect in which rows have as many cells, and cells hold no other delimiter."""
    marks = (delimiter, *(mark for mark in DELIMITERS if mark != delimiter))
    return min((Dialect(path, mark) for mark in marks), key=_faults)


def is_table(path: Path) -> bool:
    """Whether lines have several cells, whatever separates them."""
    return any(_faults(Dialect(path, mark)) < inf for mark in DELIMITERS)


def is_marked(path: Path) -> bool:
    """Whether the first line holds labels with probabilities, as fastText writes them."""
    with open_text(path) as file:
        return MARKED_LINE.fullmatch(next(lines_of(file), "").strip()) is not None


def _faults(dialect: Dialect) -> float:
    """How many cells of the first rows speak against a delimiter."""
    try:
        rows = [cells for _, cells in islice(dialect.rows(), SNIFFED)]
    except csv.Error:  # the whole of a long line in one cell
        return inf
    lengths = [len(cells) for cells in rows[:2]]
    if not lengths or lengths[-1] < 2 or lengths[-1] - lengths[0] not in (0, 1):
        return inf
    numbers = sum(map(is_decimal, rows[min(1, len(rows) - 1)]))
    if dialect.delimiter in "| " and numbers < max(2, lengths[-1] - 1):
        return inf  # blanks of text
    others = {",", ";", "\t"} - {dialect.delimiter}
    cells = (cell for row in rows for cell in row if others & set(cell))
    return sum(not is_decimal(cell) for cell in cells)


def names_rows(first: Sequence[str], others: Sequence[Sequence[str]], dialect: Dialect) -> bool:
    """Whether a header lacks a name for the first column, as `write.table` of R writes it."""
    if dialect.delimiter not in "\t " or not others or len(others[0]) != len(first) + 1:
        return False
    cells = [row[0] for row in others]
    rows_only = all(is_integer(cell) or not is_decimal(cell) for cell in cells)
    return rows_only and len(set(cells)) == len(cells) and not any(map(is_decimal, first))


def is_decimal(cell: str) -> bool:
    """Whether text is a number, perhaps with a decimal comma."""
    return is_number(cell.replace(",", ".", 1))


def is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a first line holds names, and not a row like the others.

    Numbers are no names unless all are whole, differ, and cannot be a row like the others.
    """
    if len(first) == 1 and is_decimal(first[0]):  # one whole number names scores, not labels
        return is_integer(first[0]) and not all(is_integer(row[0]) for row in others)
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
    missing = [name for c, (name, _) in enumerate(pairs) if name.lower() in MISSING and (name or c)]
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
