"""Whether a gain is real: intervals and paired tests, all from counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from postproc.scores.checks import check_count, check_number, fail, fail_type
from postproc.scores.frames.arguments import takes_frames

#: Coverage of the intervals that reports quote.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same rows: how many the new one fixed, and how many it broke."""

    rows: int  # that both classified
    fixed: int  # from wrong to right
    broken: int  # from right to wrong

    @property
    def gain(self) -> float:
        """Difference of the accuracies, new less old, as a fraction."""
        return (self.fixed - self.broken) / self.rows

    @property
    def gain_ci(self) -> tuple[float, float]:
        """The 95 % interval of the gain; see `paired_gain_interval`."""
        return paired_gain_interval(self.fixed, self.broken, self.rows)

    @property
    def p_value(self) -> float:
        """The exact p-value of McNemar's test; see `mcnemar_exact`."""
        return mcnemar_exact(self.fixed, self.broken)

    def to_dict(self) -> dict[str, Any]:
        """Gain, interval, counts and p-value, for JSON."""
        return {
            "gain": self.gain,
            "gain_ci": list(self.gain_ci),
            "fixed": self.fixed,
            "broken": self.broken,
            "p_value": self.p_value,
        }


@takes_frames(labels=dict.fromkeys(("labels", "base_predictions", "new_predictions"), "labels"))
def compare(base_predictions: Any, new_predictions: Any, labels: Any) -> Comparison:
    """Count the rows that new predictions fixed (wrong to right) and broke (right to wrong).

    Parameters
    ----------
    base_predictions, new_predictions : array_like of shape (n,)
        Predicted classes, before and after: integers or names.
    labels : array_like of shape (n,)
        True classes.

    Returns
    -------
    Comparison
        Rows, fixed and broken; also gives the gain, its interval and McNemar's p-value.

    Raises
    ------
    TypeError
        If an argument holds neither integers nor names, or not what `labels` holds.
    ValueError
        If the arguments are not vectors of one length, or are empty.

    Examples
    --------
    >>> compare([0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 1, 0])
    Comparison(rows=4, fixed=1, broken=1)
    """
    y = _check_classes(labels, "labels")
    if len(y) == 0:
        fail("labels", "one label or more", "0 labels")
    right = []
    for name, values in (
        ("base_predictions", base_predictions),
        ("new_predictions", new_predictions),
    ):
        predicted = _check_classes(values, name, y)
        if len(predicted) != len(y):
            fail(name, f"as long as `labels` ({len(y)} rows)", f"{len(predicted)} rows")
        right.append(predicted == y)
    fixed = int(np.count_nonzero(right[1] & ~right[0]))
    broken = int(np.count_nonzero(right[0] & ~right[1]))
    return Comparison(len(y), fixed, broken)


def wilson_interval(
    successes: int, n: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    r"""Score interval of a proportion, such as an accuracy.

    .. math:: \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Parameters
    ----------
    successes : int in 0..n
        Number of rows that were right.
    n : int >= 1
        Number of rows.
    confidence : float in (0, 1)
        Coverage of the interval.

    Returns
    -------
    tuple of float
        Lower and upper limit, in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the counts are not integers of their ranges, or `confidence` lies outside (0, 1).

    References
    ----------
    Wilson (1927). Probable inference, the law of succession, and statistical inference. Journal
    of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    n = check_count(n, "n", low=1)
    successes = check_count(successes, "successes", low=0, high=n)
    z = _normal_quantile(confidence)
    p, extra = successes / n, z * z / n
    middle = p + extra / 2
    half = math.sqrt(extra * (p * (1 - p) + extra / 4))
    # At the ends the limit is exactly 0 or 1; rounding must not move it inwards.
    low = 0.0 if successes == 0 else (middle - half) / (1 + extra)
    high = 1.0 if successes == n else (middle + half) / (1 + extra)
    return low, high


def paired_gain_interval(
    fixed: int, broken: int, n: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    r"""Tango's score interval of the difference of two paired proportions.

    The limits are the differences :math:`\Delta` at which the score test of
    :math:`p_{fixed} - p_{broken} = \Delta` is just rejected,

    .. math:: \frac{(f - b - n\Delta)^2}{n (2 \tilde p + \Delta (1 - \Delta))} = z^2,

    with :math:`\tilde p` the probability of a broken row, estimated by maximum likelihood under
    that difference. Rows on which both agree enter only through n. The test at
    :math:`\Delta = 0` is McNemar's (without correction), the limits never leave [-1, 1], and,
    unlike that of the textbook interval :math:`\hat\Delta \pm z s`, the coverage is right even if
    very few rows differ.

    Parameters
    ----------
    fixed : int in 0..n
        Rows that went from wrong to right.
    broken : int in 0..n - fixed
        Rows that went from right to wrong.
    n : int >= 1
        Number of rows.
    confidence : float in (0, 1)
        Coverage of the interval.

    Returns
    -------
    tuple of float
        Lower and upper limit of the gain in accuracy, in [-1, 1].

    Raises
    ------
    TypeError, ValueError
        If the counts are not integers of their ranges, or `confidence` lies outside (0, 1).

    References
    ----------
    Tango (1998). Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design. Statistics in Medicine 17, 891-908, equations 11 to 14.

    Examples
    --------
    >>> low, high = paired_gain_interval(30, 10, 1000)
    >>> round(low, 4), round(high, 4)
    (0.008, 0.0336)
    """
    n = check_count(n, "n", low=1)
    fixed = check_count(fixed, "fixed", low=0, high=n)
    broken = check_count(broken, "broken", low=0, high=n - fixed)
    z = _normal_quantile(confidence)
    gain = (fixed - broken) / n
    # The score falls as the difference grows: bisect between the estimate and each end.
    low = -1.0 if broken == n else _bisect(lambda d: _score(fixed, broken, n, d) > z, -1.0, gain)
    high = 1.0 if fixed == n else _bisect(lambda d: _score(fixed, broken, n, d) >= -z, gain, 1.0)
    return low, high


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Exact two-sided p-value of McNemar's test that fixed and broken rows are equally likely.

    Twice the smaller tail of the binomial distribution of `fixed + broken` trials with
    probability 1/2, at most 1. The incomplete beta function makes millions of rows as cheap as few.

    Parameters
    ----------
    fixed : int >= 0
        Rows that went from wrong to right.
    broken : int >= 0
        Rows that went from right to wrong.

    Returns
    -------
    float
        The p-value; 1 if no row differs, and 0 if it is too small for a float.

    Raises
    ------
    TypeError, ValueError
        If the counts are not integers >= 0.

    References
    ----------
    McNemar (1947). Note on the sampling error of the difference between correlated proportions
    or percentages. Psychometrika 12, 153-157.

    Examples
    --------
    >>> mcnemar_exact(1, 6)
    0.125
    """
    fixed = check_count(fixed, "fixed", low=0)
    broken = check_count(broken, "broken", low=0)
    from scipy.special import bdtr

    return min(1.0, 2.0 * float(bdtr(min(fixed, broken), fixed + broken, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values for the number of tests made.

    Parameters
    ----------
    p_values : sequence of m floats in [0, 1]
        The p-values of one family of tests.

    Returns
    -------
    list of m floats
        Corrected p-values in the order given. Comparing them with a level bounds the probability
        of any false rejection by that level.

    Raises
    ------
    TypeError, ValueError
        If a p-value is not a number of [0, 1].

    References
    ----------
    Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal
    of Statistics 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.02])
    [0.03, 0.04, 0.04]
    """
    values = [check_number(p, f"p_values[{i}]", low=0.0, high=1.0) for i, p in enumerate(p_values)]
    corrected = [0.0] * len(values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        running = max(running, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = running
    return corrected


def _score(fixed: int, broken: int, n: int, difference: float) -> float:
    """Tango's score statistic, signed; infinite if the difference contradicts the counts."""
    d = difference
    linear = (2 * n - fixed + broken) * d - fixed - broken
    constant = -broken * d * (1 - d)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    # Either form of the root of 2n p² + linear p + constant = 0; each cancels for one sign.
    broken_rate = (root - linear) / (4 * n) if linear <= 0 else -2 * constant / (root + linear)
    variance = n * (2 * broken_rate + d * (1 - d))
    distance = fixed - broken - n * d
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """The point of [low, high] where `is_below` turns false, to within 1e-15."""
    while high - low > 1e-15:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _normal_quantile(confidence: float) -> float:
    """Half-width in standard deviations of a normal interval with this coverage."""
    level = check_number(confidence, "confidence", low=0.0, high=1.0)
    if not 0 < level < 1:
        fail("confidence", "in (0, 1)", repr(confidence))
    return NormalDist().inv_cdf((1 + level) / 2)


def _check_classes(
    values: Any, name: str, like: np.ndarray[Any, Any] | None = None
) -> np.ndarray[Any, Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        fail(name, "a vector of classes, shape (n,)", f"shape {array.shape}")
    if len(array) and array.dtype.kind not in "iubU":
        fail_type(name, "a vector of integers or class names", f"dtype {array.dtype}")
    if len(array) and like is not None and (array.dtype.kind == "U") != (like.dtype.kind == "U"):
        fail_type(name, f"classes of the type of `labels` ({like.dtype})", f"dtype {array.dtype}")
    return array
