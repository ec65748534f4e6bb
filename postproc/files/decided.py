"""Decisions into files: a label, or a set of classes, for each row, written as they come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

#: Columns of a table, each with its values for a block of rows.
Columns = dict[str, list[Any]]


def save_labels(
    path: PathLike,
    blocks: Iterable[NDArray[Any]],
    *,
    n_rows: int,
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
    integers: bool = False,
    columns_as: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save labels that come in blocks of shape (k,), whole or not at all.

    `.npy` holds integers; the others hold class names where there are some, unless `integers`. A
    row without a class is called `abstain`, or -1 among integers.
    """
    target = check_decision_path(path, overwrite=overwrite)
    suffix = suffix_of(target)
    names = None if integers or classes is None or suffix == ".npy" else [*classes, ABSTAIN]
    if names is not None and ABSTAIN in names[:-1]:
        mend = "write --integers, where abstaining is -1"
        fail(str(target), f"of classes none of which is called {ABSTAIN!r}", "one", mend)
    header = _header(("id", "label"), ids, columns_as)
    with atomic_path(target, overwrite=overwrite) as temporary:
        if suffix == ".npy":
            write_npy_blocks(temporary, blocks, shape=(n_rows,), dtype=np.dtype(np.int64))
            return target

        def columns() -> Iterator[Columns]:
            for rows, block in _numbered(blocks):
                labels = block.tolist()
                named = labels if names is None else [names[label] for label in labels]
                yield _with_ids(header, ids, rows, {"label": named})

        if suffix == ".txt":
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(f"{v}\n" for each in columns() for v in each[header["label"]])
        else:
            _write_table(temporary, suffix, list(header.values()), columns())
    return target


def save_sets(
    path: PathLike,
    blocks: Iterable[NDArray[np.bool_]],
    *,
    shape: tuple[int, int],
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
    integers: bool = False,
    columns_as: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save sets that come in blocks of shape (k, C): their sizes and labels, or 0/1 in `.npy`."""
    names = list(range(shape[1])) if integers or classes is None else list(classes)
    how = ids, columns_as, overwrite
    return _save_lists(path, blocks, shape, names, ("size", "labels"), *how)


def save_multilabels(
    path: PathLike,
    blocks: Iterable[NDArray[np.bool_]],
    *,
    shape: tuple[int, int],
    classes: Sequence[str] | None = None,
    ids: NDArray[np.str_] | None = None,
    integers: bool = False,
    columns_as: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save labels of rows that come in blocks of shape (k, m): lists of names, or 0/1 in `.npy`.

    With `integers`, or without names, there is a column of zeros and ones for each label.
    """
    if not integers and classes is not None:
        how = ids, columns_as, overwrite
        return _save_lists(path, blocks, shape, classes, ("labels",), *how)
    names = [str(j) for j in range(shape[1])] if classes is None else list(classes)
    target = check_decision_path(path, overwrite=overwrite, sets=True)
    if ids is not None and "id" in names:
        fail(str(target), "of labels none of which is called 'id', as the rows have ids", "one")
    header = _header(("id", *names), ids, columns_as)
    with atomic_path(target, overwrite=overwrite) as temporary:
        if suffix_of(target) == ".npy":
            write_npy_blocks(temporary, blocks, shape=shape, dtype=np.dtype(np.uint8))
            return target

        def columns() -> Iterator[Columns]:
            for rows, block in _numbered(blocks):
                marks = block.T.astype(np.int8).tolist()
                yield _with_ids(header, ids, rows, dict(zip(names, marks, strict=True)))

        _write_table(temporary, suffix_of(target), list(header.values()), columns())
    return target


def _save_lists(
    path: PathLike,
    blocks: Iterable[NDArray[np.bool_]],
    shape: tuple[int, int],
    names: Sequence[Any],
    headings: tuple[str, ...],
    ids: NDArray[np.str_] | None,
    columns_as: Mapping[str, str] | None,
    overwrite: bool,
) -> Path:
    """Save blocks (k, C) as lists of names, under some of the headings size and labels."""
    target = check_decision_path(path, overwrite=overwrite, sets=True)
    suffix = suffix_of(target)
    keeps_lists = suffix in (".jsonl", ".parquet")
    broken = None if keeps_lists else next((n for n in names if BETWEEN in str(n)), None)
    if broken is not None and suffix != ".npy":
        mend = "write .jsonl or .parquet, or --integers"
        fail(str(target), f"without {BETWEEN!r} in class names, which it separates", broken, mend)
    header = _header(("id", *headings), ids, columns_as)
    with atomic_path(target, overwrite=overwrite) as temporary:
        if suffix == ".npy":
            write_npy_blocks(temporary, blocks, shape=shape, dtype=np.dtype(np.uint8))
            return target

        def columns() -> Iterator[Columns]:
            for rows, block in _numbered(blocks):
                sizes = block.sum(axis=1)
                members = [names[j] for j in np.nonzero(block)[1].tolist()]
                ends = np.cumsum(sizes).tolist()
                starts = [0, *ends[:-1]]
                sets = [members[a:b] for a, b in zip(starts, ends, strict=True)]
                cells = sets if keeps_lists else [BETWEEN.join(map(str, each)) for each in sets]
                values = {"size": sizes.tolist(), "labels": cells}
                yield _with_ids(header, ids, rows, {name: values[name] for name in headings})

        _write_table(temporary, suffix, list(header.values()), columns())
    return target


def check_decision_path(path: PathLike, *, overwrite: bool, sets: bool = False) -> Path:
    """Check an output of labels, or of sets, before any work is done for it."""
    suffixes = DECISION_SUFFIXES[:-1] if sets else DECISION_SUFFIXES
    target = check_output(path, overwrite=overwrite, suffixes=suffixes)
    check_writer(target)
    return target


def _header(names: Sequence[str], ids: Any, columns_as: Mapping[str, str] | None) -> dict[str, str]:
    """The heading of each column; that of ids only where there are ids."""
    there = [name for name in names if name != "id" or ids is not None]
    wanted = dict(columns_as or {})
    for name in wanted:
        if name not in there:
            mend = "name the column of ids with --id-column" if name == "id" in names else ""
            fail("columns_as", f"of the columns {', '.join(there)}", repr(name), mend)
    header = {name: wanted.get(name, name) for name in there}
    if len({*header.values()}) < len(header):
        fail("columns_as", "different headings", ", ".join(header.values()))
    return header


def _numbered(blocks: Iterable[NDArray[Any]]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Blocks with the rows that they are."""
    start = 0
    for block in blocks:
        yield slice(start, start + len(block)), block
        start += len(block)


def _with_ids(
    header: Mapping[str, str], ids: NDArray[np.str_] | None, rows: slice, values: Columns
) -> Columns:
    """Columns by their headings, ids in front."""
    own = values if ids is None else {"id": ids[rows].tolist(), **values}
    return {header[name]: column for name, column in own.items()}


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
