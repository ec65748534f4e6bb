"""Checks of arguments. Every message reads: `name` must be <rule>, got <value>."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Collection
from difflib import get_close_matches
from linecache import getline
from traceback import walk_tb
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.scores.blocks import DEFAULT_SIZES, row_blocks

PACKAGES = ("cli", "ensemble", "postproc")


#: Control characters but for tabs and ends of lines, marks that turn the direction of text, and
#: what stands for a byte that is no UTF-8.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


#: Characters of a message; of longer ones the beginning and the end are shown.
LONGEST_MESSAGE = 900


class UserTypeError(TypeError):
    """An argument of a wrong type, unlike a TypeError from inside, which is a fault of ours."""


def fail(name: str, rule: str, got: object, mend: str = "") -> NoReturn:
    """Raise a ValueError: `name` must be <rule>, got <value>; how to fix it."""
    raise ValueError(_message(name, rule, got, mend))


def fail_type(name: str, rule: str, got: object, mend: str = "") -> NoReturn:
    """Raise a TypeError with the message of `fail`."""
    raise UserTypeError(_message(name, rule, got, mend))


def _message(name: str, rule: str, got: object, mend: str) -> str:
    return f"`{name}` must be {rule}, got {got}" + (f"; {mend}" if mend else "")


def is_of_data(error: BaseException) -> bool:
    """Whether a check of this project has refused the data; errors of what it calls are faults."""
    if not isinstance(error, ValueError):
        return isinstance(error, UserTypeError)
    *_, (frame, line) = walk_tb(error.__traceback__)
    file, name = frame.f_code.co_filename, frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in PACKAGES and getline(file, line).lstrip().startswith("raise ")


def printable(text: str) -> str:
    """Text with the characters escaped that a terminal obeys, or that cannot be encoded."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(error: BaseException) -> str:
    """The message of an error in one line; that of a system error with its file."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, MemoryError):
        return "out of memory"
    said = printable(" ".join(str(error).split())) or type(error).__name__
    if len(said) > LONGEST_MESSAGE:  # some quote what stands in a file
        said = f"{said[: LONGEST_MESSAGE // 2]} ... {said[-LONGEST_MESSAGE // 3 :]}"
    return said


def check_number(
    value: object,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> float:
    """Return `value` as a finite float of [low, high] (or (low, high] with `open_low`)."""
    bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if math.isfinite(high) else ')'}"
    rule = "a finite number" if math.isinf(low) else f"in {bounds}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail_type(name, rule, repr(value))
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        fail(name, rule, "a larger one")
    if not math.isfinite(number) or not low <= number <= high or (open_low and number == low):
        fail(name, rule, repr(value))
    return number


def check_count(value: object, name: str, *, low: int, high: int | None = None) -> int:
    """Return `value` as an int of low..high."""
    rule = f"an integer >= {low}" if high is None else f"an integer in {low}..{high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        fail_type(name, rule, repr(value))
    number = int(value)
    if number < low or (high is not None and number > high):
        fail(name, rule, number)
    return number


def check_choice(value: object, name: str, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices)
        fail(name, f"one of {listed}", repr(value), meant(value, choices))
    return value


def meant(value: object, choices: Collection[str]) -> str:
    """A question after what may have been mistyped; nothing where no choice is close."""
    close = get_close_matches(value.lower(), choices, n=1) if isinstance(value, str) else []
    return f"did you mean {close[0]!r}?" if close else ""


def check_saved(
    values: NDArray[Any],
    name: str,
    shape: tuple[int, ...],
    *,
    low: float = 0.0,
    high: float = 1.0 + 1e-6,
) -> None:
    """Refuse an array of a saved model of another shape, or with numbers outside [low, high]."""
    if values.shape != shape:
        fail(name, f"an array of shape {shape}", f"shape {values.shape}", "it is damaged")
    if not ((values >= low) & (values <= high)).all():
        fail(name, f"an array of numbers in [{low:g}, {high:g}]", "others", "it is damaged")


def check_labels(
    labels: Any, *, n_classes: int, n_rows: int | None = None, name: str = "labels"
) -> NDArray[np.int64]:
    """Return labels, integers or floats of shape (n,) in 0..n_classes-1, as a new int64 array."""
    array = check_label_rows(labels, n_classes=n_classes, n_rows=n_rows, name=name)
    return array.astype(np.int64)


def check_label_rows(
    labels: Any, *, n_classes: int, n_rows: int | None = None, name: str = "labels"
) -> NDArray[Any]:
    """Check labels as `check_labels` and return the array itself, perhaps a memory map of int8."""
    array = np.asarray(labels)
    if n_classes == 2:
        array = signed_labels(array)
    if array.ndim != 1:
        fail(name, "one label a row, shape (n,)", f"shape {array.shape}")
    if array.dtype.kind not in "iubf":
        mend = "class names need scores with named columns, or `classes`"
        mend = mend if array.dtype.kind in "UTO" else ""
        fail_type(name, f"integers in 0..{n_classes - 1}", f"dtype {array.dtype}", mend)
    if n_rows is not None and len(array) != n_rows:
        fail(name, f"as long as the predictions ({n_rows} rows)", f"{len(array)} labels")
    for rows in row_blocks(len(array), 1, block_bytes=DEFAULT_SIZES.cached):
        block = array[rows]
        with np.errstate(invalid="ignore"):
            result = block.astype(np.int64)
        bad = (result != block) | (result < 0) | (result >= n_classes)
        if bad.any():
            row = int(np.argmax(bad))
            rule, got = f"an integer in 0..{n_classes - 1}", block[row].item()
            mend = "" if got >= 0 else "leave rows without a label out of predictions and labels"
            fail(f"{name}[{rows.start + row}]", rule, got, mend)
    return array


def signed_labels(values: NDArray[Any]) -> NDArray[Any]:
    """Labels of -1 and 1 as 0 and 1; others as they are."""
    if values.dtype.kind not in "if" or not values.size or values.min() != -1:
        return values
    return (values > 0).astype(np.int64) if np.isin(values, (-1, 1)).all() else values


def check_groups(groups: Any, n_rows: int, name: str = "groups") -> NDArray[np.int64]:
    """Groups of rows, (n,), as numbers 0..G-1."""
    array = np.asarray(groups)
    if array.shape != (n_rows,):
        fail(name, f"one name or number a row, shape ({n_rows},)", f"shape {array.shape}")
    known, numbers = np.unique(array, return_inverse=True)
    if len(known) < 2:
        fail(name, "two or more", f"{len(known)}: only groups are independent")
    return numbers.astype(np.int64)
