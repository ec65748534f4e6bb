"""The reference of CAN iterated alone: what every ambiguous row that joins it has in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.scores.arrays import Array
from postproc.scores.blocks import row_blocks

#: Least sum of a column or row of the reference with which float32 is trusted.
FLOAT32_LEAST_SUM = 1e-20

#: Factors of rows and columns that leave [1 / range, range] cannot stand beside unscaled rows.
FLOAT32_RANGE, FLOAT64_RANGE = 1e9, 1e100

#: Sums that are not above it may have lost something to underflow.
LOST = float(np.finfo(np.float64).smallest_normal / np.finfo(np.float64).eps)

#: Rows are widened and summed in blocks that fit the cache.
CACHE_BYTES = 2**19


@dataclass(frozen=True)
class Iterates:
    """The iterates L_t of the reference alone, t = 1..d, as far as joined rows need them.

    With α = 1 every L_t is the reference A itself with factors for its rows and columns, so that
    A serves all depths (`plain`). Otherwise each depth has its own column-stochastic matrix P_t.

    Attributes
    ----------
    columns : array of shape (d, C)
        Column sums s_t = Σ_i w_i L_{t-1}[i, j]^α, in float64.
    matrices : list of d arrays of shape (n, C), or empty where d = 1
        P_t[i, j] = w_i L_{t-1}[i, j]^α / s_t[j]; A if `plain`.
    numerators : list of d - 1 arrays of shape (n,)
        z_t[i] = Σ_j P_t[i, j] q_j; the weights w if `plain`.
    moments : list of d - 1 pairs of arrays of shapes (n,) and (C,)
        Factors u, v with which Σ_i u_i matrices[t][i, j] matrices[t - 1][i, l] v_l is, but for a
        factor of each j, Σ_i P_{t+1}[i, j] L_t[i, l].
    plain : bool
        Whether the matrices are A.
    stable : bool
        False where an iterate left the range of floats.
    """

    columns: Array
    matrices: list[Array]
    numerators: list[Array]
    moments: list[tuple[Array, Array]]
    plain: bool
    stable: bool

    @property
    def suits_float32(self) -> bool:
        """Whether no sum is so small that float32 would lose parts of it."""
        xp = api.array_namespace(self.columns)
        sums = xp.concat([self.columns[self.columns > 0], *self.numerators])
        return self.stable and not xp.any(sums < FLOAT32_LEAST_SUM)


def iterate(
    a: Array, w: Array, q: Array, alpha: float, iterations: int, dtype: Any
) -> tuple[Iterates, Any]:
    """Iterates of the rows a, and the dtype they are in: `dtype`, or float64 where that is safer.

    With α = 1 this is one walk through the rows for each depth, and they are not copied.
    """
    xp = api.array_namespace(a)
    if a.shape[0] == 0:  # no row has mass: a row that joins is by itself
        columns = xp.stack([xp.zeros_like(q)] * iterations)
        return Iterates(columns, [], [], [], plain=False, stable=False), dtype
    iterates = _iterate(a, w, q, alpha, iterations, dtype)
    if dtype == xp.float32 and not iterates.suits_float32:
        dtype = xp.float64
        iterates = _iterate(a, w, q, alpha, iterations, dtype)
    return iterates, dtype


def _iterate(a: Array, w: Array, q: Array, alpha: float, iterations: int, dtype: Any) -> Iterates:
    plain = _iterate_factors(a, w, q, iterations, dtype) if alpha == 1.0 else None
    return plain or _iterate_matrices(a, w, q, alpha, iterations, dtype)


def _iterate_factors(a: Array, w: Array, q: Array, iterations: int, dtype: Any) -> Iterates | None:
    """The factors of rows and columns, L_t = diag(row) A diag(column); None beyond their range."""
    xp = api.array_namespace(a)
    kept: list[Array] = []

    def walk(column: Array | None) -> tuple[Array, Any, Any]:
        row, sums = xp.ones_like(w), xp.zeros_like(q)
        for block, rows in widened(a):
            if column is not None:
                row[block] = 1.0 / (rows @ column)
            sums += (w[block] * row[block]) @ rows
        if column is None:
            return sums, 1.0, 1.0
        kept.append(row)
        return sums, xp.min(row), xp.max(row)

    limit = FLOAT32_RANGE if dtype == xp.float32 else FLOAT64_RANGE
    found = iterate_factors(walk, q, float(xp.sum(w)), iterations, limit)
    if found is None:
        return None
    columns, factors = found
    matrices = [xp.astype(a, dtype, copy=False)] * iterations if iterations > 1 else []
    moments = [(w * row**2, column) for row, column in zip(kept, factors, strict=True)]
    return Iterates(columns, matrices, [w] * (iterations - 1), moments, True, True)


@np.errstate(all="ignore")  # what leaves the range of floats is not used
def iterate_factors(
    walk: Callable[[Array | None], tuple[Array, Any, Any]],
    q: Array,
    total: float,
    iterations: int,
    limit: float,
) -> tuple[Array, list[Array]] | None:
    """Column sums and factors of the iterates with α = 1; None if a factor is beyond the limit.

    Parameters
    ----------
    walk : callable
        Goes through the rows with column factors: Σ_i w_i row_i A[i, j] with the row factors
        row = 1 / (A column), and the least and the largest of these; without factors row = 1.
    q : array of shape (C,)
        The prior.
    total : float
        Sum of the weights.
    iterations : int
        Number of iterations d.
    limit : float
        Factors lie in [1 / limit, limit].

    Returns
    -------
    columns : array of shape (d, C)
        Column sums s_t.
    factors : list of d - 1 arrays of shape (C,)
        Column factors of L_1..L_{d-1}.
    """
    xp = api.array_namespace(q)
    sums, *_ = walk(None)
    columns, factors = [sums], []
    column = xp.ones_like(q)
    for _ in range(iterations - 1):
        lives = columns[-1] > 0
        # The sum of the weights keeps the factors near 1.
        column = xp.where(lives, column * q * total / xp.where(lives, columns[-1], q), 0.0)
        sums, least, largest = walk(column)
        ends = (least, largest, xp.min(column[lives]), xp.max(column[lives]))
        if not all(bool((end < limit) & (end * limit > 1.0)) for end in ends):
            return None
        factors.append(column)
        columns.append(column * sums)
    if not xp.all((columns[0] > LOST) | (columns[0] == 0)):
        return None
    return xp.stack(columns), factors


def widened(a: Array) -> Iterator[tuple[slice, Array]]:
    """Blocks of rows in float64."""
    xp = api.array_namespace(a)
    for block in row_blocks(*a.shape, block_bytes=CACHE_BYTES):
        yield block, xp.astype(a[block, :], xp.float64, copy=False)


def _iterate_matrices(
    a: Array, w: Array, q: Array, alpha: float, iterations: int, dtype: Any
) -> Iterates:
    """The matrices P_t one after the other, which no power of α empties."""
    xp = api.array_namespace(a)
    columns, matrices, factors = [], [], []
    stable, counted = True, bool(xp.any(w != 1))
    p = xp.astype(a, xp.float64, copy=True)  # then in place: fresh memory costs most of the time
    for t in range(iterations):
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
        if not stable or iterations == 1:
            break
        p /= xp.where(sums > 0, sums, xp.ones_like(sums))
        matrices.append(xp.astype(p, dtype))
        if t + 1 < iterations:
            factors.append(p @ q)
            stable = bool(xp.all(factors[-1] > LOST * w))
            p *= q
            p /= xp.where(factors[-1] > 0, factors[-1], xp.ones_like(w))[:, None]
    moments = [(1.0 / z, q) for z in factors] if stable else []
    return Iterates(xp.stack(columns), matrices, factors, moments, False, stable)


@np.errstate(over="ignore")  # logarithms of what is zero beside the largest entry of its column
def adjust_in_logs(a: Array, w: Array, q: Array, alpha: float, iterations: int, b: Array) -> Array:
    """All depths for one row b, by the loop of the paper in logarithms: slow and unbreakable."""
    xp = api.array_namespace(b)
    rows = xp.concat([xp.astype(a, xp.float64), b[None, :]])
    log_w = xp.log(xp.concat([w, xp.ones_like(b[:1])]))[:, None]
    logs = xp.log(xp.where(rows > 0, rows, xp.ones_like(rows)))
    logs = xp.where(rows > 0, logs, xp.full_like(rows, -math.inf))
    depths = []
    for _ in range(iterations):
        logs = alpha * logs
        logs = logs - log_sum(log_w + logs, axis=0) + xp.log(q)
        logs = logs - log_sum(logs, axis=1)
        depths.append(xp.exp(logs[-1, :]))
    return xp.stack(depths)


def log_sum(logs: Array, axis: int) -> Array:
    """Logarithm of the sum of exponentials, 0 where every term is zero (the lines stay zero)."""
    xp = api.array_namespace(logs)
    top = xp.max(logs, axis=axis, keepdims=True)
    void = xp.isinf(top)
    top = xp.where(void, xp.zeros_like(top), top)
    total = xp.sum(xp.exp(logs - top), axis=axis, keepdims=True)
    return xp.where(void, top, top + xp.log(xp.where(void, xp.ones_like(total), total)))
