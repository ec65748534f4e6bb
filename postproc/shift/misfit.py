"""Whether other class frequencies can explain how a target differs from the fit rows.

Label shift means that rows of one class look alike in both. The mean of any function of the scores
is then, for the target, the mean over classes of what it is for the fit rows, weighted by the
target's frequencies. With twice as many functions as classes, no frequencies fit them all unless
this is so (an overidentified method of moments; Hansen 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from postproc.calibration.affine import Floats, Ints, class_counts
from postproc.scores.checks import check_saved
from postproc.scores.codes import coded
from postproc.shift.evidence import PredictionMoments, check_covariance

#: How many times the sampling noise the unexplained rest must be, and the share of the difference
#: that frequencies must explain, for label shift to be refuted: chosen on synthetic tasks by
#: `benchmarks/gains/misfit.py`.
MOST_NOISE = 7.0
LEAST_EXPLAINED = 0.85

#: Directions that vary less than this share of a function's own variance are left out.
LEAST_VARIANCE = 1e-3


def score_functions(probs: Floats) -> Floats:
    """What is averaged over rows: probabilities and their roots, from (n, C) to (n, 2 C).

    Roots tell small probabilities apart, which a constant added to all logits moves most.
    """
    return np.concatenate([probs, np.sqrt(np.maximum(probs, 0.0))], axis=1)


@dataclass(frozen=True)
class ClassMoments:
    """Means of the functions in each class of the fit rows, and how they vary within classes."""

    counts: Floats  # rows of each class and one, (C,)
    means: Floats  # (C, 2 C)
    within: Floats  # pooled covariance, (2 C, 2 C)

    def check_saved(self) -> None:
        """Refuse moments that no rows have."""
        n = len(self.counts)
        check_saved(self.counts, "counts", (n,), low=1.0, high=math.inf)
        check_saved(self.means, "means", (n, 2 * n))
        check_covariance(self.within, "within", 2 * n, most=float(self.counts.sum()))

    @classmethod
    def of(cls, probs: Floats, y: Ints) -> ClassMoments:
        """Moments of out-of-fold probabilities (m, C) of rows of the classes y."""
        n_classes = probs.shape[1]
        rows = score_functions(probs)
        counts = class_counts(y, n_classes)
        # A class without rows sits where its probabilities are.
        own = probs.T @ rows / np.maximum(probs.sum(axis=0), 1e-12)[:, None]
        sums = np.zeros_like(own)
        np.add.at(sums, y, rows)
        inside = rows - (sums / np.maximum(counts, 1.0)[:, None])[y]
        freedom = max(len(y) - np.count_nonzero(counts), 1)
        return cls(
            counts + 1.0, (sums + own) / (counts + 1.0)[:, None], inside.T @ inside / freedom
        )


@dataclass(frozen=True)
class LabelShiftFit:
    """How well class frequencies explain a difference.

    Attributes
    ----------
    ratio : float
        What they leave unexplained, over the sampling noise; about 1 under label shift.
    explained : float
        Share of the difference that they explain, noise taken off, in [0, 1].
    """

    ratio: float
    explained: float

    @property
    def is_refuted(self) -> bool:
        """Whether the target cannot differ by its class frequencies alone."""
        return self.ratio > MOST_NOISE and self.explained < LEAST_EXPLAINED

    def doubt(self, so: str) -> str:
        """The warning that follows, and what comes of it."""
        return coded(
            "not-label-shift",
            "the scores of the target differ from those of the fit rows by more than class "
            f"frequencies, which explain {100 * self.explained:.0f} % of the difference (the rest "
            f"is {self.ratio:.1f} times the sampling noise), so {so}; check that the same model "
            "made both, from rows that were prepared alike",
        )


def fit_frequencies(target: PredictionMoments, fit: ClassMoments, prior: Floats) -> LabelShiftFit:
    """Find the frequencies that explain the target's functions best; `prior` sets the noise."""
    from scipy.optimize import nnls

    # A pseudo-row for each class: few rows of a target cannot tell how its functions vary.
    scatter = target.scatter + len(prior) * fit.within
    covariance = scatter / target.n_rows**2 + fit.within * np.sum(prior**2 / fit.counts)
    scale = np.sqrt(np.diag(covariance)) + 1e-12
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > LEAST_VARIANCE
    whiten = (vectors[:, kept] / np.sqrt(values[kept])).T / scale
    share = (fit.counts - 1.0) / (fit.counts - 1.0).sum()
    there, means = whiten @ target.mean, whiten @ fit.means.T
    # Frequencies sum to 1 by a last equation of great weight.
    heavy = 1e3 * float(np.abs(means).max(initial=1e-9))
    equations = np.vstack([means, np.full(len(share), heavy)])
    found = nnls(equations, np.append(there, heavy))[0]
    rest, apart = there - means @ (found / found.sum()), there - means @ share
    freedom = len(there) - np.count_nonzero(found) + 1
    if freedom < 1 or not len(there):
        return LabelShiftFit(0.0, 1.0)
    unexplained = max(float(rest @ rest) - freedom, 0.0)
    whole = max(float(apart @ apart) - len(apart), 1.0)
    ratio = float(rest @ rest) / int(freedom)
    return LabelShiftFit(ratio, float(np.clip(1.0 - unexplained / whole, 0.0, 1.0)))
