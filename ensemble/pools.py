"""Pools: fixed rules that combine the distributions of several members, on one block of rows.

Arrays are (k, C) blocks of NumPy or torch, one per member; weights are a NumPy vector of M numbers
w >= 0 that sum to 1. Each row is computed on its own. Sums are in float64, except in the linear
pool of float32 members, whose result is float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_native, as_numpy, softmax
from postproc.scores.checks import fail

Tie = Literal["support", "lowest", "random"]
TIES = ("support", "lowest", "random")

#: Votes that differ by less are tied, as sums of weights have rounding errors.
TIE_TOLERANCE = 1e-7

#: How far from 1 the sum of weights may lie by rounding.
SUM_TOLERANCE = 1e-6

#: The winner of a tie is raised above the other classes by this fraction.
TIE_LIFT = 1e-6

Weights = NDArray[np.float64]


def linear_pool(probs: Sequence[Array], weights: Weights) -> Array:
    """Σ_m w_m P_m, in float32 if all P_m are."""
    _check_weights(weights)
    xp = api.array_namespace(*probs)
    narrow = all(p.dtype == xp.float32 for p in probs)
    return _weighted_sum(probs, weights, dtype=xp.float32 if narrow else None)


def log_linear_pool(logs: Sequence[Array], weights: Weights) -> Array:
    """softmax(Σ_m w_m log P_m) from finite log-probabilities."""
    return softmax(_weighted_sum(logs, weights))


def median_pool(probs: Sequence[Array], weights: Weights) -> Array:
    """Weighted median of the members for each row and class, scaled to sum to 1."""
    _check_weights(weights)
    xp = api.array_namespace(*probs)
    values = xp.stack([xp.astype(p, xp.float64) for p in probs])
    order = xp.argsort(values, axis=0)
    values = xp.take_along_axis(values, order, axis=0)
    reached = as_native(weights, values)[order]
    reached = xp.cumulative_sum(reached, axis=0)
    medians = (_first(values, reached, 0.5 - 1e-9) + _first(values, reached, 0.5 + 1e-9)) / 2
    mass = xp.sum(medians, axis=1, keepdims=True)
    linear = _weighted_sum(probs, weights)  # for rows whose medians are all zero
    return xp.where(mass > 0, medians / xp.where(mass > 0, mass, xp.ones_like(mass)), linear)


def max_pool(probs: Sequence[Array], weights: Weights) -> Array:
    """Largest probability of each class over the members of weight above 0, scaled to sum 1."""
    xp = api.array_namespace(*probs)
    kept = [xp.astype(p, xp.float64) for p, w in zip(probs, weights, strict=True) if w > 0]
    highest = xp.max(xp.stack(kept), axis=0)
    return highest / xp.sum(highest, axis=1, keepdims=True)


def rank_pool(probs: Sequence[Array], weights: Weights, tie: Tie, draws: Array | None) -> Array:
    """Weighted mean of the Borda points of each class, scaled to sum to 1."""
    from scipy.stats import rankdata

    _check_weights(weights)
    xp = api.array_namespace(*probs)
    # One point for each class below it, half a point for each class tied with it.
    ranks = [rankdata(as_numpy(p), axis=1) - 1 for p in probs]
    points = [xp.asarray(r, device=api.device(p)) for r, p in zip(ranks, probs, strict=True)]
    votes = _weighted_sum(points, weights)
    return _settle(votes, _support(probs, weights, votes, tie), draws)


def majority(
    winners: Sequence[Array],
    probs: Sequence[Array],
    weights: Weights,
    tie: Tie,
    draws: Array | None,
) -> Array:
    """Shares of the votes, Σ_m w_m one-hot(winner of m), from M arrays `winners` of shape (k,)."""
    _check_weights(weights)
    xp = api.array_namespace(*probs)
    classes = xp.arange(probs[0].shape[1], device=api.device(probs[0]))
    ballots = [w[:, None] == classes for w in winners]
    votes = _weighted_sum(ballots, weights)
    return _settle(votes, _support(probs, weights, votes, tie), draws)


def _check_weights(weights: Weights) -> None:
    """Refuse weights that are no shares, which a damaged model may hold."""
    if weights.min() < 0:
        fail("weights", "at least 0", f"{weights.min():.3g}")
    if abs(weights.sum() - 1) > SUM_TOLERANCE:
        fail("weights", "a vector that sums to 1", f"{weights.sum():.6g}")


def row_draws(rows: slice, seed: int) -> NDArray[np.float64]:
    """One number in [0, 1) for each row, whatever the blocks that rows are cut into."""
    generator = np.random.PCG64(seed)
    generator.advance(rows.start)  # a double takes one step of the generator
    return np.asarray(np.random.Generator(generator).random(rows.stop - rows.start))


def _weighted_sum(arrays: Sequence[Array], weights: Weights, *, dtype: Any = None) -> Array:
    """Σ_m w_m X_m, in float64 by default; equal weights are applied last, with fewer roundings."""
    xp = api.array_namespace(*arrays)
    dtype = xp.float64 if dtype is None else dtype
    largest = float(np.max(weights))
    total = xp.zeros(arrays[0].shape, dtype=dtype, device=api.device(arrays[0]))
    for array, weight in zip(arrays, weights, strict=True):
        term = xp.astype(array, dtype, copy=False)
        total += term if weight == largest else term * (float(weight) / largest)
    total *= largest
    return total


def _first(values: Array, reached: Array, level: float) -> Array:
    """The first of sorted values, (M, k, C), at which `reached` is at or above `level`."""
    xp = api.array_namespace(values)
    at = xp.argmax(xp.astype(reached >= level, xp.int8), axis=0)
    return xp.take_along_axis(values, at[None, ...], axis=0)[0, ...]


def _support(probs: Sequence[Array], weights: Weights, votes: Array, tie: Tie) -> Array | None:
    """The linear pool in rows with a tie, zeros elsewhere; None if it is not needed."""
    xp = api.array_namespace(votes)
    tied = xp.sum(xp.astype(_leaders(votes), xp.int64), axis=1) > 1
    if tie != "support" or not xp.any(tied):
        return None
    support = xp.zeros_like(votes)
    support[tied, :] = _weighted_sum([p[tied, :] for p in probs], weights)
    return support


def _leaders(votes: Array) -> Array:
    xp = api.array_namespace(votes)
    return votes >= xp.max(votes, axis=1, keepdims=True) - TIE_TOLERANCE


def _settle(votes: Array, support: Array | None, draws: Array | None) -> Array:
    """Scale votes to sum to 1 and raise the winner of every tie."""
    xp = api.array_namespace(votes)
    leaders = _leaders(votes)
    counts = xp.sum(xp.astype(leaders, xp.int64), axis=1)
    if support is not None:
        low = xp.full_like(support, -1.0)
        ranked = xp.where(leaders, support, low)
        leaders = ranked >= xp.max(ranked, axis=1, keepdims=True) - TIE_TOLERANCE
    place = xp.zeros_like(counts)
    if draws is not None:
        place = xp.astype(xp.floor(as_native(as_numpy(draws), votes) * counts), xp.int64)
    order = xp.cumulative_sum(xp.astype(leaders, xp.int64), axis=1)
    winner = leaders & (order == place[:, None] + 1) & (counts > 1)[:, None]
    votes = xp.where(winner, votes * (1 + TIE_LIFT), votes)
    return votes / xp.sum(votes, axis=1, keepdims=True)
