"""CAN on predictions that are read block by block: the adjusted rows, and what adjusting did.

Where the reference stays in its file, each product with it is a pass through that file, and costs
little only if many rows share it. So the rows that need the reference itself are found first. If
they are few in the whole target, they are computed before all others; if they are many, those of a
large block share their passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import Condensed
from postproc.can.model import CANModel, is_ambiguous
from postproc.can.reference import Reference
from postproc.can.streaming.reference import RowsInFile
from postproc.can.streaming.rows import ProbabilityRows
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import MapBlocks, row_blocks


@dataclass(frozen=True)
class ExactRows:
    """Rows that were computed with the reference itself."""

    where: NDArray[np.int64]  # (k,): their positions in the target, ascending
    values: NDArray[Any]  # (k, C): the adjusted rows

    def within(self, start: int, stop: int) -> slice:
        """Which of them have positions start..stop."""
        first, last = np.searchsorted(self.where, (start, stop))
        return slice(int(first), int(last))


def _find_exact(rows: ProbabilityRows, model: CANModel, cut: slice) -> NDArray[np.int64]:
    """Positions of the rows of a cut that need the reference itself."""
    probs = rows(cut)
    exact = as_numpy(is_ambiguous(probs, model.options)).copy()
    if isinstance(model.reference, Condensed) and exact.any():
        exact[exact] = model.reference.undecided(probs[exact])
    where: NDArray[np.int64] = np.flatnonzero(exact) + cut.start * rows.per_row
    return where


def _pick(rows: ProbabilityRows, where: NDArray[np.int64], cut: slice) -> NDArray[Any]:
    """The rows of a cut at some positions, (k, C)."""
    return np.asarray(rows.pick(cut, where))


def _adjust_exactly(reference: Reference, rows: NDArray[Any], some: slice) -> NDArray[Any]:
    """Some of the rows (k, C), adjusted with the reference itself."""
    return np.asarray(reference.adjust(rows[some]))


@dataclass(frozen=True)
class AdjustRows:
    """Adjusts the ambiguous rows of a block and counts what that did."""

    rows: ProbabilityRows
    model: CANModel
    labels: Any = None  # array or source (n, 1), or (n·m, 1) of two-class rows: true classes
    exact: ExactRows | None = None  # all rows that need a reference in its file, if computed

    def cuts(self) -> Sequence[slice]:
        """The blocks of the target: large where the rows of one share passes."""
        if self._shares_passes:
            sizes = self.rows.sizes
            return self.rows.cuts(max(sizes.exact_shared, sizes.block))
        return self.rows.cuts()

    @property
    def _in_file(self) -> bool:
        return isinstance(self.model.reference.exact.rows, RowsInFile)

    @property
    def _shares_passes(self) -> bool:
        return self._in_file and self.exact is None

    def prepared(self, map_blocks: MapBlocks) -> AdjustRows:
        """Compute the rows that need a reference in its file, unless they are too many to hold."""
        if not self._in_file:
            return self
        cuts, sizes = self.rows.cuts(), self.rows.sizes
        found = [np.empty(0, np.int64)]
        left = sizes.exact_together // (8 * len(self.model.prior))
        find = partial(_find_exact, self.rows, self.model)
        for where in map_blocks(find, cuts, "finding rows to compute exactly"):
            found.append(where)
            left -= len(where)
            if left < 0:
                return self
        where = np.concatenate(found)
        values = self.rows(slice(0, 0))
        if len(where):
            picks = list(map_blocks(partial(_pick, self.rows, where), cuts, "reading them"))
            exactly = partial(_adjust_exactly, self.model.reference.exact, np.concatenate(picks))
            tasks = list(row_blocks(len(where), 1, block_bytes=8 * sizes.rows_a_task))
            values = np.concatenate(list(map_blocks(exactly, tasks, "computing rows exactly")))
        return replace(self, exact=ExactRows(where, values))

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The rows start..stop after adjustment, (rows, C), and counts."""
        predictions = self.rows.predictions
        block = np.empty((rows.stop - rows.start, predictions.n_classes), predictions.output_dtype)
        total: dict[str, Any] = {}
        exact = self._compute_exactly(rows) if self._shares_passes else self.exact
        for part in self._parts(rows):
            adjusted, counts = self._adjust(part, exact)
            block[part.start - rows.start : part.stop - rows.start] = adjusted
            total = {name: total.get(name, 0) + count for name, count in counts.items()}
        return block, total

    def _parts(self, rows: slice) -> Iterable[slice]:
        """What is computed at once: all rows that share products with a reference in memory."""
        if self.model.options.iterations == 1:
            return self.rows.parts(rows)
        return self.rows.blocks(rows) if self._in_file else [rows]

    def _compute_exactly(self, rows: slice) -> ExactRows:
        """The rows of a block that need a reference in its file."""
        parts = list(self._parts(rows))
        where = np.concatenate([_find_exact(self.rows, self.model, part) for part in parts])
        values = np.concatenate([_pick(self.rows, where, part) for part in parts])
        at_once = self.rows.sizes.rows_a_pass
        for some in row_blocks(len(where), 1, block_bytes=8 * at_once):  # adjusted in their place
            values[some] = self.model.reference.exact.adjust(values[some])
        return ExactRows(where, values)

    def _ambiguous(
        self, probs: Array, first: int, exact: ExactRows | None
    ) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Which rows from position `first` on are ambiguous, and what these become."""
        ambiguous = is_ambiguous(probs, self.model.options)
        doubtful, reference = probs[ambiguous, :], self.model.reference
        if exact is None:
            if api.array_namespace(probs).any(ambiguous):
                doubtful = reference.adjust(doubtful)
            return as_numpy(ambiguous), as_numpy(doubtful)
        if isinstance(reference, Condensed):
            doubtful = reference.approximate(doubtful)
        chosen = exact.within(first, first + len(probs))
        position = np.cumsum(ambiguous) - 1
        doubtful[position[exact.where[chosen] - first]] = exact.values[chosen]
        return ambiguous, doubtful

    def _adjust(self, rows: slice, exact: ExactRows | None) -> tuple[NDArray[Any], dict[str, Any]]:
        """Rows that are computed at once, after adjustment, and counts."""
        per_row = self.rows.per_row
        given = self.rows(rows)
        ambiguous, doubtful = self._ambiguous(given, rows.start * per_row, exact)
        probs = as_numpy(given)
        before = probs.argmax(axis=1)
        after = before.copy()
        after[ambiguous] = doubtful.argmax(axis=1)
        sums, squares = self._moments(probs)
        probs[ambiguous] = doubtful  # the rest stays as it is: no copy
        counts: dict[str, Any] = {
            "rows": len(probs),
            "ambiguous": int(ambiguous.sum()),
            "changed": int((before != after).sum()),
            "sums": sums,
            "squares": squares,
        }
        if self.labels is not None:
            truth = self.labels[rows.start * per_row : rows.stop * per_row].reshape(-1)
            was_right, is_right = before == truth, after == truth
            counts |= {
                "fixed": int((~was_right & is_right).sum()),
                "broken": int((was_right & ~is_right).sum()),
                "right_confident": int(was_right[~ambiguous].sum()),
                "right_before": int(was_right[ambiguous].sum()),
                "right_after": int(is_right[ambiguous].sum()),
            }
        if self.rows.multilabel:
            probs = probs[:, 0].reshape(-1, self.rows.predictions.n_classes)
        return probs, counts

    def _moments(self, probs: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums of the columns and of their squares, in float64 over few rows at a time."""
        sums, squares = np.zeros((2, probs.shape[1]))
        for few in row_blocks(*probs.shape, block_bytes=self.rows.sizes.summed):
            part = probs[few]  # summed in its own type: a third of the time that widening takes
            ones = np.ones(len(part), part.dtype)
            sums += ones @ part  # half the time of a sum over the rows
            squares += ones @ np.square(part)
        return sums, squares
