"""Ensembles of members that are read block by block: the functions that an engine maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Combiner
from ensemble.members import Members
from postproc.jobs.cuda import OnDevice
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_cuts, sub_blocks
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Picked, Source, as_source, signature_of

#: More members than this do not make blocks smaller: products of few rows are slow.
MEMBERS_A_BLOCK = 8


def streamed(members: Members, device: str = "cpu") -> Members:
    """Members whose scores are read to a device from their files, not from memory maps."""

    def source(scores: Any) -> Any:
        if isinstance(scores, Picked):
            return replace(scores, source=source(scores.source))
        return as_source(scores) if device == "cpu" else OnDevice(as_source(scores), device)

    return Members(tuple(replace(member, scores=source(member.scores)) for member in members))


def member_cuts(members: Members, sizes: Sizes = DEFAULT_SIZES) -> tuple[slice, ...]:
    """Blocks of rows of several members at once."""
    width = members.n_classes * min(len(members), MEMBERS_A_BLOCK)
    return row_cuts(members.n_rows, width, sizes)


@dataclass(frozen=True)
class CombineRows:
    """Combines rows; with labels, also counts the rows that each member alone classifies right."""

    combiner: Combiner
    #: Passed by `check_members` of the ensemble.
    members: Members
    #: True classes, an array or source of shape (n, 1), or labels (n, m) of multi-label members.
    labels: Any = None
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """Probabilities of the rows start..stop, shape (rows, C), and counts."""
        dtype = np.float32 if self.members.narrow else np.float64
        combined = np.empty((rows.stop - rows.start, self.members.n_classes), dtype)
        right = np.zeros(len(self.members), np.int64)
        for part in sub_blocks(rows, self.members.n_classes, self.sizes.cached):
            inside = slice(part.start - rows.start, part.stop - rows.start)
            combined[inside] = as_numpy(self.combiner.combine(self.members, part))
            if self.labels is not None:
                truth = self.labels[part]
                right += [_n_right(member, truth, part) for member in self.members]
        return combined, {} if self.labels is None else {"right": right.tolist()}


def _n_right(member: Predictions, truth: NDArray[Any], rows: slice) -> int:
    """Rows that a member classifies right, or labels, of true classes (k, 1) or labels (k, m)."""
    if member.multilabel:
        return int(((as_numpy(member.probabilities(rows)) >= 0.5) == truth).sum())
    return int((as_numpy(member.winners(rows)) == truth.reshape(-1)).sum())


@dataclass(frozen=True)
class MemberSource(Source):
    """Probabilities of a member."""

    member: Predictions

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]  # follows the member
        """Rows and columns."""
        return self.member.n_rows, self.member.n_classes

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """That of the probabilities."""
        return np.dtype(self.read(slice(0, 0)).dtype)

    def read(self, rows: slice) -> NDArray[Any]:
        """Probabilities of the rows start..stop."""
        return as_numpy(self.member.probabilities(rows))

    def signature(self) -> dict[str, Any]:
        """That of the member's scores."""
        return signature_of(self.member.scores)
