"""Rank metrics of a model: exact of scores that fit in memory, else counted in a grid.

Up to `EXACT` scores are held and sorted. Beyond, rows are counted by cells of a fixed grid of the
scores of each class, and rows of one cell count as tied; a second pass evaluates influences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.curves import Curves, curves_of
from postproc.evaluation.moments import Units
from postproc.evaluation.ranking import Cells, Ranked, cells_of, ranked_columns
from postproc.evaluation.tallies import weighted_counts
from postproc.scores.arrays import as_floating, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, row_blocks, sub_blocks
from postproc.scores.kinds import Kind, ordering

Floats = NDArray[np.float64]

#: Scores (rows times ranked columns) up to which values are exact.
EXACT = 10**7

#: Rows of which logsumexp is kept for the second pass.
KEPT_ROWS = 10**7

#: Cells of the grid: 256 for each power of two from 2^-32 to 1, and one for all that is less: of
#: probabilities as float32 has its bits, of logits in even steps of log-probability. Log-odds of
#: two classes, from -FAR to FAR, have as many, the finer the nearer to 0.
DROPPED_BITS = 15
STEPS = 256
LOWEST, ONE = (int(np.float32(p).view(np.int32)) for p in (2.0**-32, 1.0))
GRID_CELLS = ((ONE - LOWEST) >> DROPPED_BITS) + 1

FAR = 1e6

#: Rows of a column that are counted or looked up at once: several for each cell.
ROWS = 4 * GRID_CELLS


class Located(NamedTuple):
    """Cells of rows as contiguous columns, which class each row is of, and logsumexp of logits."""

    cells: NDArray[np.int16]  # (C', b), narrow so that they are moved fast
    labels: NDArray[np.int64]  # (b,)
    norms: NDArray[Any] | None  # (b,)


@dataclass(frozen=True)
class RankRows:
    """What ranked columns are ordered by, from checked scores (n, C), and the labels."""

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

    @property
    def has_odds(self) -> bool:
        """Whether rows are ordered by log-odds."""
        return self.kind == "logits" and self.scores.shape[1] == 2

    def cuts(self) -> tuple[slice, ...]:
        """Few slices of rows, as each has counts of its own."""
        return tuple(row_blocks(*self.scores.shape, block_bytes=32 * self.sizes.block))

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """What orders some rows as contiguous columns (C', b), and their labels (b,)."""
        columns = slice(self.columns.start, self.columns.stop)
        scores: NDArray[Any] | None = None
        for part in sub_blocks(rows, self.scores.shape[1], self.sizes.cached):
            found = as_numpy(ordering(self.scores[part, :], self.kind))[:, columns]
            if scores is None:
                scores = np.empty((found.shape[1], rows.stop - rows.start), found.dtype)
            scores[:, part.start - rows.start : part.stop - rows.start] = found.T
        assert scores is not None  # blocks have rows
        return scores, self.labels[rows].reshape(-1).astype(np.int64)

    def cells(self, rows: slice, norms: NDArray[Any] | None = None) -> Located:
        """Cells of some rows; `norms` (b,) are those that an earlier call has found."""
        columns = slice(self.columns.start, self.columns.stop)
        found = np.empty((len(self.columns), rows.stop - rows.start), np.int16)
        sums = norms
        for part in sub_blocks(rows, self.scores.shape[1], self.sizes.cached):
            here = slice(part.start - rows.start, part.stop - rows.start)
            if self.kind != "logits" or self.has_odds:
                scores = as_numpy(ordering(self.scores[part, :], self.kind))[:, columns]
                found[:, here] = self.in_grid(scores).T
                continue
            z = as_numpy(as_floating(self.scores[part, :]))
            if sums is None:
                sums = np.empty(rows.stop - rows.start, z.dtype)
            if norms is None:
                top = z.max(axis=1)
                mass = z - top[:, None]
                sums[here] = top + np.log(np.exp(mass, out=mass).sum(axis=1))
            found[:, here] = log_cells(z[:, columns], sums[here, None]).astype(np.int16).T
        return Located(found, self.labels[rows].reshape(-1).astype(np.int64), sums)

    def in_grid(self, scores: NDArray[Any]) -> NDArray[np.int16]:
        """Cells of what orders rows, log-odds or probabilities."""
        cells = odds_cells(scores) if self.has_odds else grid_cells(scores)
        return cells.astype(np.int16)

    def own_cells(self, found: Located) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows with the label of a ranked column, and their cells among those of all columns."""
        places = found.labels - self.columns.start
        rows = np.flatnonzero((places >= 0) & (places < len(self.columns)))
        own = places[rows]
        return rows, own * GRID_CELLS + found.cells[own, rows]

    def blocks(self, rows: slice) -> Iterator[slice]:
        """Slices of some rows that are located at once."""
        for start in range(rows.start, rows.stop, ROWS):
            yield slice(start, min(start + ROWS, rows.stop))


@dataclass(frozen=True)
class ConfidenceRows(RankRows):
    """Confidence in the decided classes as the only column; wrong rows are the positive ones."""

    needs_both: ClassVar = False

    @property
    def columns(self) -> range:
        """The confidence; its label is 0."""
        return range(1)

    def __call__(self, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """What orders rows by confidence (1, b), and 0 for wrong rows, 1 for right ones, (b,)."""
        found = []
        for part in sub_blocks(rows, self.scores.shape[1], self.sizes.cached):
            scores = self.scores[part, :]
            highest = as_numpy(ordering(scores, self.kind)).max(axis=1)
            right = as_numpy(scores).argmax(axis=1) == self.labels[part].reshape(-1)
            found.append((highest[None], right.astype(np.int64)))
        scores, right = (np.concatenate(each, axis=-1) for each in zip(*found, strict=True))
        return scores, right

    def cells(self, rows: slice, norms: NDArray[Any] | None = None) -> Located:
        """Cells of the confidences of some rows."""
        scores, right = self(rows)
        return Located(self.in_grid(scores), right, None)


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
    norms: NDArray[Any] | None = None  # (n,), logsumexp of logits where it is known

    @classmethod
    def of(
        cls,
        part: RankRows,
        ranked: Sequence[Mapping[int, Ranked]],
        norms: NDArray[Any] | None,
    ) -> GridInfluences:
        """From what is known of the columns, by their place; those left out have no influence."""
        shape = (len(ranked), 2, len(part.columns), GRID_CELLS)
        tables = np.zeros(shape, np.float32)
        for table, of in zip(tables, ranked, strict=True):
            for place, each in of.items():
                table[0, place] = each.of_negative / len(of)
                table[1, place] = (each.of_positive - each.of_negative) / len(of)
        return cls(part, tuple((table[0], table[1]) for table in tables), norms)

    def __call__(self, rows: slice) -> Floats:
        """Those of some rows, (k, b)."""
        found = np.zeros((len(self.tables), rows.stop - rows.start), np.float32)
        for part in self.part.blocks(rows):
            here = slice(part.start - rows.start, part.stop - rows.start)
            looked_up = np.empty(part.stop - part.start, np.float32)
            located = self.part.cells(part, None if self.norms is None else self.norms[part])
            rows_of, own = self.part.own_cells(located)
            for line, (of_negative, more) in zip(found[:, here], self.tables, strict=True):
                line[rows_of] += np.take(more, own)
                for of_column, cell in zip(of_negative, located.cells, strict=True):
                    line += np.take(of_column, cell, out=looked_up, mode="clip")
        return found.astype(np.float64)


@dataclass(frozen=True)
class CountRows:
    """Counts some rows by the cells of their scores."""

    part: RankRows
    units: Units

    norms: NDArray[Any] | None = None  # (n,), logsumexp of logits where it is known

    def __call__(self, rows: slice) -> tuple[list[Cells], list[NDArray[Any]]]:
        """Cells of each column, and logsumexp of logits, part by part."""
        norms, own = [], []
        counts = np.zeros((len(self.part.columns), GRID_CELLS))
        for part in self.part.blocks(rows):
            weights = self.units[part].weights
            known = None if self.norms is None else self.norms[part]
            located = self.part.cells(part, known)
            norms += [] if located.norms is None else [located.norms]
            for cell, total in zip(located.cells, counts, strict=True):
                total += np.bincount(cell, weights, minlength=GRID_CELLS)
            rows_of, cells = self.part.own_cells(located)
            own.append((cells, None if weights is None else weights[rows_of]))
        of = np.concatenate([cells for cells, _ in own])
        heavy = None if self.units.weights is None else np.concatenate([w for _, w in own])
        positive = weighted_counts(of, heavy, counts.size).reshape(counts.shape)
        return list(map(Cells, positive, counts - positive)), norms


def log_cells(z: NDArray[Any], norms: NDArray[Any]) -> NDArray[Any]:
    """Cell of each logit (b, C'), rows with these logsumexp (b, 1); as whole numbers once cast."""
    scale, last = np.float32(STEPS / np.log(2)), np.float32(GRID_CELLS - 1)
    found = z * scale
    found -= norms * scale - last
    return np.asarray(np.clip(found, 0, last, out=found))


def odds_cells(odds: NDArray[Any]) -> NDArray[Any]:
    """Cell of each log-odds; as whole numbers once cast."""
    half = np.float32((GRID_CELLS - 1) // 2)
    far = np.log1p(np.minimum(np.abs(odds.astype(np.float32, copy=False)), np.float32(FAR)))
    return np.asarray(half + np.copysign(far * (half / np.float32(np.log1p(FAR))), odds))


def grid_cells(scores: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Cell of each probability: those that agree in their leading bits share one."""
    bits = np.maximum(scores.astype(np.float32, copy=False).view(np.int32), LOWEST)
    bits -= LOWEST
    bits >>= DROPPED_BITS
    return bits


def in_a_grid(shape: tuple[int, int]) -> bool:
    """Whether the columns of scores (n, C) are counted in a grid, too many to be held."""
    return shape[0] * len(ranked_columns(shape[1])) > EXACT


def rank(
    part: RankRows,
    functions: Sequence[Callable[[Cells], Ranked]],
    units: Units,
    map_blocks: MapBlocks,
    *,
    norms: NDArray[Any] | None = None,
    exact: int = EXACT,
) -> Ranking:
    """Rank metrics of all columns with rows on both sides, and the curves of two classes.

    `norms` (n,) are logsumexp of logits, where an earlier pass has found them.
    """
    if part.scores.shape[0] * len(part.columns) <= exact:
        return _rank_held(part, functions, units, map_blocks)
    totals: list[Cells] = []
    sums_of: list[NDArray[Any]] = []
    keeps = norms is None and part.scores.shape[0] <= KEPT_ROWS
    for found, sums in map_blocks(CountRows(part, units, norms), part.cuts(), "ranking"):
        sums_of += sums if keeps else []
        for total, some in zip(totals, found, strict=bool(totals)):
            total.positive[:] += some.positive
            total.negative[:] += some.negative
        totals = totals or found
    able = [place for place, cells in enumerate(totals) if _has_both(cells) or not part.needs_both]
    ranked = tuple({place: function(totals[place]) for place in able} for function in functions)
    return Ranking(
        tuple(_mean([each.value for each in of.values()]) for of in ranked),
        tuple(_mean([each.slack for each in of.values()]) for of in ranked),
        GridInfluences.of(part, ranked, np.concatenate(sums_of) if sums_of else norms),
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
