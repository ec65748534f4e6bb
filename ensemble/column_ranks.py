"""Rank averaging: ranks of the rows within each column, as they are averaged for AUC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Members
from postproc.scores.arrays import Array, as_native, as_numpy


@dataclass(frozen=True)
class ColumnRanks:
    """The rank average of all rows (n, C), each divided by its sum, or labels by n."""

    ranks: NDArray[np.float64]

    @classmethod
    def of(cls, members: Members, weights: NDArray[np.float64]) -> ColumnRanks:
        """Rank the rows of one member after the other, which holds 16 bytes a row and class."""
        from scipy.stats import rankdata

        n_rows, n_classes = members.n_rows, members.n_classes
        total = np.zeros((n_rows, n_classes))
        for member, weight in zip(members, weights, strict=True):
            probs = np.empty((n_rows, n_classes), member.output_dtype)
            for rows in member.blocks():
                exact = member.kind == "probs"  # a division could make or break ties
                block = member.scores[rows, :] if exact else member.probabilities(rows)
                probs[rows] = as_numpy(block)
            for column in range(n_classes):
                total[:, column] += weight * (rankdata(probs[:, column]) - 0.5)
        total /= n_rows if members.multilabel else total.sum(axis=1, keepdims=True)
        return cls(total)

    def combine(self, members: Members, rows: slice) -> Array:
        """The rows start..stop, in the library of the members."""
        return as_native(self.ranks[rows], members[0].scores)
