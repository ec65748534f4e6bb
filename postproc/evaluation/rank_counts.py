"""Rank metrics of scores too many to hold: rows counted by cells of the scores of each class.

One pass finds the scores of each class's own rows, a second counts all rows between them, a third
evaluates influences. Beyond `EXACT` scores, cells of a fixed grid take the place of the first pass,
and rows of one cell count as tied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.moments import Units
from postproc.evaluation.ranking import Cells, Ranked, cells_of, ranked_columns, thresholds_of
from postproc.evaluation.tallies import weighted_counts
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, row_blocks, sub_blocks
from postproc.scores.kinds import Kind, probabilities

Floats = NDArray[np.float64]

#: Scores (rows times ranked columns) up to which values are exact.
EXACT = 5 * 10**7

#: Bits of a float32 that a cell of the grid does not tell apart: 256 cells for each power of two.
DROPPED_BITS = 15
GRID_CELLS = (0x3F800000 >> DROPPED_BITS) + 1


@dataclass(frozen=True)
class Grid:
    """Cells of all probabilities that agree in their leading bits."""

    def sizes(self, columns: range) -> list[int]:
        """Number of cells of each column."""
        return [GRID_CELLS] * len(columns)

    def __call__(self, place: int, scores: NDArray[Any]) -> NDArray[Any]:
        """Cell of each score of a column."""
        wide: NDArray[np.int32] = scores.astype(np.float32, copy=False).view(np.int32)
        return wide >> DROPPED_BITS


@dataclass(frozen=True)
class Between:
    """Cells at and between the scores of a column's own rows: they leave every ranking as it is."""

    thresholds: tuple[NDArray[Any], ...]

    def sizes(self, columns: range) -> list[int]:
        """Number of cells of each column."""
        return [2 * len(each) + 1 for each in self.thresholds]

    def __call__(self, place: int, scores: NDArray[Any]) -> NDArray[Any]:
        """Cell of each score of a column."""
        return cells_of(scores, self.thresholds[place])


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

    def blocks(self, rows: slice) -> Iterator[tuple[slice, NDArray[Any], NDArray[np.int64]]]:
        """Rows, their probabilities as contiguous columns (C', b), and their labels."""
        first, stop = self.columns.start, self.columns.stop
        for part in sub_blocks(rows, self.scores.shape[1], 4 * self.sizes.block):
            probs = as_numpy(probabilities(self.scores[part, :], self.kind))
            labels = self.labels[part].reshape(-1).astype(np.int64)
            yield part, np.ascontiguousarray(probs[:, first:stop].T), labels

    def own_scores(self, rows: slice) -> list[NDArray[Any]]:
        """Scores in each column of the rows with its label."""
        found: list[list[NDArray[Any]]] = [[] for _ in self.columns]
        for _, scores, labels in self.blocks(rows):
            for each, column, scores_of in zip(found, self.columns, scores, strict=True):
                each.append(scores_of[labels == column])
        return [np.concatenate(each) for each in found]


@dataclass(frozen=True)
class CountRows:
    """Counts some rows by their cells."""

    part: RankRows
    cell: Grid | Between
    units: Units

    def __call__(self, rows: slice) -> list[Cells]:
        """Cells of each column."""
        columns = self.part.columns
        counts = [Cells(np.zeros(n), np.zeros(n)) for n in self.cell.sizes(columns)]
        for part, scores, labels in self.part.blocks(rows):
            weights = self.units[part].weights
            for place, (column, total) in enumerate(zip(columns, counts, strict=True)):
                cell = self.cell(place, scores[place])
                own = np.flatnonzero(labels == column)
                mine = weighted_counts(
                    cell[own], None if weights is None else weights[own], len(total.positive)
                )
                total.positive[:] += mine
                total.negative[:] += weighted_counts(cell, weights, len(mine)) - mine
        return counts


@dataclass(frozen=True)
class Ranking:
    """The rank metrics of one model: their values, and the influences of rows by cell."""

    part: RankRows
    cell: Grid | Between
    cells: list[Cells]  # of each column
    ranked: tuple[dict[int, Ranked], ...]  # of each metric, by place of the column

    def value(self, k: int) -> float:
        """Mean of a metric over the columns; NaN if none can be ranked."""
        return float(np.mean([each.value for each in self.ranked[k].values()] or [np.nan]))

    def slack(self, k: int) -> float:
        """By how much the grid may change a metric at most; 0 if it is exact."""
        if isinstance(self.cell, Between):
            return 0.0
        return float(np.mean([each.slack for each in self.ranked[k].values()] or [0.0]))

    def influences(self, rows: slice) -> Floats:
        """Influence of each row on each metric, (k, b)."""
        found = np.zeros((len(self.ranked), rows.stop - rows.start))
        for part, scores, labels in self.part.blocks(rows):
            here = slice(part.start - rows.start, part.stop - rows.start)
            for place, column in enumerate(self.part.columns):
                cell = self.cell(place, scores[place])
                own = np.flatnonzero(labels == column)
                for line, ranked in zip(found[:, here], self.ranked, strict=True):
                    if place in ranked:
                        each = ranked[place]
                        line += each.of_negative[cell]
                        line[own] += (each.of_positive - each.of_negative)[cell[own]]
        return found / [[max(1, len(ranked))] for ranked in self.ranked]


def rank(
    part: RankRows,
    functions: Sequence[Callable[[Cells], Ranked]],
    units: Units,
    run: MapBlocks,
    *,
    exact: int = EXACT,
) -> Ranking:
    """Count all rows of a model and evaluate rank metrics of every column with both sides."""
    cuts = part.cuts()
    n_scores = part.scores.shape[0] * len(part.columns)
    cell: Grid | Between = Grid()
    if n_scores <= exact:
        parts = list(run(part.own_scores, cuts, "ranking"))
        own = [np.concatenate(each) for each in zip(*parts, strict=True)]
        cell = Between(tuple(map(thresholds_of, own)))
    cells: list[Cells] | None = None
    for found in run(CountRows(part, cell, units), cuts, "ranking"):
        if cells is None:
            cells = found
        else:
            for total, some in zip(cells, found, strict=True):
                total.positive[:] += some.positive
                total.negative[:] += some.negative
    assert cells is not None  # there is at least one row
    able = [
        place for place, each in enumerate(cells) if each.positive.any() and each.negative.any()
    ]
    ranked = tuple({place: function(cells[place]) for place in able} for function in functions)
    return Ranking(part, cell, cells, ranked)
