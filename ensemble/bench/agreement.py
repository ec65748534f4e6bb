"""Whether predictions and labels belong together, or one of them is in another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Member
from postproc.arrays import as_numpy
from postproc.blocks import row_blocks

#: Standard deviations above its mean up to which agreement may be chance: of labels in random
#: order one case in twenty lies higher.
LEAST_Z = 1.645


class Agreement(NamedTuple):
    """Share of rows that a member has right, and the z value of the probability of the labels."""

    accuracy: float
    z: float


def agreement(member: Member, labels: NDArray[np.int64]) -> Agreement:
    r"""Compare the probability that a member gives the labels with that of labels in any order.

    With probabilities p_ik, labels y and n_k labels of class k, the sum S = Σ_i p_i,y(i) has over
    all n! orders of the labels, each as likely as another (Hoeffding, 1951),

    .. math:: E S = \sum_k n_k \bar p_k, \qquad
        V S = \frac{1}{n - 1} \sum_{i,k} n_k (p_{ik} - a_i - \bar p_k + \bar a)^2,

    with the column means of p and its row means weighted by n_k. Unlike accuracy this also tells a
    member that never names a rare class from one that knows nothing.

    Parameters
    ----------
    member : Member
        Scores of n rows.
    labels : ndarray of shape (n,)
        Classes 0..C-1.

    Returns
    -------
    Agreement
        Accuracy, and z = (S - E S) / √(V S); NaN where the order of the labels makes no difference:
        they, or all rows, are alike.
    """
    n, n_classes = len(labels), member.n_classes
    shares = np.bincount(labels, minlength=n_classes) / n
    sums, squares = np.zeros(n_classes), np.zeros(n_classes)
    given = row_squares = 0.0
    right = 0
    for rows in row_blocks(n, n_classes):
        probs = as_numpy(member.probabilities(rows)).astype(np.float64)
        truth = labels[rows]
        given += float(probs[np.arange(len(truth)), truth].sum())
        right += int((as_numpy(member.winners(rows)) == truth).sum())
        sums += probs.sum(axis=0)
        squares += np.square(probs).sum(axis=0)
        row_squares += float(np.square(probs @ shares).sum())
    means = sums / n
    expected = float(shares @ means)
    by_column = float(shares @ (squares / n - means**2))
    variance = n * n / max(n - 1, 1) * (by_column - (row_squares / n - expected**2))
    if variance <= 1e-12 * n:
        return Agreement(right / n, math.nan)
    return Agreement(right / n, (given - n * expected) / math.sqrt(variance))


def doubts(split: str, members: Sequence[Member], labels: NDArray[np.int64]) -> list[str]:
    """Say which members agree with the labels of a split no better than by chance, if any do."""
    found = {member.name: agreement(member, labels) for member in members}
    poor = {name: each.accuracy for name, each in found.items() if each.z < LEAST_Z}
    if not poor:
        return []
    listed = [f"{name} ({100 * accuracy:.1f} % right)" for name, accuracy in poor.items()]
    shown = ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
    agrees = "agrees" if len(poor) == 1 else "agree"
    return [
        f"on {split}, {shown} {agrees} with labels.{split} no better than with labels in random "
        "order; are rows and classes of both files in one order?"
    ]
