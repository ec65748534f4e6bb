"""Lists of class names beside lists of scores, as top-k lists and zero-shot pipelines have them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.tables.column_names import listed
from postproc.scores.tables.tables import Column, Table, is_list, is_text, refuse

#: Names of columns whose lists of whole numbers are numbers of classes, and no tokens or ranks.
NUMBERS_OF_CLASSES = re.compile(r"(top_?k?_?)?(label|class|ind(ex|ices)|categor)", re.IGNORECASE)


def in_class_order(
    table: Table, scores: int, aside: Collection[int | None]
) -> tuple[NDArray[np.number], tuple[str, ...] | None, tuple[str, ...]]:
    """Scores (n, C) of a list column, one column a class; classes where lists say; notes."""
    values = np.asarray(table.columns[scores])
    n_classes = values.shape[1]
    found = {
        c: lists
        for c in range(len(table.names))
        if c not in (scores, *aside) and (lists := _names(table, c, n_classes)) is not None
    }
    if not found:
        return values, None, ()
    if len(found) > 1:
        several = listed([table.names[c] for c in found])
        refuse(f"one column of lists must name the scores of a row, got {several}")
    (column, lists) = found.popitem()
    first = lists[0]
    if (lists == first).all():
        return values, tuple(map(str, first.tolist())), ()
    order = np.argsort(lists, axis=1)
    classes = first[order[0]]
    unlike = (np.take_along_axis(lists, order, axis=1) != classes).any(axis=1)
    if unlike.any():
        row = int(np.argmax(unlike))
        refuse(
            f"{table.where(row)}, column {table.names[column]!r} must name the classes of the "
            f"first row, got {listed(list(map(str, lists[row].tolist())))}; save the scores of all "
            "classes"
        )
    note = f"scores are put in the order of the classes that {table.names[column]!r} lists"
    return np.take_along_axis(values, order, axis=1), tuple(map(str, classes.tolist())), (note,)


def _names(table: Table, column: int, n_classes: int) -> NDArray[Any] | None:
    """Names or numbers (n, C) of a column whose rows list as many different ones; else None."""
    cells = table.columns[column]
    lists: NDArray[Any] | None
    if is_text(cells):
        lists = _lists_of_text(cells, n_classes)
    elif is_list(cells) and NUMBERS_OF_CLASSES.match(table.names[column]):
        may_be_one_hot = n_classes < 3 and table.names[column].lower() != "classes"
        lists = None if may_be_one_hot else _whole_numbers(cells, n_classes)
    else:
        return None
    if lists is None or not len(lists):
        return None
    ranked = np.sort(lists, axis=1)
    return None if (ranked[:, 1:] == ranked[:, :-1]).any() else lists


def _lists_of_text(cells: list[str], n_classes: int) -> NDArray[np.str_] | None:
    """Text lists, in JSON or as Python prints them, as an (n, C) array; None of other text."""
    rows = []
    for cell in cells:
        if not cell.startswith("["):
            return None
        try:
            row = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        if len(row) != n_classes or not all(isinstance(name, str) for name in row):
            return None
        rows.append(row)
    return np.array(rows, dtype=np.str_)


def _whole_numbers(cells: Column, n_classes: int) -> NDArray[np.int64] | None:
    """Lists of as many whole numbers; else None."""
    values = np.asarray(cells)
    if values.shape[1] != n_classes or not (values % 1 == 0).all():
        return None
    return values.astype(np.int64)
