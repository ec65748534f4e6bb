"""L-BFGS for smooth losses whose Hessian is about known: it converges in a few steps.

SciPy's starts from the identity, so that it needs variables of like curvature, and stops by the
size of the gradient. This one starts from an approximate inverse Hessian B and stops where the
decrease that a Newton step promises, gᵀBg/2, is small (relative to the value where that exceeds 1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Steps whose change of the gradient is remembered.
MEMORY = 10

#: Share of the decrease promised by the gradient that a step must achieve.
SUFFICIENT = 1e-4

#: Shortest step: below, rounding errors decide.
SHORTEST = 1e-8


@dataclass(frozen=True)
class Minimum:
    """Where the minimizer stands, and what it says of itself."""

    x: Floats
    value: float
    n_iter: int
    converged: bool


def minimize_smooth(
    objective: Callable[[Floats], tuple[float, Floats]],
    start: Floats,
    precondition: Callable[[Floats], Floats],
    *,
    max_iter: int,
    tolerance: float = 1e-7,
) -> Minimum:
    """Minimize `objective`, which returns value and gradient; `precondition` applies B."""
    x = start
    value, slope = objective(x)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=MEMORY)
    for n_iter in range(max_iter + 1):
        step = -_inverse_hessian(slope, pairs, precondition)
        drop = -float(slope @ step)
        if drop <= 2.0 * tolerance * max(1.0, abs(value)):
            return Minimum(x, value, n_iter, True)
        if n_iter == max_iter:
            break
        length = 1.0
        while True:
            new = x + length * step
            new_value, new_slope = objective(new)
            excess = new_value - value + length * drop
            if excess <= (1.0 - SUFFICIENT) * length * drop:
                break
            # The parabola through both values and the slope at the start; NaN shortens most.
            shorter = length * drop / (2.0 * excess) if np.isfinite(excess) else 0.0
            length *= min(max(shorter, 0.1), 0.5)
            if length < SHORTEST:
                # Rounding errors hide what is left to gain.
                return Minimum(x, value, n_iter, drop <= 1e4 * tolerance)
        moved, turned = new - x, new_slope - slope
        curvature = float(moved @ turned)
        if curvature > 0.0:
            pairs.append((moved, turned, curvature))
        x, value, slope = new, new_value, new_slope
    return Minimum(x, value, max_iter, False)


def _inverse_hessian(
    slope: Floats,
    pairs: deque[tuple[Floats, Floats, float]],
    precondition: Callable[[Floats], Floats],
) -> Floats:
    """Inverse Hessian that the pairs imply, times the gradient (the two-loop recursion)."""
    direction = slope.copy()
    shares = []
    for moved, turned, curvature in reversed(pairs):
        share = float(moved @ direction) / curvature
        shares.append(share)
        direction -= share * turned
    direction = precondition(direction)
    if pairs:
        _, turned, curvature = pairs[-1]
        direction *= curvature / float(turned @ precondition(turned))
    for (moved, turned, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - float(turned @ direction) / curvature) * moved
    return direction
