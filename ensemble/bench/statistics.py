"""Ranks of methods over blocks, and tests of whether methods differ (Demšar, 2006)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.paired import CONFIDENCE, holm

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


def mean_ranks(scores: Floats) -> Floats:
    """Mean rank of each method, from scores of shape (blocks, methods); 1 is the highest score."""
    return np.asarray(_ranks(scores).mean(axis=0))


def friedman(scores: Floats) -> FriedmanTest:
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

    ranks = _ranks(scores)
    n_blocks, n_methods = ranks.shape
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
    """Nemenyi's critical difference of mean ranks, from the studentized range."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(confidence, n_methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks))


def signed_rank_exact(differences: Floats) -> float:
    """Exact p-value of Wilcoxon's signed-rank test; zeros are dropped, ties share their ranks."""
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
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


def wilcoxon_holm(differences: Floats) -> list[SignedRankTest]:
    """Wilcoxon's test of each method's differences from a control, shape (blocks, methods)."""
    p_values = [signed_rank_exact(column) for column in differences.T]
    return [SignedRankTest(*pair) for pair in zip(p_values, holm(p_values), strict=True)]


def least_p(n_blocks: int, n_methods: int) -> float:
    """The smallest corrected p-value that `wilcoxon_holm` can give: one method wins every block."""
    return min(1.0, n_methods * 2.0 ** (1 - n_blocks))


def _ranks(table: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.asarray(table), axis=1), dtype=np.float64)
