"""A DataFrame of scores: its columns are classes, its rows may have names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.frames.native import (
    as_name,
    check_default,
    column_of,
    is_series,
    row_names,
    series_like,
    with_columns,
)
from postproc.scores.names import ABSTAIN, check_unique, matching_order, order_by_number
from postproc.scores.tables.choice import ColumnChoice
from postproc.scores.tables.column_names import drop_affixes
from postproc.scores.tables.columns import find_roles
from postproc.scores.tables.tables import Table


@dataclass(frozen=True)
class Frame:
    """Scores that came as a DataFrame, or as a Series of one score a row."""

    name: str
    #: The narwhals object, with its rows in the order of the scores.
    native: Any
    #: Its columns of scores, in the order of the scores.
    columns: tuple[Any, ...]
    scores: NDArray[Any]
    #: Class names; None where the columns merely number the classes.
    classes: tuple[str, ...] | None
    ids: NDArray[np.str_] | None

    @classmethod
    def read(cls, opened: Any, name: str, *, repeated_ids: bool = False) -> Frame:
        """Decide which columns hold scores and ids; what may be anything else is an error."""
        if is_series(opened):
            values = column_of(opened)
            if not isinstance(values, np.ndarray):
                fail(name, "numbers", f"a Series of {opened.dtype}")
            return cls(name, opened, (), values, None, row_names(opened))
        table = read_table(opened, name)
        roles = _roles(table, name)
        columns = tuple(opened.columns[at] for at in roles.scores)
        scores = np.stack([table.numbers(at) for at in roles.scores], axis=1)
        ids = row_names(opened, repeated=repeated_ids)
        if roles.ids is not None:
            ids = np.array(table.text(roles.ids), dtype=np.str_)
            if not repeated_ids:
                mend = "pool_rows makes one row of those that share an id"
                check_unique(ids.tolist(), f"column {table.names[roles.ids]!r} of {name}", mend)
        names = drop_affixes([table.names[at] for at in roles.scores], None)
        frame = cls(name, opened, columns, scores, names, ids)
        if len(names) == 1:
            return replace(frame, classes=None)
        order = order_by_number(names)
        if order is not None:
            frame = frame._pick_columns(np.array(order))
        is_count = frame.classes == tuple(map(str, range(len(names))))
        return replace(frame, classes=None) if is_count else frame

    def align(self, classes: Sequence[str] | None, ids: NDArray[np.str_] | None) -> Frame:
        """The same scores with columns and rows in the order of names, where both have any."""
        found = self
        if classes is not None and self.classes is not None:
            names = self.classes
            if set(names) != set(classes):
                names = drop_affixes([as_name(column) for column in self.columns], classes)
            order = matching_order(names, classes, f"columns of {self.name}", like="the others")
            found = replace(self, classes=names)
            if order is not None:
                found = found._pick_columns(order)
        if ids is not None and self.ids is None:
            check_default(self.native, ids, self.name)
        elif ids is not None and self.ids is not None:
            rows = matching_order(self.ids, ids, f"ids of {self.name}", like="the others")
            if rows is not None:
                native, scores = found.native[rows.tolist()], found.scores[rows]
                found = replace(found, native=native, scores=scores, ids=ids)
        return found

    def with_scores(self, values: NDArray[Any]) -> Any:
        """What came in, with other scores of the same shape (n, C) or (n,)."""
        if is_series(self.native):
            return series_like(self.native, values, self.native.name or "score")
        return with_columns(self.native, self.columns, values)

    def with_classes(self, numbers: NDArray[np.int64]) -> Any:
        """A Series of predicted classes: their names, or their numbers where they have none."""
        values: NDArray[Any] = numbers
        if self.classes is not None:
            own = tuple(map(as_name, self.columns)) == self.classes
            names = self.columns if own else self.classes
            abstains = bool((np.asarray(numbers) < 0).any())  # -1 takes the last
            values = np.array([*names, ABSTAIN] if abstains else names)[numbers]
        return series_like(self.native, values, "prediction")

    def _pick_columns(self, order: NDArray[np.int64]) -> Frame:
        return replace(
            self,
            columns=tuple(self.columns[at] for at in order),
            scores=np.ascontiguousarray(self.scores[:, order]),
            classes=None if self.classes is None else tuple(self.classes[at] for at in order),
        )


def read_table(opened: Any, name: str) -> Table:
    """Named columns of a narwhals DataFrame."""
    nested = [column for column in opened.columns if isinstance(column, tuple)]
    if nested:
        fail(f"columns of {name}", "plain names", f"{nested[0]!r}")
    names = tuple(map(as_name, opened.columns))
    columns = tuple(map(column_of, opened.iter_columns()))
    numbered = all(column.isdigit() for column in names)
    return Table(names, columns, len(opened), has_header=not numbered, in_memory=True)


def _roles(table: Table, name: str) -> Any:
    try:
        roles = find_roles(table, ColumnChoice())
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from None
    other = set(range(len(table.names))) - {*roles.scores, roles.ids}
    if other:
        shown = ", ".join(repr(table.names[at]) for at in sorted(other))
        fail(name, "a table of scores and ids", shown, "leave these columns out")
    return roles
