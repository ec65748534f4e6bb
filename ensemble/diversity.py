"""Diversity: how much the errors of members differ, pair by pair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Kinds, as_labels
from ensemble.members import Members, check_members
from postproc.reports.tables import Table, named, number, percent
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_blocks
from postproc.scores.checks import check_label_rows, fail
from postproc.scores.frames.arguments import takes_frames

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Diversity:
    """Measures for each pair of members, symmetric matrices of shape (M, M).

    N11 counts the rows that both classify right, N00 those that both classify wrong, N10 and N01
    those that only one classifies right.

    Attributes
    ----------
    names : tuple of M str
        Names of the members.
    disagreement : ndarray
        Share of rows that exactly one of the two classifies right, (N10 + N01) / n.
    double_fault : ndarray
        Share of rows that both classify wrong, N00 / n; on the diagonal the member's error rate.
    q_statistic : ndarray
        (N11 N00 - N01 N10) / (N11 N00 + N01 N10), in [-1, 1]: 0 if errors are independent, 1 if
        they occur on the same rows. NaN where it is undefined, 0 / 0.
    difference : ndarray
        Share of rows for which the two predict different classes, right or wrong.
    """

    names: tuple[str, ...]
    disagreement: Matrix
    double_fault: Matrix
    q_statistic: Matrix
    difference: Matrix

    def to_dict(self) -> dict[str, Any]:
        """Names and lists for JSON; undefined values become None."""
        result: dict[str, Any] = {"names": list(self.names)}
        for measure in ("disagreement", "double_fault", "q_statistic", "difference"):
            rows = getattr(self, measure).tolist()
            result[measure] = [[None if x != x else x for x in row] for row in rows]
        return result

    def to_table(self) -> Table:
        """A table with one line per pair of models."""
        rows = []
        for a, b in combinations(range(len(self.names)), 2):
            shares = (self.difference, self.disagreement, self.double_fault)
            rows.append(
                (
                    *(named(self.names[m]) for m in (a, b)),
                    *(number(values[a, b], percent) for values in shares),
                    number(self.q_statistic[a, b], "{:+z.3f}".format),
                )
            )
        return Table(
            "Diversity",
            ("model", "and", "differ", "one right", "both wrong", "Q"),
            tuple(rows),
            "Percentage of rows for which the two predict different classes, exactly one is right "
            "(disagreement), and both are wrong (double fault). Q is 0 if mistakes are "
            "independent, 1 if they fall on the same rows.",
            n_texts=2,
        )


@takes_frames("members", labels={"y": "members"})
def pairwise_diversity(
    members: Iterable[Any], y: Any, *, kinds: Kinds = None, sizes: Sizes = DEFAULT_SIZES
) -> Diversity:
    """Compare the errors of each pair of members.

    Parameters
    ----------
    members : sequence of M arrays or tensors of shape (n, C), or Members
        Scores of each member; memory maps are read block by block.
    y : array_like of shape (n,)
        Labels: integers in 0..C-1, or class names if the members have them; of multi-label
        `Members` zeros and ones (n, C), each of which counts as a row.
    kinds : {"logits", "probs"} or sequence of them, optional
        The kind of all members or of each; None detects it.
    sizes : Sizes
        How much is read at once; the result does not depend on it.

    Returns
    -------
    Diversity
        The measures.

    Raises
    ------
    TypeError, ValueError
        If members or labels are not valid, or there is no row.

    References
    ----------
    Kuncheva, Whitaker (2003). Measures of diversity in classifier ensembles and their
    relationship with the ensemble accuracy. Machine Learning 51, section 3.

    Examples
    --------
    >>> a, b = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [[0.6, 0.4], [0.1, 0.9], [0.4, 0.6]]
    >>> pairwise_diversity([a, b], [0, 0, 0]).disagreement.round(3)
    array([[0.   , 0.333],
           [0.333, 0.   ]])
    """
    checked = check_members(members, kinds=kinds)
    labels = _labels(y, checked)
    checked = checked.two_class() if checked.multilabel else checked
    if not len(labels):
        fail("members", "arrays of one or more rows", "no row")
    n_members = len(checked)
    both_right, both_wrong, same = (np.zeros((n_members, n_members)) for _ in range(3))
    for rows in row_blocks(len(labels), checked.n_classes, block_bytes=sizes.member):
        winners = np.stack([as_numpy(member.winners(rows)) for member in checked])
        right = (winners == labels[rows]).astype(np.float64)
        both_right += right @ right.T
        both_wrong += (1 - right) @ (1 - right).T
        for m in range(n_members):
            same[m] += np.count_nonzero(winners == winners[m], axis=1)
    return _measures(checked.names, both_right, both_wrong, same, len(labels))


def _labels(y: Any, members: Members) -> NDArray[Any]:
    """Checked labels; integers as they are, so that a memory map is not read."""
    values = np.asarray(as_numpy(y))
    if values.dtype.kind not in "iu" or members.multilabel:
        return as_labels(y, members)
    n_classes, n_rows = members.n_classes, members.n_rows
    return check_label_rows(values, n_classes=n_classes, n_rows=n_rows, name="y")


def _measures(
    names: tuple[str, ...], both_right: Matrix, both_wrong: Matrix, same: Matrix, n_rows: int
) -> Diversity:
    """All measures from counts."""
    right = np.diag(both_right)
    only = right[:, None] - both_right  # the member of the row is right, that of the column wrong
    alike, unlike = both_right * both_wrong, only * only.T
    total = alike + unlike
    defined = total > 0
    q = np.where(defined, (alike - unlike) / np.where(defined, total, 1), np.nan)
    return Diversity(names, (only + only.T) / n_rows, both_wrong / n_rows, q, 1 - same / n_rows)
