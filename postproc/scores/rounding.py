"""Rounded probabilities: their decimals, and how far the sum of a row may lie from 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: How far the sum of a row of probabilities may lie from 1.
SUM_TOLERANCE = 1e-3
SUM_TOLERANCE_FLOAT16 = 1e-2

#: Most decimals that probabilities count as rounded to, and what may be left of the last one, by
#: the width of their floats in bytes.
ROUNDED = {4: (4, 1e-3), 8: (6, 1e-7)}


def rounding(decimals: int, n_classes: int) -> float:
    """How far numbers rounded to some decimals may take the sum of a row from 1."""
    return min(0.5, 0.5 * 10.0**-decimals * n_classes)


def decimals_of(block: NDArray[np.floating]) -> int:
    """The least number of decimals that all numbers are rounded to; 99 where they are not."""
    wide = np.abs(block[np.isfinite(block)]).astype(np.float64)
    most, left = ROUNDED[block.dtype.itemsize]
    for decimals in range(1, most + 1):
        scaled = wide * 10.0**decimals
        if (np.abs(scaled - np.rint(scaled)) < left).all():
            return decimals
    return 99
