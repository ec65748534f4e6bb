"""Costs: the decision of least expected cost, and whether probabilities deliver it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from postproc.decisions.rules import ABSTAINED, Decided, Floats, Ints
from postproc.evaluation.row_losses import least_costly
from postproc.scores.arrays import as_numpy
from postproc.scores.checks import fail, fail_type
from postproc.scores.codes import coded

#: Standard errors between promised and actual cost above which calibration is doubted.
DOUBTED = 3.0


@dataclass(frozen=True)
class LeastCost:
    """The decision of least expected cost; the first of tied ones."""

    costs: Floats  # (C, C), or (C, C + 1) where the last decision is to abstain

    def __call__(self, probs: Floats) -> Decided:
        """Decide rows, shape (k, C)."""
        chosen, expected = least_costly(probs, self.costs)
        accepted = chosen < len(self.costs)
        counts = {
            "expected_cost": float(expected.sum()),
            "accepted": float(np.count_nonzero(accepted)),
        }
        return np.where(accepted, chosen, ABSTAINED), counts

    def of(self, labels: Ints, decided: Ints) -> Floats:
        """Cost of each decided row, shape (n,)."""
        return np.asarray(self.costs[labels, decided])  # ABSTAINED is the last column

    @property
    def decisions(self) -> list[int]:
        """What each column decides."""
        n_classes, n_columns = self.costs.shape
        return [*range(n_classes), ABSTAINED][:n_columns]

    def threshold(self, positive: int) -> float | None:
        """Probability of the positive class of two from which it is decided; None if none is."""
        if self.costs.shape != (2, 2):
            return None
        positive_row, other = self.costs[positive], self.costs[1 - positive]
        needless = float(other[positive] - other[1 - positive])
        missed = float(positive_row[1 - positive] - positive_row[positive])
        return needless / (needless + missed) if needless > 0 and missed > 0 else None


def check_costs(costs: Any, n_classes: int, name: str = "costs") -> Floats:
    """Finite costs, shape (C, C) or (C, C + 1), float64."""
    given = np.asarray(as_numpy(costs))
    if given.dtype.kind not in "iufb":
        fail_type(name, "an array of numbers", f"dtype {given.dtype}")
    if given.ndim != 2 or given.shape[0] != n_classes or given.shape[1] - n_classes not in (0, 1):
        rule = (
            f"an array of {n_classes} rows (true classes) and {n_classes} columns (decisions), or "
            "one column more for abstaining"
        )
        fail(name, rule, f"shape {given.shape}")
    array = given.astype(np.float64)
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        fail(f"{name}, row {row}, column {column}", "a finite number", f"{array[row, column]:g}")
    return array


@dataclass(frozen=True)
class CostCheck:
    """Cost a row on labelled rows: as their probabilities promise, and as it was."""

    promised: float
    actual: float
    standard_error: float  # of the difference

    @classmethod
    def of(cls, rule: LeastCost, probs: Floats, labels: Ints) -> CostCheck:
        """Decide labelled rows, shape (n, C), and compare."""
        decided = rule(probs)[0]
        promised = (probs @ rule.costs)[np.arange(len(probs)), decided]
        actual = rule.of(labels, decided)
        spread = float((actual - promised).std())
        return cls(float(promised.mean()), float(actual.mean()), spread / math.sqrt(len(probs)))

    @property
    def doubt(self) -> str | None:
        """A warning where the probabilities promise another cost than there was."""
        away = abs(self.actual - self.promised) / max(self.standard_error, 1e-300)
        if away <= DOUBTED:
            return None
        return coded(
            "poorly-calibrated",
            f"on the rows of --fit these decisions cost {self.actual:.4g} a row, and the "
            f"probabilities promise {self.promised:.4g} ({away:.0f} standard errors apart): they "
            "are poorly calibrated, so calibrate them first (postproc calibrate)",
        )
