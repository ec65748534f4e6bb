"""Rank metrics of a model: exact of scores that fit in memory, else counted in a grid.

Up to `EXACT` scores are held and sorted. Beyond, rows are counted by cells of a fixed grid of the
scores of each class, and rows of one cell count as tied; a second pass evaluates influences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.curves import Curves, curves_of
from postproc.evaluation.moments import Units
from postproc.evaluation.ranking import Cells, Ranked, cells_of, ranked_columns
from postproc.evaluation.tallies import weighted_counts
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, row_blocks, sub_blocks
from postproc.scores.kinds import Kind, probabilities

Floats = NDArray[np.float64]

#: Scores (rows times ranked columns) up to which values are exact.
EXACT = 10**7

#: Bits of a float32 that a cell of the grid does not tell apart: 256 cells for each power of two.
DROPPED_BITS = 15
GRID_CELLS = (0x3F800000 >> DROPPED_BITS) + 1


@dataclass(frozen=True)
class RankRows:
    """Probabilities of ranked columns, from checked scores (n, C), and the labels."""

    scores: Any
    labels: Any  # array of shape (n,), or source of shape (n, 1)
    kind: Kind
    sizes: Sizes = DEFAULT_SIZES

    @property
    def columns(self) -> range:
        """The ranked columns."""
        return ranked_columns(self.scores.shape[1])

    def cuts(self) -> tuple[slice, ...]:
        """Few slices of rows, as each has counts of its own."""
        return tuple(row_blocks(*self.scores.shape, block_bytes=32 * self.sizes.block))

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Probabilities of some rows as contiguous columns (C', b), and their labels (b,)."""
        probs = as_numpy(probabilities(self.scores[rows, :], self.kind))
        labels = self.labels[rows].reshape(-1).astype(np.int64)
        columns = self.columns
        return np.ascontiguousarray(probs[:, columns.start : columns.stop].T), labels

    def blocks(self, rows: slice) -> Iterator[tuple[slice, NDArray[Any], NDArray[np.int64]]]:
        """Slices of some rows, with what a call returns of each."""
        for part in sub_blocks(rows, self.scores.shape[1], 4 * self.sizes.block):
            yield part, *self(part)


@dataclass(frozen=True)
class Ranking:
    """The rank metrics of one model, and how much the grid may change each."""

    values: tuple[float, ...]
    slacks: tuple[float, ...]
    influences: Callable[[slice], Floats]  # of rows on each metric, (k, b)
    curves: Curves | None = None  # of two classes


@dataclass(frozen=True)
class HeldInfluences:
    """Influences of all rows, (k, n)."""

    values: Floats

    def __call__(self, rows: slice) -> Floats:
        """Those of some rows."""
        return self.values[:, rows]


@dataclass(frozen=True)
class GridInfluences:
    """Influences of rows by the cells of their scores."""

    part: RankRows
    ranked: tuple[dict[int, Ranked], ...]  # of each metric, by place of the column

    def __call__(self, rows: slice) -> Floats:
        """Those of some rows, (k, b)."""
        found = np.zeros((len(self.ranked), rows.stop - rows.start))
        for part, scores, labels in self.part.blocks(rows):
            here = slice(part.start - rows.start, part.stop - rows.start)
            for place, column in enumerate(self.part.columns):
                cell = grid_cells(scores[place])
                own = np.flatnonzero(labels == column)
                for line, ranked in zip(found[:, here], self.ranked, strict=True):
                    if place in ranked:
                        each = ranked[place]
                        line += each.of_negative[cell]
                        line[own] += (each.of_positive - each.of_negative)[cell[own]]
        return found / [[max(1, len(ranked))] for ranked in self.ranked]


@dataclass(frozen=True)
class CountRows:
    """Counts some rows by the cells of their scores."""

    part: RankRows
    units: Units

    def __call__(self, rows: slice) -> list[Cells]:
        """Cells of each column."""
        counts = [Cells(*np.zeros((2, GRID_CELLS))) for _ in self.part.columns]
        for part, scores, labels in self.part.blocks(rows):
            weights = self.units[part].weights
            for line, column, total in zip(scores, self.part.columns, counts, strict=True):
                cell = grid_cells(line)
                own = np.flatnonzero(labels == column)
                mine = weighted_counts(
                    cell[own], None if weights is None else weights[own], GRID_CELLS
                )
                total.positive[:] += mine
                total.negative[:] += weighted_counts(cell, weights, GRID_CELLS) - mine
        return counts


def grid_cells(scores: NDArray[Any]) -> NDArray[np.int32]:
    """Cell of each probability: those that agree in their leading bits share one."""
    bits: NDArray[np.int32] = scores.astype(np.float32, copy=False).view(np.int32)
    return bits >> DROPPED_BITS


def rank(
    part: RankRows,
    functions: Sequence[Callable[[Cells], Ranked]],
    units: Units,
    map_blocks: MapBlocks,
    *,
    exact: int = EXACT,
) -> Ranking:
    """Rank metrics of all columns with rows on both sides, and the curves of two classes."""
    if part.scores.shape[0] * len(part.columns) <= exact:
        return _rank_held(part, functions, units, map_blocks)
    totals: list[Cells] = []
    for found in map_blocks(CountRows(part, units), part.cuts(), "ranking"):
        for total, some in zip(totals, found, strict=bool(totals)):
            total.positive[:] += some.positive
            total.negative[:] += some.negative
        totals = totals or found
    able = [place for place, cells in enumerate(totals) if _has_both(cells)]
    ranked = tuple({place: function(totals[place]) for place in able} for function in functions)
    return Ranking(
        tuple(_mean([each.value for each in of.values()]) for of in ranked),
        tuple(_mean([each.slack for each in of.values()]) for of in ranked),
        GridInfluences(part, ranked),
        curves_of(totals[0]) if len(totals) == len(able) == 1 else None,
    )


def _rank_held(
    part: RankRows,
    functions: Sequence[Callable[[Cells], Ranked]],
    units: Units,
    map_blocks: MapBlocks,
) -> Ranking:
    cuts = part.cuts()
    blocks = list(map_blocks(part, cuts, "ranking"))
    scores, labels = (np.concatenate(each, axis=-1) for each in zip(*blocks, strict=True))
    del blocks
    weights = units.weights_of(len(labels))
    influences = np.zeros((len(functions), len(labels)))
    values: list[list[float]] = [[] for _ in functions]
    curves = None
    for column, line in zip(part.columns, scores, strict=True):
        positive = labels == column
        cells, cell = cells_of(line, positive, weights)
        if not _has_both(cells):
            continue
        for function, total, found in zip(functions, influences, values, strict=True):
            each = function(cells)
            found.append(each.value)
            total += np.where(positive, each.of_positive[cell], each.of_negative[cell])
        curves = curves_of(cells) if len(part.columns) == 1 else None
    held = HeldInfluences(influences / max(1, len(values[0]) if values else 0))
    return Ranking(tuple(map(_mean, values)), (0.0,) * len(functions), held, curves)


def _has_both(cells: Cells) -> bool:
    return bool(cells.positive.any() and cells.negative.any())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
