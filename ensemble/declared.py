"""Whether what a saved model holds is of the types that its class declares."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from postproc.scores.checks import fail

#: Kinds of arrays that stand for one that is declared to hold floats, integers, booleans or any.
KINDS = {"f": "f", "i": "iu", "b": "b", "O": "fiubU"}

hints_of = cache(get_type_hints)


def check_declared(kind: type, state: dict[str, Any]) -> None:
    """Refuse fields or attributes of other types than a class declares.

    Numbers of a dataclass are finite, but for the fields that it lists as `infinite`.
    """
    hints, infinite = hints_of(kind), getattr(kind, "infinite", ())
    for key, value in state.items():
        name = f"{kind.__name__}.{key}"
        if not is_of(value, hints.get(key, Any)):
            fail(name, f"of the type {_said(hints[key])}", type(value).__name__)
        bounded = is_dataclass(kind) and key not in infinite
        if bounded and isinstance(value, float) and not math.isfinite(value):
            fail(name, "a finite number", f"{value}")


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value that was saved is of a declared type; tuples are saved as lists."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(is_of(value, each) for each in inner)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype.kind in _kinds(inner[1])
    if origin in (list, tuple):
        return isinstance(value, list) and all(is_of(each, inner[0]) for each in value)
    if origin is dict:
        pairs = value.items() if isinstance(value, dict) else [(value, value)]
        return all(is_of(key, inner[0]) and is_of(each, inner[1]) for key, each in pairs)
    if origin is Callable:  # one of our maps
        return is_dataclass(value) and callable(value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _kinds(dtype: Any) -> str:
    """Kinds of arrays that stand for those of a declared dtype."""
    (number,) = get_args(dtype)
    return KINDS["O" if number is Any else np.dtype(number).kind]


def _said(hint: Any) -> str:
    """A type in a message."""
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
