"""Rules: how a block of probabilities is decided, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, sub_blocks
from postproc.scores.predictions import Predictions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: What a row is decided as where it is no class.
ABSTAINED = -1

#: What is decided, labels (k,) or sets (k, C), and counts of it by name.
Decided = tuple[NDArray[Any], dict[str, float]]


class Rule(Protocol):
    """Decides rows from their probabilities; each row by itself."""

    def __call__(self, probs: Floats) -> Decided:
        """Decide rows, shape (k, C)."""


@dataclass(frozen=True)
class HighestWeighted:
    """The class of the highest weighted probability; the lowest of tied classes."""

    weights: Floats  # (C,)

    def __call__(self, probs: Floats) -> Decided:
        """Decide rows, shape (k, C)."""
        return (probs * self.weights).argmax(axis=1), {}


@dataclass(frozen=True)
class LabelsAbove:
    """The labels whose probability reaches their threshold."""

    thresholds: Floats  # (m,)

    def __call__(self, probs: Floats) -> Decided:
        """Decide rows, shape (k, m)."""
        labels = probs >= self.thresholds
        return labels, {"given": float(np.count_nonzero(labels))}


@dataclass(frozen=True)
class DecideRows:
    """Decides rows by a rule, or as the class with the highest score, or labels of even odds."""

    target: Predictions
    rule: Rule | None = None

    def __call__(self, rows: slice) -> Decided:
        """Decide the rows start..stop."""
        rule = self.rule
        if rule is None and self.target.multilabel:
            rule = LabelsAbove(np.full(self.target.n_classes, 0.5))
        if rule is None:
            return as_numpy(self.target.winners(rows)), {}
        # Small parts stay in the cache and take little memory, whatever the rule makes of them.
        cuts = list(sub_blocks(rows, self.target.n_classes, DEFAULT_SIZES.cached)) or [rows]
        parts = [rule(probabilities_of(self.target, part)) for part in cuts]
        names = parts[0][1]
        counts = {name: sum(each[name] for _, each in parts) for name in names}
        return np.concatenate([decided for decided, _ in parts]), counts


def probabilities_of(target: Predictions, rows: slice = slice(None)) -> Floats:
    """Probabilities of rows in float64, shape (k, C)."""
    return np.asarray(as_numpy(target.probabilities(rows)), dtype=np.float64)
