"""Whether labelled rows and a target are scored alike: by one model that has seen neither.

Class frequencies may differ, and with them the mean confidence. So the frequencies that explain the
target's mean prediction are found first, and its confidence compared with what they imply.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import as_numpy
from postproc.scores.codes import coded
from postproc.scores.predictions import Predictions

Floats = NDArray[np.float64]

#: Confidences that differ by less, or by fewer standard errors, are no cause for doubt.
LEAST_DIFFERENCE, LEAST_Z = 0.03, 4.0

#: Fewer rows, and fewer fit rows a class, give no verdict: frequencies of classes fit their noise.
LEAST_ROWS, LEAST_OF_CLASS = 50, 8

#: Rows of a block, of which some are sampled from large files, and most probabilities in these.
BLOCK_ROWS, MOST_BLOCKS, MOST_NUMBERS = 256, 80, 10**7


class Confidence(NamedTuple):
    """Mean confidence of labelled rows and of a target, and what it is beyond class frequencies."""

    fit: float
    target: float
    difference: float  # target less what its class frequencies imply
    standard_error: float

    @property
    def is_unlike(self) -> bool:
        """Whether chance and class frequencies do not explain the difference."""
        return abs(self.difference) > max(LEAST_DIFFERENCE, LEAST_Z * self.standard_error)


def compare_confidence(fit: Floats, y: NDArray[np.int64], target: Floats) -> Confidence:
    """Compare probabilities (n, C) of rows of the classes y with those of a target, (N, C)."""
    n_classes = fit.shape[1]
    one, other = fit.max(axis=1), target.max(axis=1)
    # To each class one pseudo-row is added, which lies where its probabilities are.
    counts = np.bincount(y, minlength=n_classes)
    own = fit / np.maximum(fit.sum(axis=0), 1e-12)
    members = np.zeros_like(fit)
    members[np.arange(len(y)), y] = 1.0
    share = (members + own) / (counts + 1.0)
    means, confidences = share.T @ fit, share.T @ one
    spread = (one - confidences[y]) ** 2
    variances = (members.T @ spread + spread.mean()) / (counts + 1.0)
    frequencies = _explaining(means, counts / len(y), fit, target)
    difference = float(other.mean() - frequencies @ confidences)
    error = float(other.var() / len(other) + np.sum(frequencies**2 * variances / (counts + 1.0)))
    return Confidence(float(one.mean()), float(other.mean()), difference, math.sqrt(error))


def _explaining(means: Floats, shares: Floats, fit: Floats, target: Floats) -> Floats:
    """Class frequencies, drawn to those of the fit rows, that explain the target's mean, (C,)."""
    from scipy.optimize import nnls

    errors = np.sqrt(target.var(axis=0) / len(target) + fit.var(axis=0) / len(fit)) + 1e-4
    near = np.sqrt(shares + 1.0 / len(fit))
    # Frequencies sum to 1 by a last equation of great weight.
    heavy = np.full(len(shares), 1e4)
    equations = np.vstack([means.T / errors[:, None], np.diag(1.0 / near), heavy])
    wanted = np.concatenate([target.mean(axis=0) / errors, shares / near, heavy[:1]])
    found = nnls(equations, wanted)[0]
    return np.asarray(found / found.sum())


def confidence_doubts(fit: Predictions, y: NDArray[np.int64], target: Predictions) -> list[str]:
    """Warn if the rows that something is fitted to are not scored as its target is."""
    n_classes = fit.n_classes
    cuts = _spread(fit.n_rows, n_classes)
    n_fit = sum(cut.stop - cut.start for cut in cuts)
    if min(fit.n_rows, target.n_rows) < LEAST_ROWS or n_fit < LEAST_OF_CLASS * n_classes:
        return []
    rows = np.concatenate([y[cut] for cut in cuts])
    other = _read(target, _spread(target.n_rows, n_classes))
    found = compare_confidence(_read(fit, cuts), rows, other)
    if not found.is_unlike:
        return []
    said = (
        f"{fit.name} and {target.name} are not scored alike: mean confidence is {found.fit:.3f} "
        f"and {found.target:.3f}, where class frequencies explain "
        f"{found.target - found.difference:.3f}, so what is fitted to the one does not hold for "
        "the other; if what made them was fitted to the rows of --fit, take its out-of-fold "
        "predictions of these (--oof), else calibrate and combine both in the same way"
    )
    return [coded("unlike-scores", said)]


def _spread(n_rows: int, n_classes: int) -> list[slice]:
    """Blocks of rows that cover a file, or lie evenly over a large one."""
    starts = np.arange(0, n_rows, BLOCK_ROWS)
    most = min(MOST_BLOCKS, 1 + MOST_NUMBERS // (BLOCK_ROWS * n_classes))
    if len(starts) > most:
        starts = np.linspace(0, n_rows - BLOCK_ROWS, most).astype(np.int64)
    return [slice(start, min(start + BLOCK_ROWS, n_rows)) for start in starts.tolist()]


def _read(member: Predictions, cuts: list[slice]) -> Floats:
    """Probabilities of some rows, in float64."""
    blocks = [as_numpy(member.probabilities(cut)) for cut in cuts]
    return np.concatenate(blocks).astype(np.float64)
