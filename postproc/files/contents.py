"""What a file of any format holds, before it is checked against anything outside of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.reading import Reading
from postproc.scores.binary_labels import WHOLE_FLOAT
from postproc.scores.kinds import Kind
from postproc.scores.names import check_text
from postproc.scores.tables.column_names import ID_NAME
from postproc.scores.tables.columns import SCORE_KEYS
from postproc.scores.tables.tables import refuse

LABEL_KEYS = ("labels", "label", "y", "label_ids", "targets", "target", "targs", "y_true", "truth")

#: Keys under which formats with keys hold names.
NAME_KEYS = ("classes", "ids")

#: Keys under which rows may be named, beside those that end like ids.
ROW_KEYS = frozenset(("index", "indices", "idx", "filename", "filenames", "names", "paths", "keys"))


@dataclass(frozen=True)
class Contents:
    """An array, and the names that came with it."""

    #: Scores or labels: an array, or a source of rows.
    values: Any
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.str_] | None = None
    #: The kind that the file declares.
    kind: Kind | None = None
    #: The numbers were stored in 16 bits, whatever they are here.
    narrow: bool = False
    #: The values stood in the columns of a table: class names may have a prefix, and probabilities
    #: be rounded.
    is_table: bool = False
    #: The first value of a column of labels may be its heading.
    header_or_label: bool = False
    #: The values are predicted labels, not scores.
    is_labels: bool = False
    #: What was done aloud.
    notes: tuple[str, ...] = ()
    #: The heading of the column of ids.
    id_heading: str = "id"
    #: The only column is the score of the other class.
    reverse: bool = False


#: Bytes of memory that any file may take, and how many times its own size a larger one may.
MOST_EXPANDED, LARGEST_RATIO = 2**29, 200

#: How many bytes a larger array of text may take for each character in it.
LARGEST_TEXT_RATIO = 40


def check_expansion(path: Path, n_bytes: int) -> None:
    """Refuse a file that is small and would fill the memory."""
    packed = max(1, path.stat().st_size)
    if n_bytes > MOST_EXPANDED and n_bytes > LARGEST_RATIO * packed:
        refuse(
            f"its {packed:,} bytes would take {n_bytes / 2**30:,.1f} GiB of memory; such a file is "
            "damaged or made to do harm"
        )


def text_array(cells: Sequence[str]) -> NDArray[np.str_]:
    """Text as an array, in which every cell takes as much memory as the longest."""
    check_text(cells)
    longest = max(map(len, cells), default=0)
    n_bytes = 4 * longest * len(cells)
    if n_bytes > MOST_EXPANDED and n_bytes > LARGEST_TEXT_RATIO * sum(map(len, cells)):
        refuse(
            f"a name or label has {longest:,} characters; {len(cells):,} rows with as much room "
            f"would take {n_bytes / 2**30:,.1f} GiB of memory"
        )
    return np.array(cells, dtype=np.str_)


def pick_key(
    available: Iterable[Any], reading: Reading, labels: bool, n_dims: Callable[[Any], int]
) -> tuple[Any, Kind | None]:
    """The key that holds what is looked for: as asked for, a known one, or the only one."""
    keys = [key for key in available if key not in NAME_KEYS]
    listed = ", ".join(map(str, keys)) or "none"
    if reading.key is not None and (reading.key in keys or not labels):
        if reading.key not in keys:
            refuse(f"it must hold the key {reading.key}, got {listed}")
        return reading.key, None if labels else SCORE_KEYS.get(reading.key)
    wanted = LABEL_KEYS if labels else tuple(SCORE_KEYS)
    known = [key for key in keys if key in wanted]
    if len(known) > 1:
        # Beside scores, `predictions` may hold the predicted labels.
        known = [key for key in known if (n_dims(key) == 1) == labels] or known
    if len(known) > 1 and not labels and reading.kind is not None:
        known = [key for key in known if SCORE_KEYS[key] == reading.kind] or known
    if len(known) > 1:
        kinds = {SCORE_KEYS.get(key) for key in known}
        declare = " or --logits or --probs" if not labels and None not in kinds else ""
        refuse(f"it holds several of the keys {', '.join(known)}; choose one with --key{declare}")
    if not known and len(keys) != 1:  # scores are two-dimensional, labels are not
        known = [key for key in keys if (n_dims(key) == 1) == labels and n_dims(key) > 0]
        known = known if len(known) == 1 else []
    if not known and len(keys) != 1:
        choose = "; choose one with --key" if keys else ""
        shown = ", ".join(wanted[: 5 if labels else 6])
        refuse(f"it must hold one of the keys {shown}, got {listed}{choose}")
    key = (known or keys)[0]
    return key, None if labels else SCORE_KEYS.get(key)


def key_note(key: Any, n_keys: int) -> tuple[str, ...]:
    """What is said of scores under a key that nothing but their shape speaks for."""
    if key in SCORE_KEYS or n_keys == 1:
        return ()
    return (f"its scores are read from the key {key!r}, the only two-dimensional array",)


def row_names(
    keys: Iterable[Any], get: Callable[[Any], Any], values: Any
) -> tuple[NDArray[np.str_] | None, tuple[str, ...]]:
    """Names of rows under the key `ids` or one like it, and what is said of it."""
    known = list(keys)
    if "ids" in known:
        return id_array(get("ids")), ()
    for key in known:
        is_like = isinstance(key, str) and (key.lower() in ROW_KEYS or ID_NAME.fullmatch(key))
        if not is_like or key in LABEL_KEYS or key in SCORE_KEYS:
            continue
        names = np.asarray(get(key))
        if names.ndim != 1 or len(names) != len(values) or names.dtype.kind not in "iuUS":
            continue
        is_count = names.dtype.kind in "iu" and (names == np.arange(len(names))).all()
        if not is_count and len(np.unique(names)) == len(names):
            return id_array(names), (f"its rows are named by the key {key!r}",)
    return None, ()


def class_tuple(values: Any) -> tuple[str, ...] | None:
    """Class names as they come from a file, None if there are none."""
    return None if values is None else tuple(_strings(values, "classes").tolist())


def id_array(values: Any) -> NDArray[np.str_] | None:
    """Row names as they come from a file, None if there are none; `0.0` is called `0`."""
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array % 1 == 0).all():
        array = array.astype(np.int64)
    names = _strings(array, "ids")
    # Whole numbers come as floats from tables that have lacked one somewhere.
    if len(names) and all(map(WHOLE_FLOAT.fullmatch, names)):
        whole = np.array([WHOLE_FLOAT.sub(r"\1", name) for name in names], dtype=np.str_)
        return whole if len(set(whole.tolist())) == len(set(names.tolist())) else names
    return names


def _strings(values: Any, what: str) -> NDArray[np.str_]:
    is_text = isinstance(values, list) and all(isinstance(value, str) for value in values)
    array = text_array(values) if is_text else np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "USTiub"):
        got = f"{array.dtype} of shape {array.shape}"
        refuse(f"{what} must be a list of names or integers, got {got}")
    return array.astype(np.str_)
