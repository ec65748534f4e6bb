"""DataFrames and Series of pandas, polars and Arrow, read through narwhals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail, fail_type
from postproc.scores.tables.tables import Column

#: Packages whose objects narwhals wraps eagerly.
LIBRARIES = ("pandas", "polars", "pyarrow", "modin", "cudf")

#: The type of an index that numbers rows.
DEFAULT_INDEX = "RangeIndex"


@cache
def _is_native(kind: Any) -> bool:
    return any(base.__module__.partition(".")[0] in LIBRARIES for base in kind.__mro__)


def is_native(value: object) -> bool:
    """Whether a value belongs to a library of DataFrames; loads none of them."""
    kind: Any = type(value)  # a class, which the cache takes for unhashable
    return _is_native(kind)


def open_native(value: Any, name: str) -> Any:
    """A narwhals DataFrame or Series; a NumPy array for what is neither, such as a pandas Index."""
    import narwhals as nw

    try:
        return nw.from_native(value, eager_only=True, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        fail(name, "a table whose columns have different names", str(error).partition("\n")[2])
    except TypeError:
        if hasattr(value, "__array__") and not hasattr(value, "columns"):
            return np.asarray(value)
        kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
        fail_type(name, "a table in memory", kind, "collect or convert it to a DataFrame first")


def is_series(opened: Any) -> bool:
    """Whether a narwhals object is one column."""
    return not hasattr(opened, "columns")


def column_of(series: Any) -> Column:
    """A narwhals Series as numbers (n,), missing ones NaN, as text, or None for lists and such."""
    import narwhals as nw

    kind = series.dtype
    if kind.is_numeric() or kind == nw.Boolean:
        if kind.is_decimal() or series.null_count():
            series = series.cast(nw.Float64)
        return np.asarray(series.to_numpy())
    if kind.is_nested():
        return None
    return ["" if value is None or value != value else str(value) for value in series.to_list()]


def row_names(opened: Any, *, repeated: bool = False) -> NDArray[np.str_] | None:
    """The index of a pandas object, (n,), unless it numbers the rows from 0 or repeats names."""
    import narwhals as nw

    index = nw.maybe_get_index(opened)
    if index is None or is_default(index) or not (repeated or index.is_unique):
        return None
    return np.array([as_name(entry) for entry in index.tolist()], dtype=np.str_)


def as_name(label: Any) -> str:
    """The label of a row or column as text; whole floats as integers."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def is_default(index: Any) -> bool:
    """Whether an index is the one that pandas gives to rows without names: 0, 1, 2, ..."""
    return type(index).__name__ == DEFAULT_INDEX and (index.start, index.step) == (0, 1)


def check_default(opened: Any, ids: NDArray[np.str_], name: str) -> None:
    """Refuse a default index beside one of the same numbers in another order, (n,)."""
    import narwhals as nw

    index = None if opened is None else nw.maybe_get_index(opened)
    if index is None or not is_default(index) or len(index) != len(ids):
        return
    numbers = [str(number) for number in range(len(ids))]
    if ids.tolist() != numbers and set(ids.tolist()) == set(numbers):
        rule = "in the order of the others, or of another set of numbers"
        mend = "use reset_index(drop=True) on all to match rows by position"
        fail(f"index of {name}", rule, f"0 to {len(ids) - 1} in another order", mend)


def with_columns(frame: Any, names: Sequence[Any], values: NDArray[Any]) -> Any:
    """A DataFrame whose columns of these names hold an array (n, C); all else stays."""
    import narwhals as nw

    backend = frame.implementation
    series = (nw.new_series(name, values[:, j], backend=backend) for j, name in enumerate(names))
    return frame.with_columns(list(series)).to_native()


def series_like(frame: Any, values: NDArray[Any], name: str) -> Any:
    """A Series of the library and with the index of a DataFrame or Series."""
    import narwhals as nw

    series = nw.new_series(name, values.tolist(), backend=frame.implementation).to_native()
    index = nw.maybe_get_index(frame)
    if index is not None:
        series.index = index
    return series
