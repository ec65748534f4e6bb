"""Text tables: .csv and .tsv files in the dialects that spreadsheets and scripts write."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.files.contents import Contents, check_expansion, text_array
from postproc.files.dialects import (
    LABEL_MARK,
    Dialect,
    has_label_header,
    is_decimal,
    is_header,
    lines_of,
    names_rows,
    open_text,
    row_writer,
    sniff,
)
from postproc.scores.tables.column_names import ID_ENDING
from postproc.scores.tables.tables import MISSING, Column, Table, is_integer, refuse

T = TypeVar("T")

#: Lists that Python, NumPy and torch print.
LIST = re.compile(r"(?:array\(|tensor\()?[\[(]([^\[\]()]*)[\])]\)?", re.DOTALL)

#: Numbers whose mark may be one of thousands, as it stands before three digits.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")

#: Rows whose cells are turned into numbers at once.
ROWS = 4096

#: Bytes of rows that are held at once.
MOST_AT_ONCE = 2**28

#: Bytes that a short text takes in a list.
TEXT_BYTES = 64

#: Rows by which the header is found.
HEAD = 1024


def read_delimited(path: Path, *, delimiter: str, as_text: Callable[[str], bool]) -> Table:
    """Read a table of predictions; the columns of some names are kept as text."""
    dialect = sniff(path, delimiter)
    head = _some(dialect.rows(), HEAD, lambda row: _size(row[1]))
    if not head:
        refuse("it is empty; the first line must hold the class names")
    first, *others = ([cell.strip() for cell in cells] for _, cells in head)
    if names_rows(first, others, dialect):
        first = ["", *first]
    notes: tuple[str, ...] = ()
    has_header = is_header(first, others)
    is_certain = any(map(ID_ENDING.fullmatch, first)) or "" in first
    if not has_header:
        notes = (f"it has no header: its {len(first)} columns are called by their numbers",)
    elif others and [cell for cell in first if is_decimal(cell)] == ["0", "1"] and not is_certain:
        notes = ("its first line, 0,1, is read as the names of classes, not as a row",)
    names = tuple(first) if has_header else tuple(map(str, range(len(first))))
    texts = {column for column, name in enumerate(names) if has_header and as_text(name)}
    example = others[0] if others else first
    texts |= {column for column, cell in enumerate(example[: len(names)]) if not _is_numeric(cell)}
    skip = int(has_header)
    while True:
        builder = _Builder(dialect, texts, len(names))
        if not _add_plain(builder, dialect, skip, len(names)):
            for chunk in _chunks(dialect, skip + builder.n_rows, len(names)):
                builder.add(chunk)
                check_expansion(path, builder.n_bytes)
        if not builder.failed:
            break
        texts |= builder.failed  # read again, as what has been turned into numbers is lost
    return Table(
        names,
        builder.columns(),
        builder.n_rows,
        lambda row: dialect.line(row + skip),
        has_header,
        notes=notes,
    )


def _is_numeric(cell: str) -> bool:
    return cell.lower() in MISSING or is_decimal(cell.strip().removesuffix("%").rstrip())


def _add_plain(builder: _Builder, dialect: Dialect, skip: int, width: int) -> bool:
    """Add rows from the top while lines hold numbers and no quotes; False if some are left."""
    if dialect.delimiter != "," or len(builder.texts) == width:
        return False
    with open_text(dialect.path) as file:
        lines = (line for line in lines_of(file) if line.strip("\r\n"))
        header = [next(lines) for _ in range(skip)]
        plain = all(line.count(",") == width - 1 and line.count('"') % 2 == 0 for line in header)
        while plain and (chunk := _some(lines, ROWS, len)):
            plain = all(line.count(",") == width - 1 and '"' not in line for line in chunk)
            plain = plain and builder.add_lines(chunk)
            check_expansion(dialect.path, builder.n_bytes)
    return plain


def _chunks(dialect: Dialect, skip: int, width: int) -> Iterator[list[list[str]]]:
    """The rows below the header, some at once, each of so many cells."""
    rows = dialect.rows()
    for _ in range(skip):
        next(rows)
    while chunk := _some(rows, ROWS, lambda row: _size(row[1])):
        for line, cells in chunk:
            _check_width(line, cells, width)
        yield [cells for _, cells in chunk]


def _check_width(line: int, cells: Sequence[str], width: int) -> None:
    if len(cells) != width:
        refuse(
            f"line {line} must have {width} cells like the first, got {len(cells)}; delete lines "
            "that are no rows, such as titles, comments and totals"
        )


def _some(items: Iterator[T], most: int, size: Callable[[T], int]) -> list[T]:
    """The next items: so many at most, and fewer large ones."""
    taken, left = list[T](), MOST_AT_ONCE
    for item in islice(items, most):
        taken.append(item)
        left -= size(item)
        if left < 0:
            break
    return taken


def _size(cells: Sequence[str]) -> int:
    """About as many bytes of memory as a row of cells takes."""
    return TEXT_BYTES * len(cells) + sum(map(len, cells))


class _Builder:
    """Gathers columns of numbers and text from rows of cells."""

    def __init__(self, dialect: Dialect, texts: Collection[int], width: int) -> None:
        self.dialect = dialect
        self.n_rows = 0
        self.failed: set[int] = set()
        self.texts: dict[int, list[str]] = {column: [] for column in texts}
        self._numbers: dict[int, list[NDArray[np.float64]]] = {
            column: [] for column in range(width) if column not in self.texts
        }
        self._marks: set[str] = set()
        self._doubt = ""

    @property
    def n_bytes(self) -> int:
        """About as many bytes of memory as the rows take."""
        return self.n_rows * (8 * len(self._numbers) + TEXT_BYTES * len(self.texts))

    def add_lines(self, lines: Sequence[str]) -> bool:
        """Take in lines without quotes; False, and nothing is taken, if a cell is no number."""
        numbers = list(self._numbers)
        try:
            block = np.loadtxt(lines, delimiter=",", usecols=numbers, comments=None, ndmin=2)
        except ValueError:
            return False
        for place, column in enumerate(numbers):
            self._numbers[column].append(block[:, place])
        if self.texts:
            most = max(self.texts) + 1
            cells = [line.split(",", most) for line in lines]
            for column, gathered in self.texts.items():
                gathered.extend(row[column].strip() for row in cells)
        self.n_rows += len(lines)
        return True

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Take in rows; columns that hold anything but numbers have failed."""
        cells = list(zip(*rows, strict=True))
        for column, gathered in self.texts.items():
            gathered.extend(cell.strip() for cell in cells[column])
        for column, parts in self._numbers.items():
            if column not in self.failed:
                try:
                    parts.append(self._as_numbers(cells[column]))
                except ValueError:
                    self.failed.add(column)
        if self._doubt:
            refuse(self._doubt)
        if len(self._marks) > 1:
            mend = "write all with one, and without marks of thousands"
            refuse(f"its numbers must have one decimal mark, got both '.' and ','; {mend}")
        self.n_rows += len(rows)

    def columns(self) -> tuple[Column, ...]:
        """All columns in order."""
        found: dict[int, Column] = {}
        for column, cells in self.texts.items():
            found[column] = as_lists(cells) if cells and LIST.fullmatch(cells[0]) else cells
            if self.dialect.delimiter != "," and any("," in cell for cell in cells):
                with suppress(ValueError):  # numbers whose name is like that of ids
                    found[column] = self._as_numbers(cells)
        for column, parts in self._numbers.items():
            found[column] = np.concatenate(parts) if parts else np.empty(0)
        return tuple(found[column] for column in range(len(found)))

    def _as_numbers(self, cells: Sequence[str]) -> NDArray[np.float64]:
        joined = "".join(cells)
        if "%" in joined:  # in all cells, or the others would be 100 times too large
            signs = [cell.strip().endswith("%") for cell in cells]
            if not all(signs):
                raise ValueError
            return self._as_numbers([f"{cell.strip()[:-1].rstrip()}e-2" for cell in cells])
        if "_" in joined:  # Python takes 1_0 for 10
            raise ValueError
        marks = set(joined) & {".", ","}
        if self.dialect.delimiter == "," and "," not in marks:
            marks.clear()
        written = [cell.replace(",", ".", 1) for cell in cells] if "," in marks else cells
        try:
            numbers = np.array(list(map(float, written)))
        except ValueError:
            numbers = np.array(
                [np.nan if cell.strip().lower() in MISSING else float(cell) for cell in written]
            )
        self._marks |= marks
        self._doubt = self._doubt or (_unclear(cells) if marks else "")
        return numbers


def _unclear(cells: Sequence[str]) -> str:
    """What to say of a column in which 1.234 may be 1234: beside 12, and never 1.23."""
    marked = [cell for cell in cells if "." in cell or "," in cell]
    if len(marked) == len(cells) or not all(THOUSANDS.fullmatch(cell.strip()) for cell in marked):
        return ""
    whole = next((cell for cell in cells if is_integer(cell.strip())), None)
    if whole is None:
        return ""
    return (
        f"its numbers must be clear, got {marked[0]!r}, which may be thousands, as {whole!r} "
        "stands in the same column; write numbers without marks of thousands"
    )


def as_lists(cells: list[str]) -> Column:
    """Lists of numbers that were written as text, as `[0.2, 0.8]` or `[0.2 0.8]`; or the text."""
    rows = [
        match.group(1).replace(",", " ").split()
        for cell in cells
        if (match := LIST.fullmatch(cell))
    ]
    if len(rows) < len(cells) or len({len(row) for row in rows}) != 1 or not rows[0]:
        return cells
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        return cells


def read_delimited_labels(path: Path, *, delimiter: str) -> Table:
    """Read a table of labels: all columns are text, with or without a header."""
    dialect = sniff(path, delimiter)
    rows: list[list[str]] = []
    given, width = dialect.rows(), 0
    while chunk := _some(given, ROWS, lambda row: _size(row[1])):
        for line, cells in chunk:
            width = width or len(cells)
            _check_width(line, cells, width)
            rows.append([cell.strip() for cell in cells])
        check_expansion(path, len(rows) * TEXT_BYTES * (2 + width))
    if not rows:
        refuse("it is empty")
    has_header = has_label_header(rows)
    names = tuple(rows[0]) if has_header else tuple(map(str, range(len(rows[0]))))
    body = rows[1:] if has_header else rows
    columns: list[Column] = [[row[column] for row in body] for column in range(len(names))]
    skip = int(has_header)
    return Table(names, tuple(columns), len(body), lambda row: dialect.line(row + skip), has_header)


def read_lines(path: Path) -> Contents:
    """Read one label, or name, a line."""
    with path.open(encoding="utf-8-sig") as file:
        lines = [line.strip() for line in lines_of(file)]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        refuse(f"line {lines.index('') + 1} must not be empty")
    if all(line.count(LABEL_MARK) == 1 and line.startswith(LABEL_MARK) for line in lines):
        lines = [line.split()[0].removeprefix(LABEL_MARK) for line in lines]
    return Contents(text_array(lines), header_or_label=True)


def write_delimited(
    path: Path, contents: Contents, *, delimiter: str, compressed: bool = False
) -> None:
    """Write scores under a header of class names."""
    header = header_of(contents)
    with path.open("wb") as raw:
        # Neither a name nor a time goes into the archive: the same table is the same bytes.
        packed: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compressed else raw
        with TextIOWrapper(packed, newline="", encoding="utf-8") as file:
            write = row_writer(file, delimiter)
            write(header if contents.ids is None else [contents.id_heading, *header])
            for row, values in enumerate(contents.values):
                cells = values.astype(np.str_).tolist()  # the fewest digits that read back the same
                write(cells if contents.ids is None else [contents.ids[row], *cells])


def header_of(contents: Contents, *, unique: bool = False) -> list[str]:
    """Class names, or numbers, that can be read back as the header of a table."""
    names = list(contents.classes or map(str, range(contents.values.shape[1])))
    if "" in names:
        refuse("each column must have a class name, got ''")
    if not is_header(names, []):
        refuse(
            f"its class names ({', '.join(names[:3])}, ...) would be read as a row of numbers; "
            "write .npz instead"
        )
    heading = contents.id_heading
    if contents.ids is not None and heading in names and (unique or heading != "id"):
        refuse(f"its class {heading!r} has the name of the column of ids; write .npz instead")
    if contents.ids is None and names[0].lower() == "id":
        refuse(
            f"its first column, the class {names[0]!r}, would be read as ids; write .npz instead"
        )
    return names
