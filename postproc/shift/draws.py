"""Targets with a known label shift, drawn from labelled rows to measure methods.

A draw is a list of row numbers, with replacement. Rows of one class are exchangeable, so p(x | y)
is unchanged and only p(y) moves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import check_count, check_labels, fail
from postproc.scores.frames.arguments import takes_frames

#: The shifts that benchmarks report.
SHIFTS = ("none", "dirichlet:0.5", "longtail:50")


@takes_frames(labels={"labels": "labels"})
def draw_target(labels: Any, shift: str, rows: int, seed: int, n_classes: int) -> NDArray[np.int64]:
    """Draw the row numbers of one target, with replacement.

    A row of class j is drawn with probability proportional to w_j / n_j, with w the class
    frequencies of the shift and n_j the number of rows of the class. Classes without rows drop
    out.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Classes of the rows to draw from.
    shift : str
        `none` for the present frequencies; `dirichlet:A` for frequencies from the symmetric
        Dirichlet distribution with concentration A > 0; `longtail:R` for frequencies that fall
        geometrically from class to class, by R >= 1 in all, with classes in random order.
    rows : int
        Maximum number of rows; min(rows, n) are drawn.
    seed : int
        Seed of the draw.
    n_classes : int
        Number of classes C.

    Returns
    -------
    ndarray of shape (min(rows, n),)
        Row numbers.

    Raises
    ------
    TypeError, ValueError
        If there is no row, a label lies outside 0..C-1, or an option is not valid.

    Examples
    --------
    >>> draw_target([0, 0, 1, 1], "none", 3, 0, 2).shape
    (3,)
    """
    n_classes = check_count(n_classes, "n_classes", low=2)
    y = check_labels(labels, n_classes=n_classes)
    if len(y) == 0:
        fail("labels", "one label or more", "none")
    size = min(check_count(rows, "rows", low=1), len(y))
    rng = np.random.default_rng(check_count(seed, "seed", low=0))
    weights = class_weights(shift, n_classes, rng)
    if weights is None:
        return rng.integers(len(y), size=size)
    counts = np.bincount(y, minlength=n_classes)
    shares = np.where(counts > 0, weights / np.maximum(counts, 1), 0.0)[y]
    total = float(shares.sum())
    if total == 0:  # no class of the shift has rows
        return rng.integers(len(y), size=size)
    return rng.choice(len(y), size=size, p=shares / total)


def class_weights(
    shift: str, n_classes: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Class frequencies of a shift, (C,); None for the present ones. ValueError if not valid."""
    name, _, number = str(shift).partition(":")
    if name == "none" and not number:
        return None
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if name == "dirichlet" and 0 < value < math.inf:
        return rng.dirichlet(np.full(n_classes, value))
    if name == "longtail" and 1 <= value < math.inf:
        falling = value ** -(np.arange(n_classes) / max(n_classes - 1, 1))
        return rng.permutation(falling / falling.sum())
    return fail(
        "shift", '"none", "dirichlet:A" with A > 0 or "longtail:R" with R >= 1', repr(shift)
    )
