"""Results of a benchmark: counts of every draw, and what follows from them.

Draws are taken with replacement from the test split, so the standard deviation of a gain over
the draws, not divided by the root of their number, is the bootstrap standard error of the gain on
a target of that size. More draws make that error better known, not smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.paired import CONFIDENCE, paired_gain_interval, wilson_interval
from postproc.scores.checks import fail

Floats = NDArray[np.float64]

#: What stands for the model where a method has combined all of them.
ALL_MEMBERS = "all members"

#: Gain of a cell, as a fraction, below which it counts as a loss.
LOSS = -0.002


class Estimate(NamedTuple):
    """A mean over draws and its 95 % interval, as fractions; NaN where it cannot be told."""

    mean: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return self.low, self.high


#: What is known of a cell whose method failed.
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Result:
    """One cell of a benchmark: one method on one model of one task under one shift.

    Attributes
    ----------
    task : str
        Name of the run directory.
    model : str
        Name of the member, or "all members".
    scope : {"member", "ensemble"}
        Whether the method acted on one member or on all.
    shift : str
        Shift of the class frequencies, as `postproc.draw_target` has it.
    method : str
        Name of the method.
    n : tuple of int
        Rows of each draw; empty, as are all counts, where the method failed.
    right : tuple of int
        Rows that the method has right in each draw.
    baseline : tuple of int
        Rows that the baseline has right: the member's own predictions, or the best member alone.
    fixed, broken : tuple of int
        Rows that the method turned from wrong to right and from right to wrong.
    seconds : float or None
        Median seconds that a draw took.
    fit_seconds : float or None
        Seconds that fitting took, with all that the method shares with others.
    error : str or None
        What went wrong, in one line.
    """

    task: str
    model: str
    scope: str
    shift: str
    method: str
    n: tuple[int, ...]
    right: tuple[int, ...]
    baseline: tuple[int, ...]
    fixed: tuple[int, ...]
    broken: tuple[int, ...]
    seconds: float | None
    fit_seconds: float | None
    error: str | None

    @property
    def cell(self) -> tuple[str, str, str]:
        """Task, model and shift: what results of two methods must share to be compared."""
        return self.task, self.model, self.shift

    @property
    def accuracies(self) -> Floats:
        """Accuracy in each draw, shape (draws,)."""
        return np.asarray(self.right) / np.asarray(self.n) if self.n else np.empty(0)

    @property
    def gains(self) -> Floats:
        """Accuracy less that of the baseline in each draw, shape (draws,)."""
        if not self.n:
            return np.empty(0)
        return np.asarray((np.asarray(self.right) - np.asarray(self.baseline)) / np.asarray(self.n))

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the draws; NaN where the method failed."""
        return accuracy_estimate([self]).mean

    @property
    def accuracy_ci(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy; see `accuracy_estimate`."""
        return accuracy_estimate([self]).interval

    @property
    def gain(self) -> float:
        """Mean gain over the draws; NaN where the method failed."""
        return gain_estimate([self]).mean

    @property
    def gain_ci(self) -> tuple[float, float]:
        """The 95 % interval of the gain; see `gain_estimate`."""
        return gain_estimate([self]).interval

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: fractions, rows and seconds of a draw; None for the unknown."""
        return {
            "task": self.task,
            "model": self.model,
            "scope": self.scope,
            "shift": self.shift,
            "method": self.method,
            "accuracy": _plain(self.accuracy),
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
    r"""Mean of a quantity over the draws of a target, with the interval for one such target.

    .. math:: \bar v \pm t_{D-1,\,.975}\, s, \qquad s^2 = \frac{1}{D-1}\sum_d (v_d - \bar v)^2

    Parameters
    ----------
    values : ndarray of shape (D,)
        The quantity in each draw, D >= 2.

    Returns
    -------
    Estimate
        Mean and limits.

    References
    ----------
    Efron, Tibshirani (1993). An Introduction to the Bootstrap, sections 6 and 12.

    Examples
    --------
    >>> [round(v, 3) for v in draws_interval(np.array([0.01, 0.02, 0.03]))]
    [0.02, -0.023, 0.063]
    """
    from scipy.special import stdtrit

    if len(values) < 2:
        fail("values", "of two draws or more", f"{len(values)}")
    mean = float(values.mean())
    reach = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * float(values.std(ddof=1))
    return Estimate(mean, mean - reach, mean + reach)


def gain_estimate(results: Iterable[Result]) -> Estimate:
    """Mean gain over cells, with its interval; failed cells do not count.

    Gains are averaged over the cells draw by draw, and `draws_interval` takes it from there. A
    single draw has no spread: the limits are then those of Tango's interval, and for several cells
    the means of their limits, as though all cells erred alike.

    Parameters
    ----------
    results : iterable of Result
        Cells of the same number of draws.

    Returns
    -------
    Estimate
        Gain and limits, as fractions.

    Raises
    ------
    ValueError
        If the numbers of draws differ.
    """
    kept = _complete(results)
    if not kept:
        return UNKNOWN
    if len(kept[0].n) > 1:
        return draws_interval(np.mean([result.gains for result in kept], axis=0))
    limits = [paired_gain_interval(r.fixed[0], r.broken[0], r.n[0]) for r in kept]
    return _single([float(result.gains[0]) for result in kept], limits)


def accuracy_estimate(results: Iterable[Result]) -> Estimate:
    """Mean accuracy over cells, with its interval, as `gain_estimate`; Wilson's for one draw."""
    kept = _complete(results)
    if not kept:
        return UNKNOWN
    if len(kept[0].n) > 1:
        return draws_interval(np.mean([result.accuracies for result in kept], axis=0))
    limits = [wilson_interval(r.right[0], r.n[0]) for r in kept]
    return _single([float(result.accuracies[0]) for result in kept], limits)


def contrast(results: Iterable[Result], others: Iterable[Result]) -> Estimate:
    """Mean accuracy of a method less that of another on the same cells and draws.

    Cells that only one of them has, or where either failed, do not count. Counts of a single draw
    do not say on which rows the two differ, so that there the limits are NaN.

    Parameters
    ----------
    results, others : iterable of Result
        Cells of the one method and of the other.

    Returns
    -------
    Estimate
        Difference and limits, as fractions.

    Raises
    ------
    ValueError
        If the numbers of draws differ.
    """
    by_cell = {other.cell: other for other in others if other.error is None}
    own = [result for result in results if result.error is None and result.cell in by_cell]
    kept = _complete([*own, *(by_cell[result.cell] for result in own)])[: len(own)]
    if not kept:
        return UNKNOWN
    differences = np.mean([r.accuracies - by_cell[r.cell].accuracies for r in kept], axis=0)
    if len(differences) > 1:
        return draws_interval(differences)
    return Estimate(float(differences[0]), math.nan, math.nan)


def worst_cell(results: Iterable[Result]) -> Result | None:
    """The cell of the least gain, None where every cell failed."""
    return min(_complete(results), key=lambda result: result.gain, default=None)


def losing_cells(results: Iterable[Result]) -> list[Result]:
    """Cells whose gain lies below `LOSS`."""
    return [result for result in _complete(results) if result.gain < LOSS]


def _complete(results: Iterable[Result]) -> list[Result]:
    kept = [result for result in results if result.error is None]
    counts = sorted({len(result.n) for result in kept})
    if len(counts) > 1:
        fail("results", "of the same number of draws", " and ".join(map(str, counts)))
    return kept


def _single(means: Sequence[float], limits: Sequence[tuple[float, float]]) -> Estimate:
    low, high = np.mean(limits, axis=0).tolist()
    return Estimate(float(np.mean(means)), low, high)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
