"""CAN on predictions that are read block by block: the adjusted rows, and what adjusting did.

Where the reference stays in its file, each product with it is a pass through that file, and costs
little only where many rows share it. Rows that must meet the reference itself are therefore found
first. Where they are few in the whole target, they are computed before all others; where they are
many, those of a large block share their passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import Condensed
from postproc.can.model import CANModel, is_ambiguous
from postproc.can.reference import Reference
from postproc.can.streaming.reference import StreamedReference
from postproc.can.streaming.rows import ProbabilityRows
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import MapBlocks, row_blocks, sub_blocks

#: Bytes, in float64, of the rows to be computed exactly up to which those of all blocks are
#: computed together, and of the blocks where these are more.
TOGETHER_BYTES, SHARED_BYTES = 2**26, 2**25

#: Bytes, in float64, of rows that are summed before their sum is widened.
MOMENT_BYTES = 2**19

#: Rows whose adjusted values are held beside what they were.
AT_ONCE = 1024

#: Rows that share passes where few are computed together: enough to make up for reading, few
#: enough to have work for all cores.
ROWS_A_TASK = 256


@dataclass(frozen=True)
class ExactRows:
    """Rows that were computed with the reference itself.

    Attributes
    ----------
    where : array of shape (k,)
        Their positions in the target, ascending.
    values : array of shape (k, C)
        The adjusted rows.
    """

    where: NDArray[np.int64]
    values: NDArray[Any]

    def within(self, start: int, stop: int) -> slice:
        """Which of them have positions start..stop."""
        first, last = np.searchsorted(self.where, (start, stop))
        return slice(int(first), int(last))


@dataclass(frozen=True)
class FindExact:
    """Finds the rows of a target that need the reference itself."""

    rows: ProbabilityRows
    model: CANModel

    def __call__(self, rows: slice) -> NDArray[np.int64]:
        """Their positions among the rows start..stop."""
        probs = self.rows(rows)
        exact = as_numpy(is_ambiguous(probs, self.model.options)).copy()
        reference = self.model.reference
        if isinstance(reference, Condensed) and exact.any():
            exact[exact] = reference.undecided(probs[exact])
        where: NDArray[np.int64] = np.flatnonzero(exact) + rows.start * self.rows.per_row
        return where


@dataclass(frozen=True)
class PickRows:
    """Reads the rows at some positions."""

    rows: ProbabilityRows
    where: NDArray[np.int64]

    def __call__(self, rows: slice) -> NDArray[Any]:
        """Those among the rows start..stop."""
        start, stop = rows.start * self.rows.per_row, rows.stop * self.rows.per_row
        first, last = np.searchsorted(self.where, (start, stop))
        read = self.rows(rows if last > first else slice(rows.start, rows.start))
        return np.asarray(read[self.where[first:last] - start])


@dataclass(frozen=True)
class AdjustExactly:
    """Adjusts rows with the reference itself."""

    reference: Reference
    rows: NDArray[Any]

    def __call__(self, rows: slice) -> NDArray[Any]:
        """The rows start..stop after adjustment."""
        return np.asarray(self.reference.adjust(self.rows[rows]))


@dataclass(frozen=True)
class AdjustRows:
    """Adjusts the ambiguous rows of a block and counts what that did.

    Attributes
    ----------
    rows : ProbabilityRows
        The target.
    model : CANModel
        Reference and prior.
    labels : array or source of shape (n, 1), or (n·m, 1) of two-class rows, optional
        True classes.
    exact : ExactRows, optional
        Where the reference stays in its file, all rows that need it, if they have been computed.
    """

    rows: ProbabilityRows
    model: CANModel
    labels: Any = None
    exact: ExactRows | None = None

    def cuts(self) -> Sequence[slice]:
        """The blocks of the target: large where the rows of one share passes."""
        predictions = self.rows.predictions
        if self._passes is None or self.exact is not None:
            return self.rows.cuts()
        shape = predictions.n_rows, predictions.n_classes
        return list(row_blocks(*shape, block_bytes=max(SHARED_BYTES, self.rows.sizes.block)))

    @property
    def _passes(self) -> StreamedReference | None:
        """The reference that takes passes through its file."""
        found = self.model.reference
        exact = found.reference if isinstance(found, Condensed) else found
        return exact if isinstance(exact, StreamedReference) else None

    def prepared(self, map_blocks: MapBlocks) -> AdjustRows:
        """Compute the rows that need a reference in its file, unless they are too many to hold.

        Parameters
        ----------
        map_blocks : callable
            Where blocks are computed.
        """
        reference = self._passes
        if reference is None:
            return self
        cuts = self.rows.cuts()
        found = [np.empty(0, np.int64)]
        left = TOGETHER_BYTES // (8 * len(self.model.prior))
        for where in map_blocks(
            FindExact(self.rows, self.model), cuts, "finding rows to compute exactly"
        ):
            found.append(where)
            left -= len(where)
            if left < 0:
                return self
        where = np.concatenate(found)
        if not len(where):
            return replace(self, exact=ExactRows(where, self.rows(slice(0, 0))))
        picked = np.concatenate(list(map_blocks(PickRows(self.rows, where), cuts, "reading them")))
        part = AdjustExactly(reference, picked)
        tasks = list(row_blocks(len(where), 1, block_bytes=8 * ROWS_A_TASK))
        values = np.concatenate(list(map_blocks(part, tasks, "computing rows exactly")))
        return replace(self, exact=ExactRows(where, values))

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The rows start..stop after adjustment, (rows, C), and counts."""
        predictions = self.rows.predictions
        block = np.empty((rows.stop - rows.start, predictions.n_classes), predictions.output_dtype)
        total: dict[str, Any] = {}
        exact = self._exact(rows)
        for part in self._parts(rows):
            adjusted, counts = self._adjust(part, exact)
            block[part.start - rows.start : part.stop - rows.start] = adjusted
            total = {name: total.get(name, 0) + count for name, count in counts.items()}
        return block, total

    def _parts(self, rows: slice) -> Iterable[slice]:
        """What is computed at once: all rows that share products with a reference in memory."""
        if self.model.options.iterations == 1:
            return self.rows.parts(rows)
        if self._passes is None:
            return [rows]
        return sub_blocks(rows, self.rows.predictions.n_classes, self.rows.sizes.block)

    def _exact(self, rows: slice) -> ExactRows | None:
        """The rows of a block that take passes through the reference."""
        reference = self._passes
        if reference is None or self.exact is not None:
            return self.exact
        find, parts = FindExact(self.rows, self.model), list(self._parts(rows))
        where = np.concatenate([find(part) for part in parts])
        pick = PickRows(self.rows, where)
        values = np.concatenate([pick(part) for part in parts])
        for some in row_blocks(len(where), 1, block_bytes=8 * AT_ONCE):
            values[some] = reference.adjust(values[some])
        return ExactRows(where, values)

    def _ambiguous(
        self, given: Array, first: int, exact: ExactRows | None
    ) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Which rows from position `first` on are ambiguous, and what these become."""
        xp = api.array_namespace(given)
        ambiguous = is_ambiguous(given, self.model.options)
        doubtful = given[ambiguous, :]
        if exact is None:
            if xp.any(ambiguous):
                doubtful = self.model.reference.adjust(doubtful)
            return as_numpy(ambiguous), as_numpy(doubtful)
        if isinstance(self.model.reference, Condensed):
            doubtful = self.model.reference.approximate(doubtful)
        chosen = exact.within(first, first + len(given))
        position = np.cumsum(ambiguous) - 1
        doubtful[position[exact.where[chosen] - first]] = exact.values[chosen]
        return ambiguous, doubtful

    def _adjust(self, rows: slice, exact: ExactRows | None) -> tuple[NDArray[Any], dict[str, Any]]:
        given = self.rows(rows)
        ambiguous, doubtful = self._ambiguous(given, rows.start * self.rows.per_row, exact)
        probs = as_numpy(given)
        before = probs.argmax(axis=1)
        after = before.copy()
        after[ambiguous] = doubtful.argmax(axis=1)
        sums, squares = _moments(probs)
        probs[ambiguous] = doubtful  # the rest stays as it is: no copy
        counts: dict[str, Any] = {
            "rows": len(probs),
            "ambiguous": int(ambiguous.sum()),
            "changed": int((before != after).sum()),
            "sums": sums,
            "squares": squares,
        }
        if self.labels is not None:
            per_row = self.rows.per_row
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


def _moments(probs: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the columns and of their squares, in float64 over few rows at a time.

    The few are summed in the type that they have: a third of the time that widening takes.
    """
    sums, squares = np.zeros((2, probs.shape[1]))
    for few in row_blocks(*probs.shape, block_bytes=MOMENT_BYTES):
        part = probs[few]
        ones = np.ones(len(part), part.dtype)
        sums += ones @ part  # half the time of a sum over the rows
        squares += ones @ np.square(part)
    return sums, squares
