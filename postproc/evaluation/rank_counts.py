"""Rank metrics of a model: exact of scores that fit in memory, else counted in a grid.

Up to `EXACT` scores are held and sorted. Beyond, rows are counted by cells of a fixed grid of the
scores of each class, and rows of one cell count as tied; a second pass evaluates influences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

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

#: Cells of the grid: 256 for each power of two from 2^-32 to 1, as float32 has its bits, and one
#: for all that is less.
DROPPED_BITS = 15
LOWEST, ONE = (int(np.float32(p).view(np.int32)) for p in (2.0**-32, 1.0))
GRID_CELLS = ((ONE - LOWEST) >> DROPPED_BITS) + 1

#: Rows of a column that are counted or looked up at once: several for each cell.
ROWS = 4 * GRID_CELLS


@dataclass(frozen=True)
class RankRows:
    """Probabilities of ranked columns, from checked scores (n, C), and the labels."""

    scores: Any
    labels: Any  # array of shape (n,), or source of shape (n, 1)
    kind: Kind
    sizes: Sizes = DEFAULT_SIZES

    #: Whether a column says nothing without rows on both sides.
    needs_both: ClassVar = True

    @property
    def columns(self) -> range:
        """The ranked columns."""
        return ranked_columns(self.scores.shape[1])

    def cuts(self) -> tuple[slice, ...]:
        """Few slices of rows, as each has counts of its own."""
        return tuple(row_blocks(*self.scores.shape, block_bytes=32 * self.sizes.block))

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Probabilities of some rows as contiguous columns (C', b), and their labels (b,)."""
        columns = slice(self.columns.start, self.columns.stop)
        scores: NDArray[Any] | None = None
        for part in sub_blocks(rows, self.scores.shape[1], self.sizes.cached):
            probs = as_numpy(probabilities(self.scores[part, :], self.kind))[:, columns]
            if scores is None:
                scores = np.empty((probs.shape[1], rows.stop - rows.start), probs.dtype)
            scores[:, part.start - rows.start : part.stop - rows.start] = probs.T
        assert scores is not None  # blocks have rows
        return scores, self.labels[rows].reshape(-1).astype(np.int64)

    def own_rows(self, labels: NDArray[np.int64]) -> list[NDArray[np.intp]]:
        """Rows with the label of each ranked column."""
        order = np.argsort(labels, kind="stable")
        first, stop = self.columns.start, self.columns.stop
        edges = np.searchsorted(labels[order], np.arange(first, stop + 1))
        return [order[a:b] for a, b in pairwise(edges.tolist())]

    def blocks(self, rows: slice) -> Iterator[tuple[slice, NDArray[Any], NDArray[np.int64]]]:
        """Slices of some rows, with what a call returns of each."""
        for start in range(rows.start, rows.stop, ROWS):
            part = slice(start, min(start + ROWS, rows.stop))
            yield part, *self(part)


@dataclass(frozen=True)
class ConfidenceRows(RankRows):
    """Confidence in the decided classes as the only column; wrong rows are the positive ones."""

    needs_both: ClassVar = False

    @property
    def columns(self) -> range:
        """The confidence; its label is 0."""
        return range(1)

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Confidences (1, b), and 0 for wrong rows, 1 for right ones, (b,)."""
        found = []
        for part in sub_blocks(rows, self.scores.shape[1], self.sizes.cached):
            scores = self.scores[part, :]
            probs = as_numpy(probabilities(scores, self.kind))
            right = as_numpy(scores).argmax(axis=1) == self.labels[part].reshape(-1)
            found.append((probs.max(axis=1)[None], right.astype(np.int64)))
        scores, right = (np.concatenate(each, axis=-1) for each in zip(*found, strict=True))
        return scores, right


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
    """Influences of rows by the cells of their scores; float32 tables stay in the cache."""

    part: RankRows
    #: Of each metric: influences of negative rows, and what positive ones have more, (C', cells).
    tables: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    @classmethod
    def of(cls, part: RankRows, ranked: Sequence[Mapping[int, Ranked]]) -> GridInfluences:
        """From what is known of the columns, by their place; those left out have no influence."""
        shape = (len(ranked), 2, len(part.columns), GRID_CELLS)
        tables = np.zeros(shape, np.float32)
        for table, of in zip(tables, ranked, strict=True):
            for place, each in of.items():
                table[0, place] = each.of_negative / len(of)
                table[1, place] = (each.of_positive - each.of_negative) / len(of)
        return cls(part, tuple((table[0], table[1]) for table in tables))

    def __call__(self, rows: slice) -> Floats:
        """Those of some rows, (k, b)."""
        found = np.zeros((len(self.tables), rows.stop - rows.start))
        for part, scores, labels in self.part.blocks(rows):
            here = slice(part.start - rows.start, part.stop - rows.start)
            looked_up = np.empty(part.stop - part.start, np.float32)
            for place, own in enumerate(self.part.own_rows(labels)):
                cell = grid_cells(scores[place])
                for line, (of_negative, more) in zip(found[:, here], self.tables, strict=True):
                    line += np.take(of_negative[place], cell, out=looked_up, mode="clip")
                    line[own] += more[place, cell[own]]
        return found


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
            for line, own, total in zip(scores, self.part.own_rows(labels), counts, strict=True):
                cell = grid_cells(line)
                mine = weighted_counts(
                    cell[own], None if weights is None else weights[own], GRID_CELLS
                )
                total.positive[:] += mine
                total.negative[:] += weighted_counts(cell, weights, GRID_CELLS) - mine
        return counts


def grid_cells(scores: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Cell of each probability: those that agree in their leading bits share one."""
    bits = np.maximum(scores.astype(np.float32, copy=False).view(np.int32), LOWEST)
    bits -= LOWEST
    bits >>= DROPPED_BITS
    return bits


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
    able = [place for place, cells in enumerate(totals) if _has_both(cells) or not part.needs_both]
    ranked = tuple({place: function(totals[place]) for place in able} for function in functions)
    return Ranking(
        tuple(_mean([each.value for each in of.values()]) for of in ranked),
        tuple(_mean([each.slack for each in of.values()]) for of in ranked),
        GridInfluences.of(part, ranked),
        curves_of(totals[0]) if len(totals) == len(able) == 1 and part.needs_both else None,
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
        if part.needs_both and not _has_both(cells):
            continue
        for function, total, found in zip(functions, influences, values, strict=True):
            each = function(cells)
            found.append(each.value)
            total += np.where(positive, each.of_positive[cell], each.of_negative[cell])
        curves = curves_of(cells) if part.needs_both and len(part.columns) == 1 else None
    held = HeldInfluences(influences / max(1, len(values[0]) if values else 0))
    return Ranking(tuple(map(_mean, values)), (0.0,) * len(functions), held, curves)


def _has_both(cells: Cells) -> bool:
    return bool(cells.positive.any() and cells.negative.any())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
