"""JSON files, and NumPy arrays in them: exact to the last bit, as lists or as base64 text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.paths import check_regular
from postproc.scores.checks import fail

#: Most bytes of one element: long text takes as many in each.
MOST_BYTES = 2**16

KEYS = {"array", "dtype", "shape"}


def read_json(path: Path) -> Any:
    """The content of a JSON file; ValueError, with its name, where it is none."""
    check_regular(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        why = "it is not text" if isinstance(error, UnicodeDecodeError) else error
        msg = f"{path}: cannot be read as JSON: {why}"
        raise ValueError(msg) from None


def encode_array(array: NDArray[Any], *, as_text: bool = False) -> dict[str, Any]:
    """An array as JSON's own types; lists must not hold NaN or infinity, base64 text may."""
    if as_text:
        content: Any = base64.b64encode(array.tobytes()).decode()
    else:
        content = np.atleast_1d(array).tolist()
    return {"array": content, "dtype": array.dtype.str, "shape": list(array.shape)}


def is_array(value: dict[str, Any]) -> bool:
    """Whether an object that was read from JSON is an array."""
    return value.keys() == KEYS


def decode_array(value: dict[str, Any]) -> NDArray[Any]:
    """The array that `encode_array` was given."""
    content, dtype = value["array"], np.dtype(value["dtype"])
    if dtype.kind not in "biufU" or dtype.itemsize > MOST_BYTES:
        fail("dtype", "one of numbers or text", repr(value["dtype"]))
    if isinstance(content, str):
        array = np.frombuffer(base64.b64decode(content), dtype=dtype)
    else:
        array = np.array(content, dtype=dtype)
    return array.reshape(value["shape"])
