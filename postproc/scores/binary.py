"""Binary predictions in one column: read as two classes, and given back as one column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_floating
from postproc.scores.checks import fail
from postproc.scores.names import some
from postproc.scores.sources import Derived

#: Where the positive class stands among the two classes, as in scikit-learn's `predict_proba`.
POSITIVE = 1

WHOLE_NUMBER = re.compile(r"-?\d+")

#: A whole number, perhaps written as a float.
WHOLE_FLOAT = re.compile(r"(-?\d+)(?:\.0*)?")

#: Words and numbers that labels of two classes are written in: negative, positive.
WORDS = (("0", "1"), ("false", "true"), ("no", "yes"), ("-1", "1"))


@dataclass(frozen=True)
class OneColumn:
    """How binary predictions came in one column, and how they go out."""

    heading: str | None = None  # the name of the column
    flat: bool = False  # an array of shape (n,), not (n, 1)


def is_one_column(scores: Any) -> bool:
    """Whether scores are one column, (n,) or (n, 1)."""
    shape = tuple(scores.shape) if hasattr(scores, "shape") else np.shape(scores)
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def as_column(scores: Array) -> Array:
    """Scores (n,) or (n, 1) as (n, 1)."""
    return scores[:, None] if scores.ndim == 1 else scores


def two_columns(column: Array, kind: str) -> Array:
    """Both classes of one column (n, 1), shape (n, 2): [1 - p, p], or [0, z] of logits."""
    x = as_floating(column)
    xp = api.array_namespace(x)
    return xp.concat([xp.zeros_like(x) if kind == "logits" else 1 - x, x], axis=1)


def like_given(probs: Array, given: Any) -> Array:
    """Probabilities (..., n, 2) in one column like the scores given, or as they are."""
    if not is_one_column(given):
        return probs
    positive = probs[..., POSITIVE]
    return positive if np.ndim(given) == 1 else positive[..., None]


def winners(probs: Array, *, multilabel: bool = False) -> Array:
    """Most probable class of each row, the lowest of tied ones; of labels those of 1/2 or more."""
    xp = api.array_namespace(probs)
    if multilabel:
        return xp.astype(probs >= 0.5, xp.int64)
    if is_one_column(probs):
        return xp.astype(as_column(probs)[:, 0] > 0.5, xp.int64)
    return xp.argmax(probs, axis=1)


@dataclass(frozen=True)
class TwoColumns(Derived):
    """Both classes of one column (n, 1) that stays in its file."""

    kind: str

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """Rows, and two columns."""
        return self.source.shape[0], 2

    def read(self, rows: slice) -> Array:
        """Read the rows start..stop."""
        return two_columns(self.source.read(rows), self.kind)

    def signature(self) -> dict[str, Any]:
        """That of the column, and how it is read."""
        return {**self.source.signature(), "one column of": self.kind}


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
    lower = np.char.lower(text)
    known = set(lower.tolist())
    for words in WORDS:
        if known <= set(words):
            return np.asarray(lower == words[1], np.int64)
    if len(found) != 2 and all(map(WHOLE_NUMBER.fullmatch, found)):
        return values
    shown = some(found)
    says = f"none of which is {positive!r}, " if positive is not None else ""
    mend = f"{says}say which class the column scores with positive= (--positive NAME)"
    if len(found) == 2:
        mend += ", or name both, the negative one first, in classes.txt or with --classes"
    return fail(name, "0 and 1, true and false, yes and no, or -1 and 1", shown, mend)


def two_names(found: Iterable[str], positive: str | None) -> tuple[str, str] | None:
    """Names of labels of two classes, the negative one first; None of numbers, or if unknown."""
    names = sorted(found)
    if len(names) != 2 or any(WHOLE_NUMBER.fullmatch(name) for name in names):
        return None
    if positive not in names:
        words = next((pair for pair in WORDS if {n.lower() for n in names} == set(pair)), None)
        positive = words and next(name for name in names if name.lower() == words[POSITIVE])
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
