"""Decisions into files: a label, or a set of classes, for each row, written as they come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.dialects import row_writer
from postproc.files.formats import check_writer, write_npy_blocks
from postproc.files.parquet import import_parquet
from postproc.files.paths import atomic_path, check_output, suffix_of
from postproc.files.saving import PathLike
from postproc.scores.checks import fail
from postproc.scores.names import ABSTAIN

#: Formats of labels; those of sets are the same but for text.
DECISION_SUFFIXES = (
    *(".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".parquet", ".npy"),
    ".txt",
)

#: Between the classes of a set in a cell of text.
BETWEEN = "|"

#: Columns of a table by their headings, each with its values for a block of rows.
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Layout:
    """What decisions are written as."""

    classes: Sequence[str] | None = None
    ids: NDArray[np.str_] | None = None  # of all rows
    integers: bool = False  # in place of the names of classes
    columns_as: Mapping[str, str] | None = None  # headings, by those that columns would have
    overwrite: bool = False
    #: Probabilities beside labels, (k,): of the rows of a slice, and what they are decided as.
    probability: Callable[[slice, NDArray[Any]], NDArray[Any]] | None = None


def save_labels(
    path: PathLike, blocks: Iterable[NDArray[Any]], n_rows: int, layout: Layout
) -> Path:
    """Save labels in blocks (k,); a row without a class is called `abstain`, or -1 in numbers."""
    target = check_decision_path(path, overwrite=layout.overwrite)
    names, headings = None, ["label", *["probability"] * (layout.probability is not None)]
    if len(headings) > 1 and suffix_of(target) in (".npy", ".txt"):
        fail(str(target), "a table, to hold probabilities beside labels", suffix_of(target))
    if layout.classes is not None and not layout.integers and suffix_of(target) != ".npy":
        names = [*layout.classes, ABSTAIN]
        if ABSTAIN in layout.classes:
            mend = "write --integers, where abstaining is -1"
            fail(str(target), f"of classes none of which is called {ABSTAIN!r}", "one", mend)

    def columns(block: NDArray[Any]) -> Columns:
        labels = block.tolist()
        return {"label": labels if names is None else [names[label] for label in labels]}

    return _save(target, blocks, (n_rows,), headings, columns, layout)


def save_sets(
    path: PathLike, blocks: Iterable[NDArray[np.bool_]], shape: tuple[int, int], layout: Layout
) -> Path:
    """Save sets in blocks (k, C): their sizes and lists of their classes, or 0/1 in `.npy`."""
    numbered = layout.integers or layout.classes is None
    names = range(shape[1]) if numbered else layout.classes
    return _save_lists(path, blocks, shape, names or (), ["size", "labels"], layout)


def save_multilabels(
    path: PathLike, blocks: Iterable[NDArray[np.bool_]], shape: tuple[int, int], layout: Layout
) -> Path:
    """Save labels of rows in blocks (k, m): lists of names, or 0/1 in a column for each label."""
    if not layout.integers and layout.classes is not None:
        return _save_lists(path, blocks, shape, layout.classes, ["labels"], layout)
    target = check_decision_path(path, overwrite=layout.overwrite, sets=True)
    names = list(layout.classes or map(str, range(shape[1])))
    if layout.ids is not None and "id" in names:
        fail(str(target), "of labels none of which is called 'id', as the rows have ids", "one")

    def columns(block: NDArray[np.bool_]) -> Columns:
        return dict(zip(names, block.T.astype(np.int8).tolist(), strict=True))

    return _save(target, blocks, shape, names, columns, layout)


def _save_lists(
    path: PathLike,
    blocks: Iterable[NDArray[np.bool_]],
    shape: tuple[int, int],
    names: Sequence[Any],
    headings: list[str],
    layout: Layout,
) -> Path:
    """Save blocks (k, C) as lists of names, under some of the headings size and labels."""
    target = check_decision_path(path, overwrite=layout.overwrite, sets=True)
    keeps_lists = suffix_of(target) in (".jsonl", ".parquet", ".npy")
    broken = None if keeps_lists else next((n for n in names if BETWEEN in str(n)), None)
    if broken is not None:
        mend = "write .jsonl or .parquet, or --integers"
        fail(str(target), f"without {BETWEEN!r} in class names, which it separates", broken, mend)

    def columns(block: NDArray[np.bool_]) -> Columns:
        sizes = block.sum(axis=1)
        members = [names[j] for j in np.nonzero(block)[1].tolist()]
        ends = np.cumsum(sizes).tolist()
        sets = [members[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        cells = sets if keeps_lists else [BETWEEN.join(map(str, each)) for each in sets]
        values = {"size": sizes.tolist(), "labels": cells}
        return {name: values[name] for name in headings}

    return _save(target, blocks, shape, headings, columns, layout)


def check_decision_path(path: PathLike, *, overwrite: bool, sets: bool = False) -> Path:
    """Check an output of labels, or of sets, before any work is done for it."""
    suffixes = DECISION_SUFFIXES[:-1] if sets else DECISION_SUFFIXES
    target = check_output(path, overwrite=overwrite, suffixes=suffixes)
    check_writer(target)
    return target


def headings_of(names: Sequence[str], layout: Layout) -> dict[str, str]:
    """The heading of each column; that of ids, in front, only where there are ids."""
    there = list(names) if layout.ids is None else ["id", *names]
    wanted = dict(layout.columns_as or {})
    for name in wanted:
        if name not in there:
            mend = "name the column of ids with --id-column" if name == "id" else ""
            fail("columns_as", f"of the columns {', '.join(there)}", repr(name), mend)
    header = {name: wanted.get(name, name) for name in there}
    if len({*header.values()}) < len(header):
        fail("columns_as", "different headings", ", ".join(header.values()))
    return header


def _save(
    target: Path,
    blocks: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    headings: Sequence[str],
    columns: Callable[[NDArray[Any]], Columns],
    layout: Layout,
) -> Path:
    """Write blocks as the columns that they are turned into, ids in front; whole or not at all."""
    suffix, header = suffix_of(target), headings_of(headings, layout)

    def tables() -> Iterator[Columns]:
        start = 0
        for block in blocks:
            found = columns(block)
            if layout.ids is not None:
                found["id"] = layout.ids[start : start + len(block)].tolist()
            if layout.probability is not None:
                rows = slice(start, start + len(block))
                found["probability"] = layout.probability(rows, block).tolist()
            yield {header[name]: found[name] for name in header}
            start += len(block)

    with atomic_path(target, overwrite=layout.overwrite) as temporary:
        if suffix == ".npy":
            dtype = np.dtype(np.int64 if len(shape) == 1 else np.uint8)
            write_npy_blocks(temporary, blocks, shape=shape, dtype=dtype)
        elif suffix == ".txt":
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(f"{v}\n" for each in tables() for v in each[header["label"]])
        else:
            _write_table(temporary, suffix, list(header.values()), tables())
    return target


def _write_table(path: Path, suffix: str, header: list[str], blocks: Iterable[Columns]) -> None:
    if suffix == ".parquet":
        _write_parquet(path, header, blocks)
        return
    with path.open("wb") as raw:
        # Neither a name nor a time goes into the archive: the same table is the same bytes.
        packed: Any = raw
        if suffix.endswith(".gz"):
            packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
        with TextIOWrapper(packed, newline="", encoding="utf-8") as file:
            if suffix == ".jsonl":
                for block in blocks:
                    for values in zip(*block.values(), strict=True):
                        record = dict(zip(header, values, strict=True))
                        file.write(json.dumps(record, ensure_ascii=False) + "\n")
                return
            delimiter = "\t" if suffix.startswith(".tsv") else ","
            write = row_writer(file, delimiter)
            write(header)
            for block in blocks:
                for values in zip(*block.values(), strict=True):
                    write(values)


def _write_parquet(path: Path, header: list[str], blocks: Iterable[Columns]) -> None:
    parquet = import_parquet()
    import pyarrow

    writer: Any = None
    for block in blocks:
        table = pyarrow.table(block)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is None:
        parquet.write_table(pyarrow.table({name: [] for name in header}), path)
    else:
        writer.close()
