"""Checks that members belong to their labels, and agree on a target as on the fit rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Members
from postproc.evaluation.agreement import chance_doubts, is_chance, unlabelled_doubts, z_of_order
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_cuts
from postproc.scores.codes import coded
from postproc.scores.predictions import Predictions

#: Members are compared on rows from blocks spread over a file.
SAMPLE_BLOCKS, SAMPLE_ROWS = 8, 256

#: Rows below which members are not compared.
LEAST_SAMPLE = 100


class Agreement(NamedTuple):
    """Accuracy of a member, the z of `z_of_order`, and rows of each class, (3, C).

    They are counted by label, by predicted class, and where both are the class.
    """

    accuracy: float
    z: float
    counts: NDArray[np.int64]


def agreement(
    member: Predictions, labels: NDArray[np.int64], sizes: Sizes = DEFAULT_SIZES
) -> Agreement:
    """Compare a member of n rows with its labels, shape (n,), and with them in random order."""
    n, n_classes = len(labels), member.n_classes
    counts = np.zeros((3, n_classes), np.int64)
    counts[0] = np.bincount(labels, minlength=n_classes)
    shares = counts[0] / n
    sums, squares = np.zeros(n_classes), np.zeros(n_classes)
    given = row_squares = 0.0
    for rows in row_cuts(n, n_classes, sizes):
        probs = as_numpy(member.probabilities(rows)).astype(np.float64)
        truth = labels[rows]
        given += float(probs[np.arange(len(truth)), truth].sum())
        winners = as_numpy(member.winners(rows))
        counts[1] += np.bincount(winners, minlength=n_classes)
        counts[2] += np.bincount(winners[winners == truth], minlength=n_classes)
        sums += probs.sum(axis=0)
        squares += np.square(probs).sum(axis=0)
        row_squares += float(np.square(probs @ shares).sum())
    z = z_of_order(given, shares, sums / n, squares / n, row_squares / n, n)
    return Agreement(int(counts[2].sum()) / n, z, counts)


def label_doubts(members: Sequence[Predictions], y: NDArray[np.int64], labels: str) -> list[str]:
    """Warnings of members that agree with the labels, called `labels`, no better than chance."""
    found = {member.name: agreement(member, y) for member in members}
    poor = {name: each.accuracy for name, each in found.items() if is_chance(each.z, len(y))}
    first = members[0]
    classes = [first.class_name(j) for j in range(first.n_classes)]
    odd = unlabelled_doubts(first.name, classes, *found[first.name].counts)
    return [*chance_doubts(poor, labels), *odd]


def member_doubts(fit: Members, target: Members) -> list[str]:
    """Warnings of members that agree with the others far less on the target than on the fit rows.

    Less than half as often, on a sample of both: label shift alone hardly does that, rows or
    columns in another order do.
    """
    if len(fit) < 2 or min(fit.n_rows, target.n_rows) < LEAST_SAMPLE:
        return []
    before, now = (_closest(members) for members in (fit, target))
    return [
        coded(
            "members-differ",
            f"{fit.names[m]} agrees with the member closest to it on {100 * now[m]:.0f} % of the "
            f"target rows, but on {100 * before[m]:.0f} % of the fit rows; are rows and classes of "
            "all files in the same order?",
        )
        for m in np.flatnonzero(now < before / 2)
    ]


def _closest(members: Members) -> NDArray[np.float64]:
    """Share of a sample of rows on which each member agrees with the member closest to it."""
    starts = np.linspace(0, max(0, members.n_rows - SAMPLE_ROWS), SAMPLE_BLOCKS).astype(int)
    cuts = [slice(at, min(at + SAMPLE_ROWS, members.n_rows)) for at in np.unique(starts).tolist()]
    winners = np.stack(
        [np.concatenate([as_numpy(member.winners(cut)) for cut in cuts]) for member in members]
    )
    alike = (winners[:, None, :] == winners[None, :, :]).mean(axis=2)
    np.fill_diagonal(alike, 0.0)
    return np.asarray(alike.max(axis=1))
