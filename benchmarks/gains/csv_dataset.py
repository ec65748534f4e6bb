"""One's own texts and labels, from a CSV file."""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np

from benchmarks.gains.datasets import Dataset, encode
from postproc.scores.checks import fail

#: What a split column may say.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}


def load_csv(
    path: Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
    split_column: str | None = None,
) -> Dataset:
    """Read texts, labels and, where there is one, the split of every row.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8 with a header.
    text_column, label_column : str
        Headings.
    split_column : str, optional
        Heading of the column that says train, val or test; without it, `split` if there is one.

    Returns
    -------
    Dataset
        Texts of n rows.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not UTF-8 or no CSV, lacks a column, has no rows, an empty text or label, an
        unknown split, no training row, or one class only; messages name file and row, rows
        counted from 0.
    """
    header, rows = _read(path)
    for column in (text_column, label_column, split_column):
        if column is not None and column not in header:
            mend = "name yours with --text-column, --label-column or --split-column"
            fail(str(path), f"a file with the column {column!r}", ", ".join(header), mend)
    if split_column is None and "split" in header:
        split_column = "split"
    if not rows:
        fail(str(path), "a file of one row or more under its header", "0 rows")
    texts = _column(path, header, rows, text_column)
    y, classes = _labels(path, _column(path, header, rows, label_column))
    splits = None
    if split_column is not None:
        splits = _splits(path, _column(path, header, rows, split_column))
    remarks = []
    copies = len(texts) - len(set(texts))
    if copies:
        remarks.append(
            f"{copies} of {len(texts)} texts are copies of others, which may lie in another split"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset(
        path.stem,
        "text",
        np.array(texts, dtype=object),
        y,
        classes,
        source=f"{path.name}, SHA-256 {digest}",
        licence="the user's own data",
        splits=splits,
        remarks=tuple(remarks),
    )


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    # The largest field that the module takes: a C long, 32 bits on some systems.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = [line for line in csv.reader(file, strict=True) if line]
        except UnicodeDecodeError as error:
            fail(str(path), "text in UTF-8", f"byte {error.start} that is not", "convert it")
        except csv.Error as error:
            fail(str(path), "a CSV file", str(error))
    if not lines:
        fail(str(path), "a CSV file with a header", "an empty file")
    return [heading.strip() for heading in lines[0]], lines[1:]


def _column(path: Path, header: list[str], rows: list[list[str]], name: str) -> list[str]:
    """The cells of a column, none of them empty."""
    place = header.index(name)
    cells = []
    for row, line in enumerate(rows):
        if len(line) != len(header):
            got = f"{len(line)} cells"
            fail(f"{path}, row {row}", f"as long as the header ({len(header)} cells)", got)
        if not line[place].strip():
            fail(f"{path}, row {row}, column {name!r}", "not empty", "an empty cell")
        cells.append(line[place])
    return cells


def _labels(path: Path, values: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        return encode(values)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from None


def _splits(path: Path, values: list[str]) -> np.ndarray:
    splits = []
    for row, value in enumerate(values):
        split = SPLIT_NAMES.get(value.strip().lower())
        if split is None:
            fail(f"{path}, row {row}, split", "train, val or test", repr(value))
        splits.append(split)
    if "train" not in splits:
        fail(str(path), "a file with training rows", "none whose split is train")
    return np.array(splits)
