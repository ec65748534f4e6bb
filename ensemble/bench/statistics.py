"""Ranks of methods over blocks, and whether they can be told apart."""

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
    """Mean rank of each method over the blocks; 1 is the highest score, ties share their ranks.

    Parameters
    ----------
    scores : array_like of shape (blocks, methods)
        A score of each method in each block; larger is better.

    Returns
    -------
    ndarray of shape (methods,)
        Mean ranks in [1, methods].

    Raises
    ------
    ValueError
        If `scores` is not a table of finite numbers with one block and one method or more.

    Examples
    --------
    >>> mean_ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7]])
    array([1.25, 1.75, 3.  ])
    """
    return np.asarray(_ranks(_check_table(scores, "scores")).mean(axis=0))


def friedman(scores: Any) -> FriedmanTest:
    r"""Friedman's test that all methods rank alike, corrected for ties.

    With N blocks, k methods, ranks :math:`r_{ij}` and rank sums :math:`R_j`,

    .. math::
        \chi^2 = (k - 1) \frac{\sum_j (R_j - N (k + 1) / 2)^2}{\sum_{ij} (r_{ij} - (k + 1) / 2)^2},
        \qquad F = \frac{(N - 1) \chi^2}{N (k - 1) - \chi^2},

    referred to the chi-squared distribution with k - 1 degrees of freedom and, less
    conservatively, to the F distribution with k - 1 and (k - 1)(N - 1).

    Parameters
    ----------
    scores : array_like of shape (blocks, methods)
        A score of each method in each block; two blocks and two methods or more.

    Returns
    -------
    FriedmanTest
        Both statistics with their p-values; p is 1 where no block tells any two methods apart.

    Raises
    ------
    ValueError
        If `scores` is not a table of finite numbers of two blocks and two methods or more.

    References
    ----------
    Friedman (1937). The use of ranks to avoid the assumption of normality implicit in the
    analysis of variance. Journal of the American Statistical Association 32, 675-701.

    Iman, Davenport (1980). Approximations of the critical region of the Friedman statistic.
    Communications in Statistics 9, 571-595.

    Examples
    --------
    >>> test = friedman([[3, 2, 1], [3, 1, 2], [3, 2, 1], [2, 3, 1]])
    >>> round(test.chi2, 3), round(test.p_value, 4)
    (4.5, 0.1054)
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
    # Nothing is left for the denominator where all blocks agree; rounding must not turn its sign.
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

    Parameters
    ----------
    n_methods : int >= 2
        Number of methods k.
    n_blocks : int >= 1
        Number of blocks N.
    confidence : float in (0, 1)
        One less the chance that any two methods of equal rank are said to differ.

    Returns
    -------
    float
        The critical difference, in ranks.

    Raises
    ------
    TypeError, ValueError
        If a count is not an integer of its range, or `confidence` lies outside (0, 1).

    References
    ----------
    Demšar (2006). Statistical comparisons of classifiers over multiple data sets. Journal of
    Machine Learning Research 7, 1-30, section 3.2.2.

    Examples
    --------
    >>> round(nemenyi_difference(5, 30), 3)
    1.114
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
    """Exact two-sided p-value of Wilcoxon's signed-rank test, with ties and zeros as they are.

    Zeros are dropped, ties share their ranks, and the p-value counts the choices of signs whose
    rank sum lies as far from its mean as the one at hand. All choices are counted, so that it holds
    for few blocks, where the normal approximation does not.

    Parameters
    ----------
    differences : array_like of shape (blocks,)
        What one method scores above the other in each block.

    Returns
    -------
    float
        The p-value; 1 where no block differs.

    Raises
    ------
    ValueError
        If `differences` is not a vector of finite numbers.

    References
    ----------
    Wilcoxon (1945). Individual comparisons by ranking methods. Biometrics Bulletin 1, 80-83.

    Examples
    --------
    >>> signed_rank_exact([0.1, 0.3, 0.2, 0.5])
    0.125
    """
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        fail("differences", "a vector of finite numbers", f"shape {values.shape}: {values}")
    values = values[values != 0]
    # Shared ranks are halves, so that twice the ranks are integers whose sums can be counted.
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
    """Wilcoxon's exact signed-rank test of every method against a control, corrected by Holm.

    Parameters
    ----------
    differences : array_like of shape (blocks, methods)
        What each method scores above the control in each block.

    Returns
    -------
    list of SignedRankTest
        One test for each method, in the order given.

    Raises
    ------
    ValueError
        If `differences` is not a table of finite numbers of one block and one method or more.
    """
    table = _check_table(differences, "differences")
    p_values = [signed_rank_exact(column) for column in table.T]
    return [SignedRankTest(*pair) for pair in zip(p_values, holm(p_values), strict=True)]


def least_p(n_blocks: int, n_methods: int) -> float:
    """The least corrected p-value that `wilcoxon_holm` can give: all blocks favour one method."""
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
