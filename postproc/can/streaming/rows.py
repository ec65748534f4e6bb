"""Probabilities that CAN reads block by block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from postproc.jobs.cuda import to_device
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, sub_blocks
from postproc.scores.kinds import probabilities, two_class_rows
from postproc.scores.predictions import Predictions


@dataclass(frozen=True)
class ProbabilityRows:
    """Probabilities of some rows, where they are to be computed with.

    Attributes
    ----------
    predictions : Predictions
        The scores.
    multilabel : bool
        Give two-class rows, one for each label of a row.
    device : str
        "cpu" for NumPy arrays, else the device of torch tensors.
    sizes : Sizes
        How large the blocks are.
    """

    predictions: Predictions
    multilabel: bool = False
    device: str = "cpu"
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

    def cuts(self) -> tuple[slice, ...]:
        """The blocks of all rows of the file."""
        return self.predictions.cuts(self.sizes)

    def parts(self, rows: slice) -> Iterable[slice]:
        """Rows to be computed at once within a block: few for the cache, all on other devices."""
        if self.device != "cpu":
            return [rows]
        return sub_blocks(rows, self.predictions.n_classes, self.sizes.cached)
