"""Whether members belong to their labels, and to each other on another target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Member, Members
from postproc.evaluation.agreement import chance_doubts, is_chance, z_of_order
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_cuts

#: Rows, in blocks spread over a file, that members are compared on.
SAMPLE_BLOCKS, SAMPLE_ROWS = 8, 256

#: Rows below which members are not compared.
LEAST_SAMPLE = 100


class Agreement(NamedTuple):
    """Share of rows that a member has right, and z as `z_of_order` has it."""

    accuracy: float
    z: float


def agreement(member: Member, labels: NDArray[np.int64], sizes: Sizes = DEFAULT_SIZES) -> Agreement:
    """Compare a member with labels, and with these in any other order.

    Parameters
    ----------
    member : Member
        Scores of n rows.
    labels : ndarray of shape (n,)
        Classes 0..C-1.
    sizes : Sizes
        How large blocks are.
    """
    n, n_classes = len(labels), member.n_classes
    shares = np.bincount(labels, minlength=n_classes) / n
    sums, squares = np.zeros(n_classes), np.zeros(n_classes)
    given = row_squares = 0.0
    right = 0
    for rows in row_cuts(n, n_classes, sizes):
        probs = as_numpy(member.probabilities(rows)).astype(np.float64)
        truth = labels[rows]
        given += float(probs[np.arange(len(truth)), truth].sum())
        right += int((as_numpy(member.winners(rows)) == truth).sum())
        sums += probs.sum(axis=0)
        squares += np.square(probs).sum(axis=0)
        row_squares += float(np.square(probs @ shares).sum())
    z = z_of_order(given, shares, sums / n, squares / n, row_squares / n, n)
    return Agreement(right / n, z)


def label_doubts(members: Sequence[Member], y: NDArray[np.int64], labels: str) -> list[str]:
    """Say which members agree with labels, which are called so, no better than by chance."""
    found = {member.name: agreement(member, y) for member in members}
    poor = {name: each.accuracy for name, each in found.items() if is_chance(each.z, len(y))}
    return chance_doubts(poor, labels)


def member_doubts(fit: Members, target: Members) -> list[str]:
    """Say which members agree with no other on a target as they do on the rows fitted to.

    Less than half as often as there, on a sample of both: a shift alone hardly does that, rows or
    columns in another order do.
    """
    if len(fit) < 2 or min(fit.n_rows, target.n_rows) < LEAST_SAMPLE:
        return []
    before, now = (_closest(members) for members in (fit, target))
    return [
        f"{fit.names[m]} predicts what the member closest to it predicts on {100 * now[m]:.0f} % "
        f"of the target's rows, and on {100 * before[m]:.0f} % of those fitted to; are rows and "
        "classes of all files in one order?"
        for m in np.flatnonzero(now < before / 2)
    ]


def _closest(members: Members) -> NDArray[np.float64]:
    """Share of a sample of rows on which each member predicts what the one closest to it does."""
    starts = np.linspace(0, max(0, members.n_rows - SAMPLE_ROWS), SAMPLE_BLOCKS).astype(int)
    cuts = [slice(at, min(at + SAMPLE_ROWS, members.n_rows)) for at in np.unique(starts).tolist()]
    winners = np.stack(
        [np.concatenate([as_numpy(member.winners(cut)) for cut in cuts]) for member in members]
    )
    alike = (winners[:, None, :] == winners[None, :, :]).mean(axis=2)
    np.fill_diagonal(alike, 0.0)
    return np.asarray(alike.max(axis=1))
