"""Rehearsal of label shift on the fit split.

How strongly the estimate of a target prior must be held back, and whether adapting pays at all,
depends on how well the calibrated probabilities know their rare classes, which no formula says. So
it is tried out: labelled out-of-fold predictions are resampled to many class distributions, near
to that of the fit split and far from it, and the accuracy of every candidate is kept beside the
size of the shift. At the target, candidates are judged by rehearsals of about the same size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import Floats, Ints, class_counts
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


@dataclass(frozen=True)
class PairedGain:
    """A difference of accuracies on the same rows, as fractions.

    Attributes
    ----------
    gain : float
        New accuracy less old.
    std_error : float
        Its standard error.
    """

    gain: float
    std_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Normal 95 % interval, within the -1 to 1 that gains can take."""
        reach = 1.96 * self.std_error
        return max(-1.0, self.gain - reach), min(1.0, self.gain + reach)

    def is_credible(self, z: float) -> bool:
        """Whether the gain lies more than z standard errors above zero."""
        return self.gain > z * self.std_error


def paired_gain(new: Ints, old: Ints, y: Ints, weights: Floats | None = None) -> PairedGain:
    """Accuracy of `new` less that of `old` on the same rows.

    Parameters
    ----------
    new, old, y : array of shape (n,)
        Predicted classes, predicted classes, labels.
    weights : array of shape (n,), optional
        Weight of each row; equal by default.
    """
    w = np.full(len(y), 1.0 / len(y)) if weights is None else weights / weights.sum()
    difference = (new == y).astype(np.float64) - (old == y)
    gain = float(w @ difference)
    # Laplace's pseudo-pair, one row fixed and one broken: without it no disagreement at all would
    # mean certainty.
    spread = math.sqrt(w**2 @ (difference - gain) ** 2 + 2.0 * float(np.max(w**2)))
    return PairedGain(gain, spread)


@dataclass(frozen=True)
class Rehearsals:
    """Accuracy of every candidate in R simulated shifts.

    Attributes
    ----------
    pseudo_rows : ndarray of shape (K,)
        Candidates: pseudo-rows for every class.
    gain : ndarray of shape (K, R)
        Accuracy of candidate k in rehearsal r less that of the saved predictions.
    disagreement : ndarray of shape (K, R)
        Share of the rows that candidate k fixes or breaks in rehearsal r.
    calibration_gain, calibration_disagreement : ndarray of shape (R,)
        The same of calibration alone, which applies no prior.
    log_effect : ndarray of shape (R,)
        Logarithm of the size of each shift.
    p_value : ndarray of shape (R,)
        Of the test of "no shift" in each rehearsal.
    fit_rows : int
        Rows m that the rehearsals were drawn from.
    """

    pseudo_rows: Floats
    gain: Floats
    disagreement: Floats
    calibration_gain: Floats
    calibration_disagreement: Floats
    log_effect: Floats
    p_value: Floats
    fit_rows: int

    def choose(self, size: float) -> tuple[float, PairedGain]:
        """Return the candidate that was best where the log effect was about `size`, and its gain.

        All rehearsals share the fit rows, whose number therefore sets the standard error.
        """
        weights = np.exp(-0.5 * ((self.log_effect - size) / LOG_WIDTH) ** 2) + 1e-12
        weights /= weights.sum()
        gains = self.gain @ weights
        best = int(np.argmax(gains))
        error = float(np.sqrt(self.disagreement[best] @ weights / self.fit_rows))
        return float(self.pseudo_rows[best]), PairedGain(float(gains[best]), error)

    def unnoticed(self, alpha: float) -> PairedGain | None:
        """Gain of calibration alone in the shifts that a test of level `alpha` did not notice.

        None where it noticed all of them.
        """
        missed = self.p_value >= alpha
        if not missed.any():
            return None
        error = np.sqrt(self.calibration_disagreement[missed].mean() / self.fit_rows)
        return PairedGain(float(self.calibration_gain[missed].mean()), float(error))


def log_effect(ratio: float, rows: int, fit_rows: int) -> float:
    """Log of the squared size of a shift, free of the sizes of the two samples.

    The F statistic of two samples of n and m rows is about 1 + effect / (1/n + 1/m).
    """
    return float(np.log(max(ratio - 1.0, 1e-3) * (1.0 / rows + 1.0 / fit_rows)))


def rehearse(
    held_out: Floats,
    tempered: Floats,
    calibrated: Ints,
    before: Ints,
    y: Ints,
    *,
    candidates: Sequence[float],
    n_rehearsals: int,
    max_rows: int,
    seed: int,
) -> Rehearsals:
    """Simulate shifts on out-of-fold predictions and run every candidate.

    Parameters
    ----------
    held_out : array of shape (m, C)
        Out-of-fold probabilities that adaptation starts from.
    tempered : array of shape (m, C)
        Out-of-fold probabilities that the test of "no shift" looks at.
    calibrated, before : array of shape (m,)
        Classes that calibration alone, and the saved predictions, name.
    y : array of shape (m,)
        Labels.
    candidates : sequence of float
        Pseudo-rows for every class.
    n_rehearsals : int
        Number R of simulated targets.
    max_rows : int
        A simulated target has min(m, max_rows) rows.
    seed : int
        Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    m, n_classes = held_out.shape
    rows = min(m, max_rows)
    counts = class_counts(y, n_classes)
    source = held_out.mean(axis=0)
    reference = PredictionMoments.of(tempered)
    centres = (n_classes * counts / m, np.ones(n_classes))
    gain, disagreement = np.empty((2, len(candidates), n_rehearsals))
    plain_gain, plain_disagreement, effects, p_values = np.empty((4, n_rehearsals))
    for r in range(n_rehearsals):
        spread = CONCENTRATIONS[r % len(CONCENTRATIONS)]
        centre = centres[r // len(CONCENTRATIONS) % 2]
        prior = rng.dirichlet(np.maximum(spread * centre, 1e-3))
        # The floor is for a draw whose whole mass falls on classes without rows.
        per_row = (prior / np.maximum(counts, 1.0) + 1e-12)[y]
        picked = rng.choice(m, rows, p=per_row / per_row.sum())
        truth = y[picked]
        right = before[picked] == truth

        plain_gain[r], plain_disagreement[r] = _against(calibrated[picked], right, truth)
        test = compare_moments(PredictionMoments.of(tempered[picked]), reference)
        effects[r], p_values[r] = log_effect(test.ratio, rows, m), test.p_value
        ratios = likelihood_ratios(held_out[picked], source)
        likelihood = Likelihood.of(ratios)
        for k, candidate in enumerate(candidates):
            pseudo = pseudo_counts(candidate, test.ratio, rows, source)
            q, _, _ = expectation_maximization(likelihood, source, pseudo, max_iter=60, tol=1e-3)
            gain[k, r], disagreement[k, r] = _against((ratios * q).argmax(axis=1), right, truth)
    return Rehearsals(
        np.array(candidates, dtype=np.float64),
        gain,
        disagreement,
        plain_gain,
        plain_disagreement,
        effects,
        p_values,
        m,
    )


def _against(now: Ints, right: NDArray[np.bool_], y: Ints) -> tuple[float, float]:
    """Gain over rows that were right before, and the share of rows fixed or broken."""
    now_right = now == y
    return float(np.mean(now_right) - np.mean(right)), float(np.mean(now_right != right))
