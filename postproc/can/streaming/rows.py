"""Probabilities that CAN reads block by block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from postproc.jobs.cuda import to_device
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, sub_blocks
from postproc.scores.kinds import probabilities, two_class_rows
from postproc.scores.predictions import Predictions


@dataclass(frozen=True)
class ProbabilityRows:
    """Rows of predictions as probabilities, on the device that computes with them."""

    predictions: Predictions
    multilabel: bool = False  # two-class rows, one for each label of a row
    device: str = "cpu"  # for NumPy arrays, else that of torch tensors
    sizes: Sizes = DEFAULT_SIZES

    def __call__(self, rows: slice) -> Array:
        """Array of shape (rows, C), or (rows·m, 2)."""
        scores, kind = self.predictions.scores[rows], self.predictions.kind
        probs = two_class_rows(scores, kind) if self.multilabel else probabilities(scores, kind)
        return to_device(as_numpy(probs), self.device)

    @property
    def per_row(self) -> int:
        """Rows that one of the file gives: one for each label, or itself."""
        return self.predictions.n_classes if self.multilabel else 1

    def cuts(self, block_bytes: int | None = None) -> tuple[slice, ...]:
        """Blocks that cover all rows of the file, of `sizes.block` or of `block_bytes`."""
        size = self.sizes.block if block_bytes is None else block_bytes
        return self.predictions.cuts(replace(self.sizes, block=size))

    def parts(self, rows: slice) -> Iterable[slice]:
        """Rows to be computed at once within a block: few for the cache, all on other devices."""
        if self.device != "cpu":
            return [rows]
        return sub_blocks(rows, self.predictions.n_classes, self.sizes.cached)

    def blocks(self, rows: slice) -> Iterable[slice]:
        """Rows of a larger range that are in memory at once."""
        return sub_blocks(rows, self.predictions.n_classes, self.sizes.block)

    def pick(self, rows: slice, where: NDArray[np.int64]) -> Array:
        """Those of the rows start..stop that have one of the positions `where`, which ascend."""
        start, stop = rows.start * self.per_row, rows.stop * self.per_row
        first, last = np.searchsorted(where, (start, stop))
        read = self(rows if last > first else slice(rows.start, rows.start))
        return read[where[first:last] - start, :]
