"""One pass over the rows of all models of a report, which keeps only sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.changes import Switches
from postproc.evaluation.metrics import MeasureRows
from postproc.evaluation.sums import MetricSums
from postproc.scores.blocks import MapBlocks, Sizes, row_cuts

#: Blocks shrink with more models than this, as each adds 8 bytes per row until they are summed.
MODELS_A_BLOCK = 4


class Entry(NamedTuple):
    """A model to measure, and the position of each row in its file if that has another order."""

    part: MeasureRows
    rows: NDArray[np.int64] | None = None


class Found(NamedTuple):
    """What is known of some rows of a model; no sums if they were computed before."""

    sums: MetricSums | None
    switches: Switches | None


def pass_over(
    entries: Sequence[Entry], labels: Any, map_blocks: MapBlocks, sizes: Sizes
) -> list[Found]:
    """Measure all models, the baseline first, and compare each with it.

    `labels`, shape (n,) or a source of shape (n, 1), are in the order of the baseline's rows.
    Models with rows in another order are measured first, in the order of their file, and their
    predicted classes are kept, 4 bytes per row.
    """
    n_rows, n_classes = entries[0].part.scores.shape
    models: list[MeasureRows | NDArray[np.int32]] = []
    totals: list[Found] = []
    for part, rows in entries:
        sums, predicted = (None, None) if rows is None else _hold(part, map_blocks, sizes)
        models.append(part if predicted is None else predicted[rows])
        totals.append(Found(sums, None))
    width = n_classes * -(-len(models) // MODELS_A_BLOCK)
    for found in map_blocks(
        CompareRows(tuple(models), labels, n_classes), row_cuts(n_rows, width, sizes), "measuring"
    ):
        totals = [_merged(total, some) for total, some in zip(totals, found, strict=True)]
    return totals


@dataclass(frozen=True)
class CompareRows:
    """Measures some rows of all models, or of their predicted classes, and compares them."""

    models: tuple[MeasureRows | NDArray[np.int32], ...]
    labels: Any  # (n,), or source of shape (n, 1)
    n_classes: int

    def __call__(self, rows: slice) -> list[Found]:
        """The sums of a slice of rows, model by model."""
        labels = self.labels[rows].reshape(-1).astype(np.int64)
        found: list[Found] = []
        base = None
        for model in self.models:
            sums: MetricSums | None = None
            if isinstance(model, MeasureRows):
                sums, predicted = _SumRows(model)(rows)
            else:
                predicted = model[rows]
            if base is None:
                base = predicted
                found.append(Found(sums, None))
            else:
                found.append(Found(sums, Switches(base, predicted, labels, self.n_classes)))
        return found


@dataclass(frozen=True)
class _SumRows:
    """Sums of some rows, and the predicted classes."""

    part: MeasureRows

    def __call__(self, rows: slice) -> tuple[MetricSums, NDArray[np.int32]]:
        found = self.part(rows)  # its buffer is freed for the next model
        return found.sums(), found.predicted


def _hold(
    part: MeasureRows, map_blocks: MapBlocks, sizes: Sizes
) -> tuple[MetricSums, NDArray[np.int32]]:
    """Sums of all rows of one model, and its predicted classes in the order of its file."""
    n_rows, n_classes = part.scores.shape
    cuts = row_cuts(n_rows, n_classes, sizes)
    total: MetricSums | None = None
    held = np.empty(n_rows, np.int32)
    for rows, (sums, predicted) in zip(
        cuts, map_blocks(_SumRows(part), cuts, "measuring"), strict=True
    ):
        held[rows] = predicted
        total = _joined(total, sums)
    assert total is not None  # there is at least one row
    return total, held


def _merged(total: Found, some: Found) -> Found:
    return Found(_joined(total.sums, some.sums), _joined(total.switches, some.switches))


def _joined(total: Any, some: Any) -> Any:
    """The two merged, or the one that is there."""
    if total is None or some is None:
        return some if total is None else total
    total.merge(some)
    return total
