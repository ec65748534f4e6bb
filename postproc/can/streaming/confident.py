"""The confident rows of predictions that stay in their file, found once and read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.can.model import is_ambiguous
from postproc.can.options import CANOptions
from postproc.scores.blocks import row_blocks, sub_blocks

if TYPE_CHECKING:
    from postproc.can.streaming.rows import ProbabilityRows

#: Bytes, in float64, of the rows that one task of a walk goes through, and of those that are in
#: memory at once.
TASK_BYTES, BLOCK_BYTES = 2**26, 2**23


@dataclass(frozen=True)
class Marks:
    """Which rows of a range are confident, and what they sum to.

    Attributes
    ----------
    bits : array of uint8
        A bit for each row: confident, and with mass in the classes of the prior.
    n_confident, n_counted : int
        Confident rows, and those among them of which the bit is set.
    mass : array of shape (C_all,)
        Sum of the confident rows.
    """

    bits: NDArray[np.uint8]
    n_confident: int
    n_counted: int
    mass: NDArray[np.float64]


@dataclass(frozen=True)
class MarkConfident:
    """Marks the confident rows of a range."""

    rows: ProbabilityRows
    options: CANOptions
    kept: NDArray[np.bool_]

    def __call__(self, rows: slice) -> Marks:
        """Marks of the rows start..stop."""
        counted, n_confident, mass = [], 0, np.zeros(len(self.kept))
        for part in sub_blocks(rows, self.rows.predictions.n_classes, BLOCK_BYTES):
            probs = self.rows(part)
            confident = ~is_ambiguous(probs, self.options)
            n_confident += int(confident.sum())
            mass += probs[confident].sum(axis=0, dtype=np.float64)
            counted.append(confident & (probs @ self.kept.astype(probs.dtype) > 0))
        mask = np.concatenate(counted)
        return Marks(np.packbits(mask), n_confident, int(mask.sum()), mass)


@dataclass(frozen=True)
class ConfidentRows:
    """The confident rows of predictions, which stay in their file.

    Attributes
    ----------
    rows : ProbabilityRows
        The predictions.
    cuts : list of slice
        Ranges of rows of the file, each for a task.
    bits : list of arrays of uint8
        `Marks.bits` of each of them.
    kept : array of bool, shape (C_all,)
        Classes of positive prior; the rows here have these only.
    n_rows : int
        How many they are.
    smoothing : float
        Weight of the one-hot row of each class that comes after all others.
    """

    rows: ProbabilityRows
    cuts: list[slice]
    bits: list[NDArray[np.uint8]]
    kept: NDArray[np.bool_]
    n_rows: int
    smoothing: float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, the one-hot ones included, and of classes."""
        n_classes = int(self.kept.sum())
        return self.n_rows + (n_classes if self.smoothing > 0 else 0), n_classes

    @property
    def total_weight(self) -> float:
        """Number of rows, each as often as it counts."""
        return self.n_rows + self.smoothing * self.shape[1]

    @property
    def least_weight(self) -> float:
        """The least weight of a row."""
        return min(1.0, self.smoothing or 1.0)

    def blocks(self, rows: slice | None = None) -> Iterator[tuple[NDArray[Any], float]]:
        """The confident rows among start..stop, or all, in blocks; how often each row counts."""
        if rows is None:
            for cut in self.cuts:
                yield from self.blocks(cut)
            return
        mask = np.unpackbits(self.bits[rows.start // self.cuts[0].stop]).astype(np.bool_)
        taken = 0
        for part in sub_blocks(rows, self.rows.predictions.n_classes, BLOCK_BYTES):
            probs = self.rows(part)
            confident = probs[mask[taken : taken + len(probs)]]
            taken += len(probs)
            if len(confident):
                yield confident if self.kept.all() else confident[:, self.kept], 1.0
        if self.smoothing > 0 and rows.stop == self.cuts[-1].stop:
            yield np.eye(self.shape[1], dtype=probs.dtype), self.smoothing


def task_cuts(rows: ProbabilityRows) -> list[slice]:
    """Ranges of rows that tasks of a walk go through, the same on every engine."""
    predictions = rows.predictions
    return list(row_blocks(predictions.n_rows, predictions.n_classes, block_bytes=TASK_BYTES))
