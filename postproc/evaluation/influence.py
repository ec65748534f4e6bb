"""Intervals and tests for every metric, from the influence of each row.

A metric of n rows is, to first order, its true value plus the mean of the rows' influences. So its
variance is that of a mean, also of a difference of two models, of clusters of rows, and of weighted
rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.paired import CONFIDENCE, holm, wilson_interval
from postproc.evaluation.tallies import weighted_counts

#: Probability with which a gain of the size that reports call detectable is found.
POWER = 0.8

#: A gain is what float32 rounds if it and the part that a typical row has in it are smaller.
ROUNDING = 1e-6

#: Shares this close to 0 or 1 are taken for it.
EDGE = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A metric, or the gain in one, with its standard error."""

    value: float
    standard_error: float  # NaN if it is not defined
    units: int  # independent units: groups, or rows where there are none
    lowest: float = -math.inf  # of the values that are possible
    highest: float = math.inf
    p_holm: float | None = None  # of a gain, corrected for the number of models compared
    freedom: float | None = None  # degrees of freedom of the standard error; None: units - 1

    @property
    def df(self) -> float:
        """Degrees of freedom of the t-distribution behind the interval and the test."""
        return self.units - 1 if self.freedom is None else self.freedom

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: on the logit or log scale if the value is bounded."""
        half = t_quantile((1 + CONFIDENCE) / 2, self.df) * self.standard_error
        low, high, value = self.lowest, self.highest, self.value
        if math.isnan(half):
            return math.nan, math.nan
        if not math.isfinite(low):
            return value - half, value + half
        if math.isinf(high):
            factor = math.exp(half / (value - low)) if value - low > EDGE else 1.0
            return low + (value - low) / factor, low + (value - low) * factor
        share = (value - low) / (high - low)
        if not EDGE < share < 1 - EDGE:  # as that of a proportion
            ends = wilson_interval(round(share) * self.units, self.units)
            return low + (high - low) * ends[0], low + (high - low) * ends[1]
        logit = math.log(share / (1 - share))
        half /= (high - low) * share * (1 - share)
        ends = (_expit(logit - half), _expit(logit + half))
        return low + (high - low) * ends[0], low + (high - low) * ends[1]

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the t-test that the value is 0; NaN without a standard error."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(self.df, -abs(self.value) / self.standard_error))

    @property
    def detectable(self) -> float:
        """The gain that these rows would show to be real with 80 % power."""
        quantiles = (t_quantile(share, self.df) for share in ((1 + CONFIDENCE) / 2, POWER))
        return sum(quantiles) * self.standard_error


class Spread(NamedTuple):
    """A value with its standard error, the degrees of freedom of that, and the units behind it."""

    value: float
    error: float
    freedom: float
    units: int

    @classmethod
    def of(cls, value: float, squares: float, fourths: float, units: int, weight: float) -> Spread:
        """From sums of second and fourth powers of weighted deviations of independent units.

        Where few units make most of the variance, as rows of a rare class do, its estimate has
        fewer degrees of freedom: with kurtosis k its relative variance is (k - 1) / n, that of
        normal deviations 2 / n (Satterthwaite's matching). Like the jackknife's, the error is then
        that of as few units: larger by (f + 1) / f for f degrees.
        """
        if units < 2:
            return cls(value, math.nan, 0.0, units)
        excess = units * fourths / squares**2 - 1 if squares > 0 else 0.0
        freedom = units - 1 if excess <= 2 else max(1.0, 2 * units / excess - 1)
        freedom = min(freedom, units - 1)
        few = (freedom + 1) / freedom * (units - 1) / units
        error = few * math.sqrt(max(squares, 0.0) * units / (units - 1)) / weight
        return cls(value, error, freedom, units)

    def estimate(self, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
        """As an estimate of a value within bounds, or of a gain; rounded files gain nothing."""
        row = self.error * math.sqrt(self.units)
        if math.isinf(bounds[0]) and abs(self.value) < ROUNDING and row < ROUNDING:
            return Estimate(0.0, 0.0, self.units, *bounds, freedom=self.freedom)
        return Estimate(self.value, self.error, self.units, *bounds, freedom=self.freedom)


def spread_of(
    value: float,
    influence: Floats,
    *,
    weights: Floats | None = None,
    groups: NDArray[Any] | None = None,
) -> Spread:
    """Spread of a metric from influences (n,), weights (n,) and groups 0..G-1 (n,)."""
    w = np.ones(len(influence)) if weights is None else weights
    sums = w * influence
    if groups is not None:
        sums = weighted_counts(groups, sums, int(groups.max()) + 1)
    return spread_of_sums(value, sums, float(w.sum()))


def spread_of_sums(value: float, sums: Floats, weight: float) -> Spread:
    """Spread from weighted sums of influences by unit, (G,), and the weight of all rows."""
    squares = sums**2
    return Spread.of(value, float(squares.sum()), float(squares @ squares), len(sums), weight)


def corrected(gains: Sequence[Estimate]) -> list[Estimate]:
    """Gains of several models in one metric, with Holm's correction; undefined ones stay so."""
    known = [gain.p_value for gain in gains if not math.isnan(gain.p_value)]
    values = iter(holm(known))
    return [
        gain if math.isnan(gain.p_value) else replace(gain, p_holm=next(values)) for gain in gains
    ]


def t_quantile(share: float, df: float) -> float:
    """Quantile of Student's t; NaN without degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share)) if df > 0 else math.nan


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
