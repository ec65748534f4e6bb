"""What a file of any format holds, before it is checked against anything outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from postproc.scores.kinds import Kind

#: Names under which formats with keys hold scores; two of them declare the kind.
SCORE_KEYS: Mapping[str, Kind | None] = {"scores": None, "logits": "logits", "probs": "probs"}
LABEL_KEYS = ("labels", "label", "y")


@dataclass(frozen=True)
class Contents:
    """An array, and the names that came with it.

    Attributes
    ----------
    values : ndarray or Source
        Scores or labels.
    classes, ids
        Names of columns and of rows, where the file has any.
    kind : {"logits", "probs"}, optional
        The kind that the file declares.
    narrow : bool
        The numbers were stored in 16 bits, whatever they are here.
    header_or_label : bool
        The first value of a column of labels may be its heading.
    """

    values: Any
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = None
    kind: Kind | None = None
    narrow: bool = False
    header_or_label: bool = False


def refuse(reason: str) -> NoReturn:
    """Raise the ValueError of a file that cannot be read or written; the caller adds its name."""
    raise ValueError(reason)


def pick_key(available: Mapping[Any, Any], labels: bool) -> tuple[Any, Kind | None]:
    """The key that holds what is looked for: a known one, or the only one there is."""
    keys = [key for key in available if key not in ("classes", "ids")]
    wanted = LABEL_KEYS if labels else tuple(SCORE_KEYS)
    known = [key for key in keys if key in wanted]
    if len(known) > 1:
        refuse(f"it holds several of the keys {', '.join(known)}; keep one")
    if not known and len(keys) != 1:
        listed = ", ".join(map(str, keys)) or "none"
        refuse(f"it must hold one of the keys {', '.join(wanted)}, got {listed}")
    key = (known or keys)[0]
    return key, None if labels else SCORE_KEYS.get(key)


def class_tuple(values: Any) -> tuple[str, ...] | None:
    """Class names as they come from a file, None if there are none."""
    return None if values is None else tuple(_strings(values, "classes").tolist())


def id_array(values: Any) -> NDArray[np.str_] | None:
    """Row names as they come from a file, None if there are none."""
    return None if values is None else _strings(values, "ids")


def _strings(values: Any, what: str) -> NDArray[np.str_]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "USTiub"):
        got = f"{array.dtype} of shape {array.shape}"
        refuse(f"{what} must be a list of names or integers, got {got}")
    return array.astype(np.str_)


def check_column_names(names: list[str]) -> None:
    """Refuse what is no row of class names: none, an index of pandas, a row of numbers."""
    if not names:
        refuse("it has no columns of scores")
    for name in names:
        if not name or name.startswith(("Unnamed: 0", "__index_level_")):
            refuse(
                f"each column must have a class name, got {name!r}; "
                'if it is an index of pandas, leave it out or name it "id"'
            )
    # Integers may be the names of classes; where there is a fraction, it is a row of scores.
    if all(map(is_number, names)) and not all(map(is_integer, names)):
        refuse(
            f"the first line must hold class names, got numbers ({', '.join(names[:3])}, ...); "
            "add a header"
        )


def is_number(text: str) -> bool:
    """Whether text is what Python reads as a float, without underscores."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def is_integer(text: str) -> bool:
    """Whether text is a whole number in plain digits."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()
