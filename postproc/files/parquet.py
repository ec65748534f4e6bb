"""Parquet files, with the package pyarrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from postproc.files.contents import Contents, check_expansion
from postproc.files.delimited import header_of
from postproc.scores.tables.tables import Column, Table, refuse


def read_parquet(path: Path) -> Table:
    """Read a table of numbers, text, categories and lists."""
    parquet = import_parquet()
    found = parquet.read_metadata(path)
    check_expansion(path, 8 * found.num_rows * found.num_columns)
    table = parquet.read_table(path).flatten()  # fields of records are columns
    names = tuple(table.column_names)
    whole = (column.combine_chunks() for column in table.columns)
    columns = [_column(column, name) for column, name in zip(whole, names, strict=True)]
    return Table(names, tuple(columns), table.num_rows)


def _column(column: Any, name: str) -> Column:
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(column, name)
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_decimal(kind):
        return np.array(column.to_pylist(), dtype=np.float64)
    if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind):
        if column.null_count and not types.is_floating(kind):
            column = column.cast("float64")
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if types.is_nested(kind):
        return None
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _lists(column: Any, name: str) -> Column:
    """Lists of numbers as an (n, C) array, of text as JSON; None where they hold anything else."""
    from pyarrow import types

    inner = column.type.value_type
    if types.is_string(inner) or types.is_large_string(inner):
        return [json.dumps(value or []) for value in column.to_pylist()]
    if not (types.is_floating(inner) or types.is_integer(inner) or types.is_boolean(inner)):
        return None
    if column.null_count:
        refuse(f"column {name!r} must be without nulls, got {column.null_count}")
    lengths = np.unique(np.asarray(column.value_lengths()))
    if len(lengths) > 1:
        refuse(f"column {name!r} must hold lists of one length, got {lengths[0]} and {lengths[1]}")
    values = _column(column.flatten(), name)
    return np.asarray(values).reshape(len(column), -1)


def import_parquet() -> Any:
    """The module of pyarrow; an ImportError says how to get it."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        msg = '.parquet needs pyarrow; pip install "postproc[parquet]"'
        raise ImportError(msg) from None
    return parquet


def write_parquet(path: Path, contents: Contents) -> None:
    """Write a column a class, with ids in front."""
    parquet = import_parquet()
    import pyarrow

    columns: dict[str, Any] = {}
    if contents.ids is not None:
        columns[contents.id_heading] = contents.ids.tolist()
    columns |= {
        name: contents.values[:, j] for j, name in enumerate(header_of(contents, unique=True))
    }
    parquet.write_table(pyarrow.table(columns), path)
