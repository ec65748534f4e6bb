"""Labels as numbers of classes: by name, by the number in a name, or by words for yes and no."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.binary_labels import POSITIVE, WHOLE_FLOAT, plain_text, word_pair
from postproc.scores.checks import fail
from postproc.scores.names import first_few, numbers_of
from postproc.scores.tables.tables import is_integer, is_number

#: What to do about names of classes that differ from those of labels.
RENAME = "name labels and classes alike; --classes gives names without what all columns share"

NAME_CLASSES = "name the classes in classes.txt or with --classes"


def to_numbers(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Numbers that text holds, as integers where all are; true and false as 1 and 0."""
    if values.dtype.kind not in "UST":
        return values
    text = values.astype(np.str_)
    flat = text.reshape(-1).tolist()
    if {cell.lower() for cell in flat} <= {"true", "false"}:
        return np.asarray(np.char.lower(text) == "true", np.int64)
    for row, cell in enumerate(flat):
        if not is_number(cell):
            fail(f"{name}, row {row // (text.size // len(text))}", "numbers", repr(cell))
    if all(map(is_integer, flat)):
        try:
            return text.astype(np.int64)
        except OverflowError:
            pass
    return text.astype(np.float64)


def to_integers(
    values: NDArray[Any],
    classes: Sequence[str] | None,
    n_classes: int,
    name: str,
    *,
    unknown: bool = False,
) -> NDArray[Any]:
    """Labels as integers, with `unknown` C for names that no class has.

    Numbers are those of columns, unless the names of classes are or end in other numbers.
    """
    names = [_plain(each) for each in classes or ()]
    if len(set(names)) < len(names):
        names = list(classes or ())
    are_numbers = values.dtype.kind not in "UST" or all(map(is_number, values.astype(np.str_)))
    numbers = numbers_of(names)
    by_name = any(is_number(each) and each != str(j) for j, each in enumerate(names))
    by_number = numbers is not None and not by_name and numbers != _places(n_classes)
    pair = word_pair(names) if len(names) == 2 else None
    is_turned = pair is not None and names[POSITIVE].lower() != pair[POSITIVE]
    if are_numbers and not (by_name or by_number or is_turned):
        return _from_zero(to_numbers(values, name), n_classes, name)
    found, place = np.unique(plain_text(values), return_inverse=True)
    labels = [_plain(each) for each in found.tolist()]
    if not names:
        row = next(row for row, value in enumerate(values) if not is_number(value))
        rule = f"an integer in 0..{n_classes - 1}"
        fail(f"{name}, row {row}", rule, repr(str(values[row])), NAME_CLASSES)
    if pair is not None and not set(labels) <= set(names) and (own := word_pair(labels)):
        is_positive = np.array([each.lower() == own[POSITIVE] for each in labels])
        return np.where(is_positive[place], int(not is_turned), int(is_turned))
    if are_numbers and by_number and numbers is not None:
        names = numbers if _are_in_names(labels, numbers, name) else _places(n_classes)
    elif are_numbers and "0" in labels and set(labels) <= set(_places(n_classes)):
        unknown = False  # numbers of columns, where classes have others
    index = {each: j for j, each in enumerate(names)}
    codes = np.array([index.get(each, n_classes) for each in labels], dtype=np.int64)[place]
    if not unknown and (codes == n_classes).any():
        row = int(np.argmax(codes == n_classes))
        rule = f"one of the classes {first_few(names)}"
        fail(f"{name}, row {row}", rule, repr(labels[place[row]]), RENAME)
    return codes


def _plain(name: str) -> str:
    """A name as it is compared: whole floats as integers, letters with their accents."""
    return unicodedata.normalize("NFC", WHOLE_FLOAT.sub(r"\1", name))


def _places(n_classes: int) -> list[str]:
    """Numbers of the columns."""
    return list(map(str, range(n_classes)))


def _are_in_names(labels: Sequence[str], numbers: Sequence[str], name: str) -> bool:
    """Whether labels are numbers in the names of classes, and not numbers of columns."""
    are_places = set(labels) <= set(_places(len(numbers)))
    if not set(labels) <= set(numbers):
        return not are_places
    if are_places and set(numbers) != set(_places(len(numbers))):
        rule = f"names of classes, which are numbered {first_few(numbers)}"
        got = f"the numbers {first_few(labels)}, which may be those or numbers of columns"
        fail(name, rule, got)
    return True


def _from_zero(labels: NDArray[Any], n_classes: int, name: str) -> NDArray[Any]:
    """Class numbers, which must not run from 1 to C."""
    if len(labels) and labels.min() == 1 and labels.max() == n_classes:
        rule, got = f"integers in 0..{n_classes - 1}, or names", f"integers in 1..{n_classes}"
        fail(name, rule, got, "subtract 1, or name the classes with --classes")
    return labels
