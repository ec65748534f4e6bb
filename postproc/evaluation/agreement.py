"""Whether predictions and labels belong together, or one of them is in another order."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Standard deviations above its mean up to which agreement may be chance: of labels in random
#: order one case in twenty lies higher.
LEAST_Z = 1.645

#: Rows below which nothing is said.
LEAST_ROWS = 30


def z_of_order(
    given: float,
    shares: NDArray[np.float64],
    means: NDArray[np.float64],
    squares: NDArray[np.float64],
    row_squares: float,
    n_rows: int,
) -> float:
    r"""Compare the probability that the labels were given with that of labels in any order.

    With probabilities p_ik, labels y and n_k labels of class k, the sum S = Σ_i p_i,y(i) has over
    all n! orders of the labels, each as likely as another (Hoeffding, 1951),

    .. math:: E S = \sum_k n_k \bar p_k, \qquad
        V S = \frac{1}{n - 1} \sum_{i,k} n_k (p_{ik} - a_i - \bar p_k + \bar a)^2,

    with the column means of p and its row means a_i weighted by n_k. Unlike accuracy this also
    tells a model that never names a rare class from one that knows nothing.

    Parameters
    ----------
    given : float
        The sum S.
    shares, means, squares : ndarray of shape (C,)
        Shares of the classes among the labels, column means of p and of its squares.
    row_squares : float
        Mean of a_i².
    n_rows : int
        Number of rows n.

    Returns
    -------
    float
        z = (S - E S) / √(V S); NaN where the order of the labels makes no difference: they, or all
        rows, are alike.
    """
    expected = float(shares @ means)
    by_column = float(shares @ (squares - means**2))
    variance = n_rows**2 / max(n_rows - 1, 1) * (by_column - (row_squares - expected**2))
    if variance <= 1e-12 * n_rows:
        return math.nan
    return (given - n_rows * expected) / math.sqrt(variance)


def is_chance(z: float, n_rows: int) -> bool:
    """Whether labels in random order would agree as well; False where that cannot be told."""
    return n_rows >= LEAST_ROWS and z < LEAST_Z


def chance_doubts(poor: Mapping[str, float], labels: str) -> list[str]:
    """One sentence on models that agree with labels only by chance; none where there are none.

    Parameters
    ----------
    poor : mapping of names to floats
        The models, and the share of rows that each has right.
    labels : str
        What to call the labels.
    """
    if not poor:
        return []
    listed = [f"{name} ({100 * accuracy:.1f} % right)" for name, accuracy in poor.items()]
    shown = ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
    agrees = "agrees" if len(poor) == 1 else "agree"
    return [
        f"{shown} {agrees} with {labels} no better than with labels in random order; are rows and "
        "classes of both files in one order?"
    ]
