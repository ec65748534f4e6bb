"""Binary predictions in one column: read as two classes, and given back as one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.scores.arrays import Array, as_floating
from postproc.scores.binary_labels import POSITIVE
from postproc.scores.checks import fail
from postproc.scores.sources import Derived


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


def other_class(both: Array, kind: str) -> Array:
    """Both classes (n, 2) of a column that scores the other class: [p, 1 - p], or [0, -z]."""
    xp = api.array_namespace(both)
    if kind != "logits":
        return xp.flip(both, axis=1)
    if bool(xp.any(xp.isinf(both))):
        fail("scores", "finite logits to be read in reverse", "-inf")
    return xp.concat([xp.zeros_like(both[:, :1]), 0 - both[:, 1:]], axis=1)


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
