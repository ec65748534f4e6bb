"""Rehearsal of label shift on the fit split.

How far the estimate of a target prior must be shrunk, and whether adapting pays at all, depends on
how good the calibrated probabilities of rare classes are, which no formula tells. So it is tried:
labelled out-of-fold predictions are resampled to many class distributions, near to that of the fit
split and far from it, and the accuracy of every candidate is recorded with the size of the shift.
For a target, candidates are judged by the rehearsals of about the same size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import Floats, Ints, class_counts
from postproc.scores.arrays import row_sums
from postproc.scores.checks import check_count, check_saved
from postproc.shift.evidence import PredictionMoments, compare_moments
from postproc.shift.prior import (
    Likelihood,
    expectation_maximization,
    likelihood_ratios,
    pseudo_counts,
)

#: Spread of a class distribution around its centre, from wild (0.3) to hardly any (100).
CONCENTRATIONS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

#: Half-width of "about the same size", in logarithms: a factor of two.
LOG_WIDTH = float(np.log(2.0))

#: Compares outputs with others on rows of some classes: the gain, and the variance of a row.
Judged = Callable[[NDArray[Any], NDArray[Any], Ints], tuple[float, float]]


@dataclass(frozen=True)
class PairedGain:
    """A difference between two accuracies, or values of a metric, on the same rows."""

    gain: float
    std_error: float
    widest: float = 1.0  # the largest gain that is possible

    #: These may be infinite.
    infinite = ("widest",)

    @property
    def interval(self) -> tuple[float, float]:
        """Normal 95 % interval, cut to the gains that are possible."""
        reach, widest = 1.96 * self.std_error, self.widest
        return max(-widest, self.gain - reach), min(widest, self.gain + reach)

    def is_credible(self, z: float) -> bool:
        """Whether the gain is more than z standard errors above zero."""
        return self.gain > z * self.std_error


def paired_gain(new: Ints, old: Ints, y: Ints, weights: Floats | None = None) -> PairedGain:
    """Accuracy of the classes `new` less that of `old` on the same, perhaps weighted rows, (n,)."""
    w = np.full(len(y), 1.0 / len(y)) if weights is None else weights / weights.sum()
    difference = (new == y).astype(np.float64) - (old == y)
    gain = float(w @ difference)
    # Laplace's pseudo-pair, one row fixed and one broken: without it, classes that never differ
    # would have a standard error of zero.
    spread = math.sqrt(w**2 @ (difference - gain) ** 2 + 2.0 * float(np.max(w**2)))
    return PairedGain(gain, spread)


@dataclass(frozen=True)
class Rehearsals:
    """Gain of each of K candidates in R simulated shifts, in accuracy or another metric."""

    pseudo_rows: Floats  # the candidates, pseudo-rows per class, (K,)
    gain: Floats  # over the saved predictions, (K, R)
    disagreement: Floats  # variance of one row: the share of rows fixed or broken, (K, R)
    calibration_gain: Floats  # of calibration without a prior, (R,)
    calibration_disagreement: Floats
    log_effect: Floats  # logarithm of the size of each shift, (R,)
    p_value: Floats  # of the test of "no shift" in each rehearsal, (R,)
    fit_rows: int  # rows m that the rehearsals were drawn from
    #: The same against calibration without a prior, (K, R); None in models of the first release.
    prior_gain: Floats | None = None
    prior_disagreement: Floats | None = None
    widest: float = 1.0  # the largest gain that is possible

    #: These may be infinite.
    infinite = ("widest",)

    def check_saved(self) -> None:
        """Refuse numbers that no rehearsals give."""
        check_count(self.fit_rows, "fit_rows", low=1)
        many, few = (len(self.pseudo_rows), len(self.log_effect)), (len(self.log_effect),)
        check_saved(self.pseudo_rows, "pseudo_rows", many[:1], high=math.inf)
        for name, shape in (("", many), ("calibration_", few), ("prior_", many)):
            for what, low in (("gain", -math.inf), ("disagreement", 0.0)):
                values = getattr(self, name + what)
                if values is not None:
                    check_saved(values, name + what, shape, low=low, high=math.inf)
        check_saved(self.p_value, "p_value", few)

    def choose(self, size: float) -> tuple[int, PairedGain]:
        """Number of the candidate that did best in shifts of about `size`, and its gain."""
        best = int(np.argmax(self.gain @ self._near(size)))
        return best, self._mean(self.gain[best], self.disagreement[best], size)

    def gain_of_prior(self, candidate: int, size: float) -> PairedGain:
        """Gain of a candidate over calibration without a prior, in shifts of about `size`."""
        if self.prior_gain is None or self.prior_disagreement is None:
            return self._mean(self.gain[candidate], self.disagreement[candidate], size)
        return self._mean(self.prior_gain[candidate], self.prior_disagreement[candidate], size)

    def gain_of_calibration(self, size: float) -> PairedGain:
        """Gain of calibration without a prior, in shifts of about `size`."""
        return self._mean(self.calibration_gain, self.calibration_disagreement, size)

    def _near(self, size: float) -> Floats:
        """Weights of the rehearsals, (R,)."""
        weights = np.exp(-0.5 * ((self.log_effect - size) / LOG_WIDTH) ** 2) + 1e-12
        return np.asarray(weights / weights.sum())

    def _mean(self, gain: Floats, disagreement: Floats, size: float) -> PairedGain:
        weights = self._near(size)
        # All rehearsals share the fit rows, so the number of these sets the standard error.
        error = float(np.sqrt(disagreement @ weights / self.fit_rows))
        return PairedGain(float(gain @ weights), error, self.widest)

    def unnoticed(self, alpha: float) -> PairedGain | None:
        """Gain of calibration alone in the shifts that a test at level `alpha` misses, if any."""
        missed = self.p_value >= alpha
        if not missed.any():
            return None
        error = np.sqrt(self.calibration_disagreement[missed].mean() / self.fit_rows)
        return PairedGain(float(self.calibration_gain[missed].mean()), float(error), self.widest)


def log_effect(ratio: float, rows: int, fit_rows: int) -> float:
    """Log of the squared size of a shift; F of n and m rows is about 1 + effect / (1/n + 1/m)."""
    return float(np.log(max(ratio - 1.0, 1e-3) * (1.0 / rows + 1.0 / fit_rows)))


def rehearse(
    held_out: Floats,
    tempered: Floats,
    calibrated: NDArray[Any],
    before: NDArray[Any],
    y: Ints,
    *,
    judged: Judged,
    widest: float = 1.0,
    candidates: Sequence[float],
    n_rehearsals: int,
    max_rows: int,
    seed: int,
) -> Rehearsals:
    """Simulate shifts on out-of-fold predictions, and run every candidate on each.

    Adaptation starts from the probabilities `held_out` (m, C), and the test of "no shift" looks at
    `tempered` (m, C). Calibration alone and the saved predictions have the outputs `calibrated` and
    `before`: classes (m,), or probabilities (m, C). `judged` compares outputs. A simulated target
    has min(m, max_rows) rows.
    """
    rng = np.random.default_rng(seed)
    m, n_classes = held_out.shape
    rows = min(m, max_rows)
    counts = class_counts(y, n_classes)
    source = held_out.mean(axis=0)
    reference = PredictionMoments.of(tempered)
    centres = (n_classes * counts / m, np.ones(n_classes))
    shape = len(candidates), n_rehearsals
    gain, disagreement, prior_gain, prior_disagreement = np.empty((4, *shape))
    plain_gain, plain_disagreement, effects, p_values = np.empty((4, n_rehearsals))
    for r in range(n_rehearsals):
        spread = CONCENTRATIONS[r % len(CONCENTRATIONS)]
        centre = centres[r // len(CONCENTRATIONS) % 2]
        prior = rng.dirichlet(np.maximum(spread * centre, 1e-3))
        # The floor is for a draw whose whole mass lies on classes without rows.
        per_row = (prior / np.maximum(counts, 1.0) + 1e-12)[y]
        picked = rng.choice(m, rows, p=per_row / per_row.sum())
        truth = y[picked]
        saved, plain = before[picked], calibrated[picked]
        plain_gain[r], plain_disagreement[r] = judged(plain, saved, truth)
        test = compare_moments(PredictionMoments.of(tempered[picked]), reference)
        effects[r], p_values[r] = log_effect(test.ratio, rows, m), test.p_value
        ratios = likelihood_ratios(held_out[picked], source)
        likelihood = Likelihood.of(ratios)
        for k, candidate in enumerate(candidates):
            pseudo = pseudo_counts(candidate, test.ratio, rows, source)
            q, _, _ = expectation_maximization(likelihood, source, pseudo, max_iter=60, tol=1e-3)
            now = ratios * q
            now = now.argmax(axis=1) if saved.ndim == 1 else now / row_sums(now)[:, None]
            gain[k, r], disagreement[k, r] = judged(now, saved, truth)
            prior_gain[k, r], prior_disagreement[k, r] = judged(now, plain, truth)
    return Rehearsals(
        np.array(candidates, dtype=np.float64),
        gain,
        disagreement,
        plain_gain,
        plain_disagreement,
        effects,
        p_values,
        m,
        prior_gain,
        prior_disagreement,
        widest,
    )
