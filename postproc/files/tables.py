"""Tables of text: predictions and labels in .csv and .tsv files, labels a line in .txt files."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import NoReturn

import numpy as np

from postproc.files.contents import (
    LABEL_KEYS,
    Contents,
    check_column_names,
    is_number,
    refuse,
)


def read_table(path: Path, labels: bool) -> Contents:
    """Read scores under a header of class names, ids in an optional first column `id`."""
    delimiter = _delimiter(path)
    if labels:
        return _read_label_table(path, delimiter)
    ids: list[str] = []

    def keep_id(cell: str) -> float:
        ids.append(cell.strip())
        return 0.0

    with path.open(newline="", encoding="utf-8-sig") as file:
        first = next(csv.reader(file, delimiter=delimiter), None)
        if not first:
            refuse("it is empty; the first line must hold the class names")
        header = [name.strip() for name in first]
        has_ids = header[0].lower() == "id"
        _check_header(header, delimiter)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            try:
                values = np.loadtxt(
                    file,
                    dtype=np.float64,
                    ndmin=2,
                    delimiter=delimiter,
                    quotechar='"',
                    comments=None,
                    converters={0: keep_id} if has_ids else None,
                    encoding=None,  # NumPy 1 would hand bytes to converters
                )
            except ValueError:
                _refuse_line(path, delimiter, header)
    if values.size and values.shape[1] != len(header):
        _refuse_line(path, delimiter, header)
    values = values.reshape(-1, len(header))[:, int(has_ids) :]
    return Contents(
        values, tuple(header[int(has_ids) :]), np.array(ids, np.str_) if has_ids else None
    )


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _check_header(header: list[str], delimiter: str) -> None:
    other = next((mark for mark in ",;\t" if mark in header[0]), None)
    if len(header) == 1 and other is not None:
        refuse(f"its cells must be separated by {delimiter!r}, got {other!r}")
    check_column_names(header[1:] if header[0].lower() == "id" else header)


def _refuse_line(path: Path, delimiter: str, header: list[str]) -> NoReturn:
    """Name the first line that is no row of numbers under the header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        next(reader)
        for cells in filter(None, reader):
            line = f"line {reader.line_num}"
            if len(cells) != len(header):
                refuse(f"{line} must have {len(header)} cells like the first, got {len(cells)}")
            for name, cell in zip(header, cells, strict=True):
                if name.lower() != "id" and not is_number(cell):
                    refuse(f"{line}, column {name!r} must be a number, got {cell!r}")
    refuse("its rows must be numbers")


def _read_label_table(path: Path, delimiter: str) -> Contents:
    """Read labels: one column or several, with or without ids in front and a header above."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        rows: list[list[str]] = []
        for cells in filter(None, reader):
            rows.append([cell.strip() for cell in cells])
            if len(cells) != len(rows[0]):
                refuse(
                    f"line {reader.line_num} must have {len(rows[0])} cells like the first, "
                    f"got {len(cells)}"
                )
    if not rows:
        refuse("it is empty")
    header, ids = None, None
    if rows[0][0].lower() == "id":
        header, ids = rows[0][1:], np.array([row[0] for row in rows[1:]], dtype=np.str_)
        rows = [row[1:] for row in rows[1:]]
        if not header:
            refuse("it has no column of labels")
    elif rows[0][0].lower() in LABEL_KEYS or _is_header(rows):
        header, rows = rows[0], rows[1:]
    width = len(rows[0] if header is None else header)
    values = np.array(rows, dtype=np.str_).reshape(-1, width)
    if width == 1:
        return Contents(values[:, 0], None, ids, header_or_label=header is None)
    return Contents(values, None if header is None else tuple(header), ids)


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first line is none of the rows: no number in it, where they have nothing else."""
    return (
        len(rows) > 1
        and not any(map(is_number, rows[0]))
        and all(is_number(cell) for row in rows[1:] for cell in row)
    )


def read_text(path: Path, labels: bool) -> Contents:
    """Read one label, or name, a line."""
    with path.open(encoding="utf-8-sig") as file:
        lines = [line.strip() for line in file]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        refuse(f"line {lines.index('') + 1} must not be empty")
    return Contents(np.array(lines, dtype=np.str_))


def write_table(path: Path, contents: Contents) -> None:
    """Write scores under a header of class names."""
    header = header_of(contents)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=_delimiter(path), lineterminator="\n")
        writer.writerow(header if contents.ids is None else ["id", *header])
        for row, values in enumerate(contents.values):
            cells = values.astype(np.str_).tolist()  # the shortest digits that read back the same
            writer.writerow(cells if contents.ids is None else [contents.ids[row], *cells])


def header_of(contents: Contents) -> list[str]:
    """Class names, or numbers, that can be read back as the header of a table."""
    names = list(contents.classes or map(str, range(contents.values.shape[1])))
    check_column_names(names)
    if contents.ids is None and names[0].lower() == "id":
        refuse(
            f"its first column, the class {names[0]!r}, would be read as ids; write .npz instead"
        )
    return names
