"""Ranks of methods over blocks, and tests of whether methods differ (Demšar, 2006)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.paired import CONFIDENCE, holm
from postproc.scores.checks import check_count, check_number, fail

Floats = NDArray[np.float64]


class FriedmanTest(NamedTuple):
    """Friedman's test with Iman and Davenport's correction of it."""

    chi2: float
    p_value: float
    f: float
    p_value_f: float


class SignedRankTest(NamedTuple):
    """Exact p-value of Wilcoxon's test, and the same corrected by Holm."""

    p_value: float
    p_holm: float


def mean_ranks(scores: Any) -> Floats:
    """Mean rank of each method, from scores of shape (blocks, methods); 1 is the highest score."""
    return np.asarray(_ranks(_check_table(scores, "scores")).mean(axis=0))


def friedman(scores: Any) -> FriedmanTest:
    r"""Friedman's test (1937) that all methods rank alike, from scores of shape (blocks, methods).

    With N blocks, k methods, ranks :math:`r_{ij}` that share ties and rank sums :math:`R_j`,

    .. math::
        \chi^2 = (k - 1) \frac{\sum_j (R_j - N (k + 1) / 2)^2}{\sum_{ij} (r_{ij} - (k + 1) / 2)^2},
        \qquad F = \frac{(N - 1) \chi^2}{N (k - 1) - \chi^2},

    referred to the chi-squared distribution with k - 1 degrees of freedom and, less conservatively
    (Iman, Davenport, 1980), to the F distribution with k - 1 and (k - 1)(N - 1). The p-values are 1
    if all ranks are tied.
    """
    from scipy.stats import chi2, f

    table = _check_table(scores, "scores", least=2)
    n_blocks, n_methods = table.shape
    ranks = _ranks(table)
    middle = (n_methods + 1) / 2
    spread = float(((ranks - middle) ** 2).sum())
    if spread == 0:
        return FriedmanTest(0.0, 1.0, 0.0, 1.0)
    between = float(((ranks.sum(axis=0) - n_blocks * middle) ** 2).sum())
    statistic = (n_methods - 1) * between / spread
    degrees = n_methods - 1
    # The denominator vanishes if all blocks agree; rounding must not make it negative.
    rest = n_blocks * degrees - statistic
    ratio = (n_blocks - 1) * statistic / rest if rest > 1e-9 * n_blocks * degrees else math.inf
    return FriedmanTest(
        statistic,
        float(chi2.sf(statistic, degrees)),
        ratio,
        float(f.sf(ratio, degrees, degrees * (n_blocks - 1))),
    )


def nemenyi_difference(n_methods: int, n_blocks: int, *, confidence: float = CONFIDENCE) -> float:
    r"""Nemenyi's critical difference: mean ranks farther apart than this differ.

    .. math:: CD = q_\alpha \sqrt{\frac{k (k + 1)}{6 N}}

    for k methods and N blocks, with :math:`q_\alpha` the quantile of the studentized range of k
    groups and infinitely many degrees of freedom, divided by :math:`\sqrt 2`.
    """
    from scipy.stats import studentized_range

    n_methods = check_count(n_methods, "n_methods", low=2)
    n_blocks = check_count(n_blocks, "n_blocks", low=1)
    level = check_number(confidence, "confidence", low=0.0, high=1.0)
    if not 0 < level < 1:
        fail("confidence", "in (0, 1)", repr(confidence))
    quantile = float(studentized_range.ppf(level, n_methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks))


def signed_rank_exact(differences: Any) -> float:
    """Exact two-sided p-value of Wilcoxon's signed-rank test (1945), from one difference a block.

    Zeros are dropped, ties share their ranks, and the p-value is the share of all choices of signs
    whose rank sum lies as far from its mean as the observed one. So it holds for few blocks, where
    the normal approximation does not.
    """
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        fail("differences", "a vector of finite numbers", f"shape {values.shape}: {values}")
    values = values[values != 0]
    # Shared ranks are halves, so twice the ranks are integers whose sums can be counted.
    doubled = np.rint(2 * rankdata(abs(values))).astype(np.int64)
    total = int(doubled.sum())
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for rank in doubled:
        chances /= 2
        chances[rank:] += chances[: total + 1 - rank].copy()
    reached = int(doubled[values > 0].sum())
    distance = abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chances[distance >= abs(2 * reached - total)].sum()))


def wilcoxon_holm(differences: Any) -> list[SignedRankTest]:
    """Wilcoxon's test of each method's differences from a control, shape (blocks, methods)."""
    table = _check_table(differences, "differences")
    p_values = [signed_rank_exact(column) for column in table.T]
    return [SignedRankTest(*pair) for pair in zip(p_values, holm(p_values), strict=True)]


def least_p(n_blocks: int, n_methods: int) -> float:
    """The smallest corrected p-value that `wilcoxon_holm` can give: one method wins every block."""
    n_blocks = check_count(n_blocks, "n_blocks", low=1)
    return min(1.0, check_count(n_methods, "n_methods", low=1) * 2.0 ** (1 - n_blocks))


def _ranks(table: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(-table, axis=1), dtype=np.float64)


def _check_table(values: Any, name: str, *, least: int = 1) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < least or not np.isfinite(table).all():
        what = f"a table of finite numbers, shape (blocks, methods), each {least} or more"
        fail(name, what, f"shape {table.shape}")
    return table
