"""The iterates of the reference alone: what every ambiguous row that joins it has in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import Any, Protocol

import array_api_compat as api
import numpy as np

from postproc.can.loop import adjust_row
from postproc.scores.arrays import Array
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order, row_blocks

#: Least sum of a column or row of the reference with which float32 is trusted.
FLOAT32_LEAST_SUM = 1e-20

#: Growth of rounding errors, α^(d-1), up to which float32 input is computed in float32.
FLOAT32_GROWTH = 2.0

#: Factors of rows and columns outside [1 / range, range] are too extreme for unscaled rows.
FLOAT32_RANGE, FLOAT64_RANGE = 1e9, 1e100

#: Sums that are not above it may have lost something to underflow.
LOST = float(np.finfo(np.float64).smallest_normal / np.finfo(np.float64).eps)

#: What passes through the rows are called while they run.
FINDING = "finding confident rows"


@dataclass(frozen=True)
class Iterates:
    """The iterates L_t of a reference alone, t = 1..d, as far as rows that join it need them.

    With α = 1 every L_t is A with factors for its rows and columns, so A serves all depths
    (`plain`). Otherwise each depth has its own column-stochastic matrix P_t.
    """

    q: Array
    alpha: float
    iterations: int
    dtype: Any  # of the computation
    columns: Any = None  # (d, C): column sums s_t
    least: Sequence[Any] = ()  # d - 1: the least row sum z_t, the least weight if plain
    plain: bool = False
    scale: float = 1.0  # of q, which is free, as rows are normalized
    stable: bool = True  # False where an iterate left the range of floats
    factors: Sequence[Array] = ()  # (C,) each: of the columns of L_1.. if plain
    steps: Sequence[Any] = ()  # else what the rows find P_t and z_t with

    @property
    def suits_float32(self) -> bool:
        """Whether no sum is so small that float32 would lose parts of it."""
        if not self.stable:
            return False
        xp = api.array_namespace(self.columns)
        sums = [xp.min(self.columns[self.columns > 0]), *self.least]
        return all(bool(least >= FLOAT32_LEAST_SUM) for least in sums)


class ReferenceRows(Protocol):
    """Reference rows A, (n, C), with weights w, wherever they are kept."""

    @property
    def sizes(self) -> Sizes:
        """How much is computed at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and classes."""

    @property
    def weights(self) -> tuple[Any, Any]:
        """The sum of the weights, and the least of them."""

    @property
    def cuts(self) -> Sequence[slice]:
        """The tasks of a pass through the rows."""

    def tile(self, dtype: Any) -> tuple[int, int]:
        """Reference rows in a block of `matrices`; ambiguous rows that advance together."""

    def wide_blocks(self, cut: slice) -> Iterator[tuple[Array, Any]]:
        """The rows of a task in float64, block by block, and their weights."""

    def iterate_matrices(self, start: Iterates, map_blocks: MapBlocks) -> Iterates:
        """Iterate the rows alone, by a matrix P_t for each depth."""

    def matrices(self, it: Iterates, t: int) -> Iterator[tuple[Array, Array, Array]]:
        """P_t, z_t and P_{t+1}, block of rows by block; A, w and A if plain."""

    def moments(self, it: Iterates, t: int, cut: slice) -> Iterator[tuple[Array, Array]]:
        """Blocks of P_{t+1} and L_t, whose products sum to P_{t+1}ᵀ L_t times factors of lines."""

    def adjust_row(self, it: Iterates, b: Array) -> Array:
        """All depths, (d, C), of one row b (C,), by the loop of the paper."""


@dataclass(frozen=True)
class RowsInMemory:
    """Reference rows a (n, C), each with mass, and their weights w (n,) in memory."""

    a: Array
    w: Array
    sizes: Sizes = DEFAULT_SIZES

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and classes."""
        return int(self.a.shape[0]), int(self.a.shape[1])

    @property
    def weights(self) -> tuple[Array, Array]:
        """The sum of the weights, and the least of them."""
        xp = api.array_namespace(self.w)
        return xp.sum(self.w), xp.min(self.w)

    @property
    def cuts(self) -> list[slice]:
        """All rows at once."""
        return [slice(0, self.shape[0])]

    def tile(self, dtype: Any) -> tuple[int, int]:
        """All rows; as many as BLAS needs to be at its best, fewer if X would be large."""
        fewest, most = self.sizes.rows_together
        wanted = self.sizes.row_factors // (8 * max(self.shape))
        return self.shape[0], min(most, max(fewest, wanted))

    def wide_blocks(self, cut: slice) -> Iterator[tuple[Array, Array]]:
        """All rows in float64, block by block, and their weights."""
        xp = api.array_namespace(self.a)
        for block in row_blocks(*self.shape, block_bytes=self.sizes.summed):
            yield xp.astype(self.a[block, :], xp.float64, copy=False), self.w[block]

    def matrices(self, it: Iterates, t: int) -> Iterator[tuple[Array, Array, Array]]:
        """P_t, z_t and P_{t+1}; A, w and A if plain, without a copy."""
        xp = api.array_namespace(self.a)
        if it.plain:
            a = xp.astype(self.a, it.dtype, copy=False)
            yield a, xp.astype(self.w, it.dtype), a
        else:
            (left, z), (right, _) = it.steps[t : t + 2]
            yield left, xp.astype(z, it.dtype), right

    def moments(self, it: Iterates, t: int, cut: slice) -> Iterator[tuple[Array, Array]]:
        """Blocks of P_{t+1} and of P_t / z_t; if plain, of A with the same factors twice."""
        xp = api.array_namespace(self.a)
        if it.plain:
            row = xp.concat([1.0 / (wide @ it.factors[t]) for wide, _ in self.wide_blocks(cut)])
            left = right = xp.astype(self.a, it.dtype, copy=False)
            factor = (self.w * row**2) ** 0.5
        else:
            (right, z), (left, _) = it.steps[t : t + 2]
            factor = 1.0 / z
        factor = xp.astype(factor, it.dtype)[:, None]
        for block in row_blocks(*self.shape, block_bytes=self.sizes.moment_rows):
            scaled = right[block, :] * factor[block, :]
            yield scaled if it.plain else left[block, :], scaled

    def adjust_row(self, it: Iterates, b: Array) -> Array:
        """All depths, (d, C), of one row b (C,), by the loop of the paper."""
        return adjust_row(self.a, self.w, it.q, it.alpha, it.iterations, b)

    def iterate_matrices(self, start: Iterates, map_blocks: MapBlocks) -> Iterates:
        """Iterate the rows alone, by a matrix P_t for each depth; no power of α empties it."""
        w, q, alpha = self.w, start.q, start.alpha
        xp = api.array_namespace(w)
        columns, steps, least = [], [], []
        stable, counted = True, bool(xp.any(w != 1))
        p = xp.astype(self.a, xp.float64, copy=True)  # then in place: fresh memory is expensive
        for t in range(start.iterations):
            unit = 1.0
            if alpha != 1.0:
                # In units of the column's maximum, α does not empty a column of small entries.
                top = xp.max(p, axis=0)
                top = xp.where(top > 0, top, xp.ones_like(top))
                p /= top
                p **= alpha
                unit = top**alpha
            if counted:
                p *= w[:, None]
            sums = xp.sum(p, axis=0)
            columns.append(sums * unit)
            stable = stable and bool(xp.all((columns[-1] > LOST) | (sums == 0)))
            if not stable or start.iterations == 1:
                break
            p /= xp.where(sums > 0, sums, xp.ones_like(sums))
            z = p @ q
            steps.append((xp.astype(p, start.dtype), z))
            if t + 1 < start.iterations:
                least.append(xp.min(z))
                stable = bool(xp.all(z > LOST * w))
                p *= q
                p /= xp.where(z > 0, z, xp.ones_like(w))[:, None]
        return replace(start, columns=xp.stack(columns), least=least, stable=stable, steps=steps)


def iterate(
    rows: ReferenceRows,
    q: Array,
    alpha: float,
    iterations: int,
    dtype: Any,
    map_blocks: MapBlocks = in_order,
) -> Iterates:
    """Iterate rows alone, wherever they are kept, in `dtype`, or in float64 if that is safer."""
    xp = api.array_namespace(q)
    with np.errstate(over="ignore"):
        if np.float64(alpha) ** (iterations - 1) > FLOAT32_GROWTH:
            dtype = xp.float64
    start = Iterates(q, alpha, iterations, dtype)
    if rows.shape[0] == 0:  # no row has mass: a row that joins is by itself
        return replace(start, columns=xp.stack([xp.zeros_like(q)] * iterations), stable=False)
    found = _iterate(rows, start, map_blocks)
    if dtype == xp.float32 and not found.suits_float32:
        found = _iterate(rows, replace(start, dtype=xp.float64), map_blocks)
    return found


def _iterate(rows: ReferenceRows, start: Iterates, map_blocks: MapBlocks) -> Iterates:
    plain = _iterate_factors(rows, start, map_blocks) if start.alpha == 1.0 else None
    return plain or rows.iterate_matrices(start, map_blocks)


@np.errstate(all="ignore")  # what leaves the range of floats is not used
def _iterate_factors(
    rows: ReferenceRows, start: Iterates, map_blocks: MapBlocks
) -> Iterates | None:
    """The iterates with α = 1, by factors of rows and columns; None if one is out of range."""
    q, xp = start.q, api.array_namespace(start.q)
    limit = FLOAT32_RANGE if start.dtype == xp.float32 else FLOAT64_RANGE
    total, least = rows.weights
    scale = float(total)  # keeps the factors near 1, here and in the iterates of rows that join
    columns, factors = [_sum_columns(rows, None, map_blocks)[0]], []
    column = xp.ones_like(q)
    for _ in range(start.iterations - 1):
        lives = columns[-1] > 0
        column = xp.where(lives, column * q * scale / xp.where(lives, columns[-1], q), 0.0)
        sums, ends = _sum_columns(rows, column, map_blocks)
        ends += [xp.min(column[lives]), xp.max(column[lives])]
        if not all(bool((end < limit) & (end * limit > 1.0)) for end in ends):
            return None
        factors.append(column)
        columns.append(column * sums)
    if not xp.all((columns[0] > LOST) | (columns[0] == 0)):
        return None
    return replace(
        start,
        columns=xp.stack(columns),
        least=[least] * (start.iterations - 1),
        plain=True,
        scale=scale,
        factors=factors,
    )


def _sum_columns(
    rows: ReferenceRows, column: Array | None, map_blocks: MapBlocks
) -> tuple[Array, list[Any]]:
    """`_sum_with_factors` of all tasks."""
    parts = list(map_blocks(partial(_sum_with_factors, rows, column), rows.cuts, FINDING))
    return reduce(add, (sums for sums, _ in parts)), [end for _, ends in parts for end in ends]


@np.errstate(all="ignore")  # what leaves the range of floats is not used
def _sum_with_factors(
    rows: ReferenceRows, column: Array | None, cut: slice
) -> tuple[Any, list[Any]]:
    """Σ_i w_i x_i A[i, :] of a task, (C,), x = 1 / (A column) or 1, and the extremes of x."""
    sums: Any = 0.0
    extremes: list[Any] = []
    for a, w in rows.wide_blocks(cut):
        xp = api.array_namespace(a)
        x = xp.ones_like(a[:, 0]) if column is None else 1.0 / (a @ column)
        sums = sums + (w * x) @ a
        extremes += [xp.min(x), xp.max(x)]
    return sums, extremes


@dataclass(frozen=True)
class PowerSums:
    """Sums of (entry / unit)^α of columns; in units of its maximum, α empties no column."""

    alpha: float
    unit: Array  # (C,)
    sums: Array  # (C,)

    @classmethod
    def of(cls, a: Array, alpha: float, weight: float = 1.0) -> PowerSums:
        """Sums of a block of rows (rows, C), each of the same weight."""
        xp = api.array_namespace(a)
        unit = xp.max(a, axis=0)
        return cls(alpha, unit, weight * xp.sum(powers(a, unit, alpha), axis=0))

    def merge(self, other: PowerSums) -> PowerSums:
        """The sums over the rows of both."""
        unit = np.maximum(self.unit, other.unit)
        safe = np.where(unit > 0, unit, 1.0)
        sums = self.sums * (self.unit / safe) ** self.alpha
        sums = sums + other.sums * (other.unit / safe) ** self.alpha
        return PowerSums(self.alpha, unit, sums)


def powers(a: Array, unit: Array, alpha: float) -> Array:
    """Entries to the power of α, in units of each column's own."""
    xp = api.array_namespace(a)
    scaled = a / xp.where(unit > 0, unit, xp.ones_like(unit))
    return scaled if alpha == 1.0 else scaled**alpha
