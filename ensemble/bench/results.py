"""Results of a benchmark: counts of every draw, and what follows from them.

Draws are taken with replacement from the test split, so the standard deviation of a gain over the
draws, not divided by the root of their number, is the bootstrap standard error of the gain on a
target of that size. More draws make the estimate of that error better, not the error smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.influence import t_quantile
from postproc.evaluation.paired import CONFIDENCE, paired_gain_interval, wilson_interval
from postproc.evaluation.registry import find_metric
from postproc.scores.checks import fail

Floats = NDArray[np.float64]

#: Name of the model if a method combines all members.
ALL_MEMBERS = "all members"

#: A cell whose gain, as a fraction, lies below this counts as a loss.
LOSS = -0.002


class Estimate(NamedTuple):
    """A mean over draws and its 95 % interval, as fractions; NaN if unknown."""

    mean: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return self.low, self.high

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


#: What is known of a method that failed.
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Result:
    """One cell: one method on one model of one task under one shift; no counts if it failed."""

    task: str  # name of the run directory
    model: str  # name of the member, or `ALL_MEMBERS`
    scope: str  # "member" or "ensemble"
    shift: str  # as of `postproc.draw_target`
    method: str
    n: tuple[int, ...]  # rows of each draw
    right: tuple[int, ...]  # rows that the method classifies correctly
    baseline: tuple[int, ...]  # rows that the member alone, or the best member, has right
    fixed: tuple[int, ...]  # rows that went from wrong to right
    broken: tuple[int, ...]  # rows that went from right to wrong
    seconds: float | None  # median seconds of a draw
    fit_seconds: float | None  # seconds of the fit, with all that is shared with other methods
    error: str | None
    metric: str = "accuracy"  # what gains are in
    value: tuple[float, ...] = ()  # of another metric than accuracy, in each draw
    before: tuple[float, ...] = ()  # of the baseline

    @property
    def cell(self) -> tuple[str, str, str]:
        """Task, model and shift: what results of two methods must share to be compared."""
        return self.task, self.model, self.shift

    @property
    def accuracies(self) -> Floats:
        """Accuracy in each draw, shape (draws,)."""
        return np.asarray(self.right) / np.asarray(self.n) if self.n else np.empty(0)

    @property
    def scores(self) -> Floats:
        """The metric that gains are in, in each draw, shape (draws,)."""
        return np.array(self.value, np.float64) if self.value else self.accuracies

    @property
    def sign(self) -> int:
        """1 if higher values of the metric are better, else -1."""
        return 1 if find_metric(self.metric).higher else -1

    @property
    def baseline_scores(self) -> Floats:
        """That of the baseline, shape (draws,)."""
        if self.before or not self.n:
            return np.array(self.before, np.float64)
        return np.asarray(np.divide(self.baseline, self.n))

    @property
    def gains(self) -> Floats:
        """The metric less that of the baseline in each draw, shape (draws,)."""
        if self.value:
            return self.sign * np.asarray(self.scores - self.baseline_scores)
        if not self.n:
            return np.empty(0)
        return np.asarray((np.asarray(self.right) - np.asarray(self.baseline)) / np.asarray(self.n))

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the draws; NaN if the method failed."""
        return accuracy_estimate([self]).mean

    @property
    def accuracy_ci(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy; see `accuracy_estimate`."""
        return accuracy_estimate([self]).interval

    @property
    def gain(self) -> float:
        """Mean gain over the draws; NaN if the method failed."""
        return gain_estimate([self]).mean

    @property
    def gain_ci(self) -> tuple[float, float]:
        """The 95 % interval of the gain; see `gain_estimate`."""
        return gain_estimate([self]).interval

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: fractions, rows and seconds of a draw; None if unknown."""
        return {
            "task": self.task,
            "model": self.model,
            "scope": self.scope,
            "shift": self.shift,
            "method": self.method,
            "accuracy": _plain(self.accuracy),
            **({"metric": self.metric, "value": float(self.scores.mean())} if self.value else {}),
            "gain": _plain(self.gain),
            "gain_ci": [_plain(limit) for limit in self.gain_ci],
            "seconds": self.seconds,
            "fit_seconds": self.fit_seconds,
            "fixed": float(np.mean(self.fixed)) if self.n else None,
            "broken": float(np.mean(self.broken)) if self.n else None,
            "draws": len(self.n),
            "rows": float(np.mean(self.n)) if self.n else None,
        }


def draws_interval(values: Floats) -> Estimate:
    r"""Mean over draws, shape (D >= 2,), and the interval :math:`\bar v \pm t_{D-1,.975} s`.

    s is the standard deviation over the draws: Efron, Tibshirani (1993), sections 6 and 12.
    """
    mean = float(values.mean())
    reach = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1) * float(values.std(ddof=1))
    return Estimate(mean, mean - reach, mean + reach)


def gain_estimate(results: Iterable[Result]) -> Estimate:
    """Mean gain over cells without failed ones, averaged draw by draw; see `draws_interval`.

    A single draw has no spread. Its limits are those of Tango's interval; for several cells they
    are the means of their limits, as though all cells had the same error.
    """
    return _estimate(
        results,
        lambda result: result.gains,
        lambda result: paired_gain_interval(result.fixed[0], result.broken[0], result.n[0]),
    )


def accuracy_estimate(results: Iterable[Result]) -> Estimate:
    """Mean accuracy over cells, as `gain_estimate`; a single draw has Wilson's interval."""
    return _estimate(
        results,
        lambda result: result.accuracies,
        lambda result: wilson_interval(result.right[0], result.n[0]),
    )


def _estimate(
    results: Iterable[Result],
    values: Callable[[Result], Floats],
    limits: Callable[[Result], tuple[float, float]],
) -> Estimate:
    kept = complete(results)
    if not kept:
        return UNKNOWN
    means = np.mean([values(result) for result in kept], axis=0)
    if len(means) > 1:
        return draws_interval(means)
    low, high = np.mean([limits(result) for result in kept], axis=0).tolist()
    return Estimate(float(np.mean([values(result)[0] for result in kept])), low, high)


def contrast(results: Iterable[Result], others: Iterable[Result]) -> Estimate:
    """How much better a method is than another on common cells; one draw has no limits."""
    by_cell = {other.cell: other for other in others if other.error is None}
    own = [result for result in results if result.error is None and result.cell in by_cell]
    kept = complete([*own, *(by_cell[result.cell] for result in own)])[: len(own)]
    if not kept:
        return UNKNOWN
    differences = np.mean([r.sign * (r.scores - by_cell[r.cell].scores) for r in kept], axis=0)
    if len(differences) > 1:
        return draws_interval(differences)
    return Estimate(float(differences[0]), math.nan, math.nan)


def complete(results: Iterable[Result]) -> list[Result]:
    """Cells that did not fail; all must have the same number of draws."""
    kept = [result for result in results if result.error is None]
    counts = sorted({len(result.n) for result in kept})
    if len(counts) > 1:
        fail("results", "of the same number of draws", " and ".join(map(str, counts)))
    return kept


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
