"""Whether predictions and labels belong together or are in different orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from postproc.scores.codes import coded
from postproc.scores.names import first_few, some

#: Agreement up to this z-score may be chance; labels in random order exceed it in 5 % of cases.
LEAST_Z = 1.645

#: Classes without labels are in doubt where they are rarer than this by chance.
UNLIKELY = 1e-3

#: Fewer rows give no verdict.
LEAST_ROWS = 30


def z_of_order(
    given: float,
    shares: NDArray[np.float64],
    means: NDArray[np.float64],
    squares: NDArray[np.float64],
    row_squares: float,
    n_rows: int,
) -> float:
    r"""z-score of S, the sum of the probabilities of the labels, among random orders of the labels.

    With probabilities p_ik and n_k labels of class k, over all n! orders (Hoeffding, 1951)

    .. math:: E S = \sum_k n_k \bar p_k, \qquad
        V S = \frac{1}{n - 1} \sum_{i,k} n_k (p_{ik} - a_i - \bar p_k + \bar a)^2,

    with column means of p (`means`) and row means a_i weighted by n_k. `shares` are n_k / n,
    `squares` the column means of p², `row_squares` the mean of a_i². Unlike accuracy, z also tells
    a model that never predicts a rare class from one without any information. It is NaN if all
    labels or all rows are equal.
    """
    expected = float(shares @ means)
    by_column = float(shares @ (squares - means**2))
    variance = n_rows**2 / max(n_rows - 1, 1) * (by_column - (row_squares - expected**2))
    if variance <= 1e-12 * n_rows:
        return math.nan
    return (given - n_rows * expected) / math.sqrt(variance)


def is_chance(z: float, n_rows: int) -> bool:
    """Whether labels in random order could agree as well; False if too few rows or undefined."""
    return n_rows >= LEAST_ROWS and z < LEAST_Z


def chance_doubts(poor: Mapping[str, float], labels: str) -> list[str]:
    """A sentence on models, by accuracy, that agree with labels only by chance; none if empty."""
    if not poor:
        return []
    listed = [f"{name} ({100 * accuracy:.1f} % right)" for name, accuracy in poor.items()]
    shown = first_few(listed)
    agrees = "agrees" if len(poor) == 1 else "agree"
    said = (
        f"{shown} {agrees} with {labels} no better than with labels in random order; do both files "
        "have their rows and classes in the same order?"
    )
    return [coded("chance", said)]


def reversed_doubts(
    name: str, auc: float, highest: float, positive: str, turned: str | None = None
) -> list[str]:
    """A sentence on a model whose AUC, with the end of its interval, lies below 1/2.

    `turned` is what names its column as the score of the other class.
    """
    if not highest < 0.5:
        return []
    mend = "name the other class with --positive"
    if turned is not None:
        mend = f"name {turned} in its place, or the other class of all columns with --positive"
    said = (
        f"{name} ranks rows the other way round: AUC is {100 * auc:.2f}, with its scores negated "
        f"{100 - 100 * auc:.2f}; if higher means less of class {positive}, {mend}"
    )
    return [coded("reversed", said)]


def order_doubts(metrics: Sequence[str], classes: Sequence[str] | None) -> list[str]:
    """Warn where a metric takes classes in their order, and their names are words."""
    if "quadratic_kappa" not in metrics or classes is None or all(map(_is_number, classes)):
        return []
    said = (
        f"quadratic_kappa takes classes in the order of the columns ({first_few(classes)}); if "
        "they have no order, take kappa"
    )
    return [coded("order-of-classes", said)]


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def unlabelled_doubts(
    name: str,
    classes: Sequence[str],
    support: NDArray[np.int64],
    predicted: NDArray[np.int64],
    correct: NDArray[np.int64],
) -> list[str]:
    """A sentence on classes that a model predicts too often to have no label.

    Rows that have and are predicted as each class, and both, (C,). If the model is as right on a
    class without labels as on the others, all its rows are wrong with a probability that is known.
    """
    known = support > 0
    wrong = 1 - correct.sum() / max(1, int(predicted[known].sum()))
    odd = np.flatnonzero(~known & (wrong**predicted < UNLIKELY / len(support)))
    if not len(odd):
        return []
    shown = some([classes[j] for j in odd.tolist()])
    rows = f"{predicted[odd].sum():,} of {support.sum():,} rows"
    said = (
        f"{name} predicts {shown} for {rows}, but no label is among them: are labels numbered or "
        "named like the columns?"
    )
    return [coded("unlabelled-class", said)]
