"""Passes over the rows of all models of a report, which keep only sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.changes import Switches
from postproc.evaluation.metrics import MeasureRows
from postproc.evaluation.moments import LabelTally, Moments, Units
from postproc.evaluation.rank_counts import Ranking
from postproc.evaluation.sums import MetricSums
from postproc.scores.blocks import MapBlocks, Sizes, row_cuts

#: Blocks shrink with more models than this, as each adds 8 bytes per row until they are summed.
MODELS_A_BLOCK = 4


class Block(NamedTuple):
    """What a model says of some rows; None where it was found before, or not asked for."""

    sums: MetricSums | None
    predicted: NDArray[np.int32] | None
    values: NDArray[np.float64]  # (k, b), of metrics that are means of them
    norms: tuple[NDArray[Any], ...] = ()  # logsumexp of logits in the order of the file


class Entry(NamedTuple):
    """A model to measure, and the position of each row in its file if that has another order."""

    part: Callable[[slice], Block]
    rows: NDArray[np.int64] | None = None


class Found(NamedTuple):
    """What is known of some rows of a model; None where it was found before, or not asked for."""

    sums: MetricSums | None
    switches: Switches | None = None
    labels: LabelTally | None = None
    own: Moments | None = None
    gained: Moments | None = None  # over the baseline
    norms: tuple[NDArray[Any], ...] = ()  # logsumexp of logits in the order of the file


@dataclass(frozen=True)
class MeasuredRows:
    """Sums, predicted classes and row values of a model."""

    part: MeasureRows

    def __call__(self, rows: slice) -> Block:
        """Those of a slice of rows."""
        found = self.part(rows)  # its buffer is freed for the next model
        return Block(found.sums(), found.predicted, found.values, tuple(found.norms))


@dataclass(frozen=True)
class RankedRows:
    """Influences of rows on the rank metrics of a model."""

    ranking: Ranking

    def __call__(self, rows: slice) -> Block:
        """Those of a slice of rows."""
        return Block(None, None, self.ranking.influences(rows))


@dataclass(frozen=True)
class HeldRows:
    """What a model says of all rows, in the order of the baseline's."""

    predicted: NDArray[np.int32] | None
    values: NDArray[np.float64]

    def __call__(self, rows: slice) -> Block:
        """A slice of it."""
        predicted = None if self.predicted is None else self.predicted[rows]
        return Block(None, predicted, self.values[:, rows])


def pass_over(
    entries: Sequence[Entry],
    labels: Any,
    shape: tuple[int, int],
    units: Units,
    map_blocks: MapBlocks,
    sizes: Sizes,
    *,
    tallies: bool = False,
) -> list[Found]:
    """Measure all models, the baseline first, and compare each with it.

    `labels`, shape (n,) or a source of shape (n, 1), are in the order of the baseline's rows.
    Models with rows in another order are measured first, in the order of their file, and their
    predicted classes are kept, 4 bytes per row, and their values, 8 bytes each. With `tallies`,
    labels and decided classes are counted for metrics of these.
    """
    n_rows, n_classes = shape
    models: list[Callable[[slice], Block]] = []
    totals: list[Found] = []
    for part, rows in entries:
        sums, norms = None, tuple[NDArray[Any], ...]()
        if rows is not None:
            sums, predicted, values, norms = _hold(part, shape, map_blocks, sizes)
            held = None if predicted is None else predicted[rows]
            part = HeldRows(held, values[:, rows])
        models.append(part)
        totals.append(Found(sums, norms=norms))
    width = n_classes * -(-len(models) // MODELS_A_BLOCK)
    compare = CompareRows(tuple(models), labels, units, n_classes, tallies)
    for found in map_blocks(compare, row_cuts(n_rows, width, sizes), "measuring"):
        totals = [_merged(total, some) for total, some in zip(totals, found, strict=True)]
    return totals


@dataclass(frozen=True)
class CompareRows:
    """Measures some rows of all models and compares them."""

    models: tuple[Callable[[slice], Block], ...]
    labels: Any  # (n,), or source of shape (n, 1)
    units: Units
    n_classes: int
    tallies: bool

    def __call__(self, rows: slice) -> list[Found]:
        """The sums of a slice of rows, model by model."""
        labels = self.labels[rows].reshape(-1).astype(np.int64)
        units = self.units[rows]
        found: list[Found] = []
        base: Block | None = None
        for model in self.models:
            block = model(rows)
            found.append(self._compare(block, base, labels, units))
            base = base or block
        return found

    def _compare(
        self, block: Block, base: Block | None, labels: NDArray[np.int64], units: Units
    ) -> Found:
        switches = tally = own = gained = None
        if block.predicted is not None:
            before = None if base is None else base.predicted
            if before is not None:
                switches = Switches(before, block.predicted, labels, self.n_classes)
            if self.tallies:
                tally = LabelTally(labels, block.predicted, before, units, self.n_classes)
        if len(block.values):
            own = Moments(block.values, units)
            gained = None if base is None else Moments(block.values - base.values, units)
        return Found(block.sums, switches, tally, own, gained, block.norms)


def _hold(
    part: Callable[[slice], Block], shape: tuple[int, int], map_blocks: MapBlocks, sizes: Sizes
) -> Block:
    """Sums of all rows of one model, and what it says of each in the order of its file."""
    cuts = row_cuts(*shape, sizes)
    total: MetricSums | None = None
    predicted: list[NDArray[np.int32]] = []
    values: list[NDArray[np.float64]] = []
    norms: list[NDArray[Any]] = []
    for block in map_blocks(part, cuts, "measuring"):
        total = _joined(total, block.sums)
        values.append(block.values)
        norms += block.norms
        if block.predicted is not None:
            predicted.append(block.predicted)
    held = np.concatenate(predicted) if predicted else None
    return Block(total, held, np.concatenate(values, axis=1), tuple(norms))


def _merged(total: Found, some: Found) -> Found:
    joined = Found(*map(_joined, total[:-1], some[:-1]))
    return joined._replace(norms=total.norms + some.norms)


def _joined(total: Any, some: Any) -> Any:
    """The two merged, or the one that is there."""
    if total is None or some is None:
        return some if total is None else total
    total.merge(some)
    return total
