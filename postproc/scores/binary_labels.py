"""Labels of binary tasks: numbers, words and names as 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.names import some

#: Where the positive class stands among the two classes, as in scikit-learn's `predict_proba`.
POSITIVE = 1

WHOLE_NUMBER = re.compile(r"-?\d+")

#: A whole number, perhaps written as a float.
WHOLE_FLOAT = re.compile(r"(-?\d+)(?:\.0*)?")

#: Words and numbers that labels of two classes are written in: negative, positive.
WORDS = (("0", "1"), ("false", "true"), ("no", "yes"), ("-1", "1"))


def binary_labels(
    values: NDArray[Any], *, positive: str | None, heading: str | None, name: str
) -> NDArray[Any]:
    """Labels of two classes without names as 0 and 1, from words, -1 and 1, or the positive name.

    Numbers that are no such labels are left to later checks.
    """
    plain = positive is None and heading != "0" and values.dtype.kind in "iu" and values.size
    if plain and values.min() >= 0 and values.max() <= 1:
        return values  # perhaps a memory map, which stays one
    text = plain_text(values)
    found = list(dict.fromkeys(text.tolist()))
    if positive is None and heading in found and len(found) == 2:
        positive = heading
    if positive in found:
        return np.asarray(text == positive, np.int64)
    words = word_pair(found)
    if words is not None:
        return np.asarray(np.char.lower(text) == words[POSITIVE], np.int64)
    if len(found) != 2 and all(map(WHOLE_NUMBER.fullmatch, found)):
        return values
    shown = some(found)
    says = f"none of which is {positive!r}, " if positive is not None else ""
    mend = f"{says}say which class the column scores with positive= (--positive NAME)"
    if len(found) == 2:
        mend += ", or name both, the negative one first, in classes.txt or with --classes"
    return fail(name, "0 and 1, true and false, yes and no, or -1 and 1", shown, mend)


def word_pair(found: Iterable[str]) -> tuple[str, str] | None:
    """The words for no and yes that these are, in any case; None if they are others, or none."""
    lower = {each.lower() for each in found}
    return next((pair for pair in WORDS if lower and lower <= set(pair)), None)


def two_names(found: Iterable[str], positive: str | None) -> tuple[str, str] | None:
    """Names of labels of two classes, the negative one first; None of numbers, or if unknown."""
    names = sorted(found)
    if len(names) != 2 or any(WHOLE_NUMBER.fullmatch(name) for name in names):
        return None
    if positive not in names:
        words = word_pair(names)
        positive = words and next((n for n in names if n.lower() == words[POSITIVE]), None)
    return None if positive is None else (names[names.index(positive) - 1], positive)


def plain_text(values: NDArray[Any]) -> NDArray[np.str_]:
    """Labels as text; whole floats as integers."""
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = values.astype(np.int64)
    text = np.char.strip(values.astype(np.str_))
    found, place = np.unique(text, return_inverse=True)
    if len(found) and all(map(WHOLE_FLOAT.fullmatch, found)):
        return np.array([WHOLE_FLOAT.sub(r"\1", name) for name in found], dtype=np.str_)[place]
    return text


def name_classes(
    classes: Sequence[str] | None, positive: str | None, heading: str | None, name: str
) -> tuple[str, str] | None:
    """Names of both classes, the negative one first; None where either is unknown."""
    if classes is None:
        return None
    names = tuple(map(str, classes))
    if len(names) != 2:
        fail(f"class names of {name}", "two for one column, which is binary", f"{len(names)} names")
    scored = positive or (heading if heading in names else names[POSITIVE])
    if scored not in names:
        fail("positive", f"one of the classes {', '.join(names)}", repr(scored))
    return names[names.index(scored) - 1], scored
