"""The decision of `auto` for one set of predictions: calibrate, adapt to a shift, or do nothing.

On what evidence:

1. *Has the target shifted?* The two-sample test of the mean tempered prediction decides. A
   temperature is one number, so that rows it was fitted on and rows it was not are alike.
2. *Calibrate?* The pooled calibrator may change classes only where that raises accuracy with its
   95 % interval above zero, out of fold as the rows come and also in those rehearsed shifts that
   the test fails to notice. With few rows these can be large.
3. *Adapt?* Only if the test rejects "no shift", and if it paid, interval above zero, when shifts of
   that size were rehearsed on the fit split.
4. *How far?* The target prior is held at the source prior by n / (F - 1) pseudo-rows (see
   `label_shift.pseudo_counts`), and beside them every class gets the number of pseudo-rows that
   did best in rehearsals of that size.

The gain that is quoted at the end decides nothing. It is that of the whole, out of fold, with the
fit rows re-weighted to the target prior where a shift was found, and its interval allows for the
choices that the same rows have made and for the doubt about class frequencies.

Labels of the target are no argument of anything here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ensemble.auto.rehearsal import PairedGain, Rehearsals, log_effect, paired_gain, rehearse
from postproc.calibration.affine import AffineMap, Floats, Ints, class_counts, identity_map
from postproc.calibration.pooled import PooledMap, PooledScaling
from postproc.calibration.temperature import TemperatureScaling
from postproc.evaluation.folds import canonical_order
from postproc.shift.evidence import NoShiftTest, PredictionMoments, compare_moments
from postproc.shift.prior import (
    Likelihood,
    PriorEstimate,
    estimate_prior,
    likelihood_ratios,
    pseudo_counts,
)
from postproc.shift.reweight import reweight_rows

#: Below this many rows even one number, the temperature, cannot be checked on held-out rows.
FEWEST_FIT_ROWS = 20

#: Pseudo-rows for every class that rehearsals choose from.
PSEUDO_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

#: Most rows of a simulated target.
REHEARSAL_ROWS = 2000

#: The standard error of a gain is this many times as large where the same rows have chosen the
#: step because it gains on them. Measured: see `benchmarks/gains/coverage.py`.
CHOICE_FACTOR = 1.25

#: Fit rows left by the re-weighting below which nobody should trust what they say.
FEW_EFFECTIVE_ROWS = 20

#: Calls with slices of the target: log-probabilities of those rows, shape (k, C).
Reader = Callable[[slice], Floats]


@dataclass(frozen=True)
class Policy:
    """What the fit split taught: fitted maps, and the evidence that decides at the target.

    Attributes
    ----------
    tempered : AffineMap
        Temperature scaling; it changes no class.
    calibrated : PooledMap or AffineMap
        The pooled calibrator.
    pooled : bool
        Whether adaptation starts from the pooled calibrator, else from the temperature.
    calibrates : bool
        Whether the pooled calibrator may change classes where no shift is found.
    calibration_gain : PairedGain
        Out-of-fold accuracy of the pooled calibrator less that of the saved predictions.
    held_out : ndarray of shape (m, C)
        Out-of-fold probabilities that adaptation starts from.
    classes_after : ndarray of shape (2, m)
        Classes of the saved predictions, and out of fold those of the pooled calibrator.
    baseline, labels : ndarray of shape (m,)
        Classes that gains are measured against, and the true ones.
    moments : PredictionMoments
        Of the out-of-fold tempered predictions.
    rehearsals : Rehearsals
        Simulated shifts.
    min_z, alpha : float
        Standard errors that a gain must reach, and the level of the test of "no shift".
    """

    tempered: AffineMap
    calibrated: PooledMap | AffineMap
    pooled: bool
    calibrates: bool
    calibration_gain: PairedGain
    held_out: Floats
    classes_after: Ints
    baseline: Ints
    labels: Ints
    moments: PredictionMoments
    rehearsals: Rehearsals
    min_z: float
    alpha: float

    @property
    def source_prior(self) -> Floats:
        """Mean out-of-fold prediction of the fit split, shape (C,)."""
        return np.asarray(self.held_out.mean(axis=0))

    @property
    def is_combined(self) -> bool:
        """Whether the classes before calibration are not those that gains are measured against."""
        return not np.array_equal(self.baseline, self.classes_after[0])

    def decide(self, read: Reader, blocks: Sequence[slice]) -> Decision:
        """Look at the target as a whole and decide what is done to its rows.

        Parameters
        ----------
        read : callable
            Gives the log-probabilities of a slice of rows.
        blocks : sequence of slice
            Slices that cover the target, one row or more.

        Warns
        -----
        UserWarning
            If accuracy on the fit split is out of reach of the confidence on the target.
        """
        moments, confidence = self._survey(read, blocks)
        self._warn_of_leakage(confidence)
        test = compare_moments(moments, self.moments)
        shifted = test.p_value < self.alpha
        size = log_effect(test.ratio, moments.n_rows, self.moments.n_rows)
        flat, rehearsed = self.rehearsals.choose(size)
        if not shifted and self.calibrates:
            quoted = self._quote(self.classes_after[1], moments.n_rows, picked=True)
            return Decision(self.calibrated, "calibrate", test, rehearsed, *quoted)
        adapts = shifted and rehearsed.is_credible(self.min_z)
        if not adapts and not self.is_combined:
            certain = PairedGain(0.0, 0.0), float(len(self.labels))  # the very same classes
            return Decision(self.tempered, "nothing", test, rehearsed, *certain)
        if not shifted:
            quoted = self._quote(self.classes_after[0], moments.n_rows)
            return Decision(self.tempered, "nothing", test, rehearsed, *quoted)
        source = self.source_prior
        start = self.calibrated if self.pooled else self.tempered
        ratios = np.empty((moments.n_rows, len(source)))
        for rows in blocks:
            ratios[rows] = likelihood_ratios(np.exp(start(read(rows))), source)
        likelihood = Likelihood.of(ratios)
        if not adapts:
            # What calibration gained on the fit rows says nothing about other class frequencies.
            quoted = self._quote(self.classes_after[0], moments.n_rows, likelihood)
            return Decision(self.tempered, "nothing", test, rehearsed, *quoted)
        pseudo = pseudo_counts(flat, test.ratio, moments.n_rows, source)
        prior = estimate_prior(likelihood, source, pseudo, max_iter=1000, tol=1e-4)
        after = reweight_rows(self.held_out, source, prior.prior).argmax(axis=1)
        expected, effective = self._quote(after, moments.n_rows, likelihood)
        if effective < FEW_EFFECTIVE_ROWS:
            msg = (
                f"the target looks so unlike the fit rows that only {effective:.0f} of these "
                "speak for it: the quoted gain is guesswork; are rows and classes of all files in "
                "one order?"
            )
            warnings.warn(msg, UserWarning, stacklevel=3)
        return Decision(start, "adapt", test, rehearsed, expected, effective, source, prior)

    def _quote(
        self, after: Ints, n_rows: int, target: Likelihood | None = None, *, picked: bool = False
    ) -> tuple[PairedGain, float]:
        """Gain of new classes on a target of n rows, and the rows that the re-weighting leaves.

        Without the likelihood of the target, which has not shifted then, the class frequencies are
        those of the fit rows. To the sampling error of the gain comes that of the frequencies,
        Σ (g_j - g)² std_j² with g_j the gain in class j. That of a class without labels may be
        anything in [-1, 1], so that its whole share of the target is in doubt. `picked` says that
        this gain had the classes chosen, as the gain of a combination always has.
        """
        y, source = self.labels, self.source_prior
        counts = np.maximum(class_counts(y, len(source)), 1.0)
        if target is None:
            weights = np.ones(len(y))
            own = Likelihood.of(likelihood_ratios(self.held_out, source))
            std = _nearly_free_prior(own, source).std * math.sqrt(1.0 + len(y) / n_rows)
        else:
            free = _nearly_free_prior(target, source)
            weights = (free.prior / counts)[y]
            std = free.std * math.sqrt(1.0 + n_rows / len(y))
        found = paired_gain(after, self.baseline, y, weights)
        error = found.std_error * (CHOICE_FACTOR if picked or self.is_combined else 1.0)
        difference = (after == y).astype(np.float64) - (self.baseline == y)
        by_class = np.bincount(y, difference, len(counts)) / counts
        doubts = (by_class - found.gain) * std
        if target is not None:
            doubts = np.where(class_counts(y, len(source)) > 0, doubts, free.prior)
        error = math.hypot(error, np.linalg.norm(doubts))
        return PairedGain(found.gain, error), float(weights.sum() ** 2 / np.sum(weights**2))

    def _survey(self, read: Reader, blocks: Sequence[slice]) -> tuple[PredictionMoments, float]:
        """Moments of the tempered target, and its mean confidence."""
        n_rows, n_classes = blocks[-1].stop, self.held_out.shape[1]
        total, confidence = np.zeros(n_classes), np.zeros(2)
        # Deviations are taken from the fit split's mean, so that one pass does.
        scatter, middle = np.zeros((n_classes, n_classes)), self.moments.mean
        for rows in blocks:
            logs = read(rows)
            probs = np.exp(self.tempered(logs))
            inside = probs - middle
            total += inside.sum(axis=0)
            scatter += inside.T @ inside
            confidence += np.exp(logs.max(axis=1)).sum(), probs.max(axis=1).sum()
        shift = total / n_rows
        scatter -= n_rows * np.outer(shift, shift)
        return PredictionMoments(n_rows, middle + shift, scatter), float(confidence.max() / n_rows)

    def _warn_of_leakage(self, confidence: float) -> None:
        accuracy = float(np.mean(self.classes_after[0] == self.labels))
        error = math.sqrt(accuracy * (1.0 - accuracy) / len(self.labels))
        # Raw confidence errs upwards in nearly every trained model, so falling this far short of
        # the fit accuracy needs scores that are not log-odds, or fit rows that trained the model.
        if accuracy - confidence > max(0.1, 3.0 * error):
            msg = (
                f"accuracy on the fit split is {accuracy:.3f}, but the mean confidence on the "
                f"target only {confidence:.3f}: fit predictions must not be those of training rows"
            )
            warnings.warn(msg, UserWarning, stacklevel=4)


@dataclass(frozen=True)
class Decision:
    """What is done to the rows of a target, and why.

    Attributes
    ----------
    model : PooledMap or AffineMap
        Map from log-probabilities to calibrated ones.
    action : {"nothing", "calibrate", "adapt"}
        With "nothing" predicted classes stay as they were.
    test : NoShiftTest or None
        Of the target against the fit split; None where there was nothing to test.
    rehearsed : PairedGain or None
        Gain of adapting in rehearsed shifts of the same size.
    expected : PairedGain or None
        Out-of-fold gain of the whole on the fit rows, where a shift was found re-weighted to the
        prior of the target. That is another estimate than `prior`, which is held back so that
        errors of it do not harm; held back, it would quote too little. The standard error allows
        for the choices that the same rows have made, and for the doubt about the frequencies of
        classes in both samples.
    effective_rows : float
        Fit rows that the re-weighting leaves, (Σ w)² / Σ w².
    source_prior : ndarray of shape (C,) or None
        Class distribution of the fit split, where the action is "adapt".
    prior : PriorEstimate or None
        Estimated class distribution of the target, where the action is "adapt".
    """

    model: PooledMap | AffineMap
    action: str
    test: NoShiftTest | None
    rehearsed: PairedGain | None
    expected: PairedGain | None
    effective_rows: float
    source_prior: Floats | None = None
    prior: PriorEstimate | None = None

    def probabilities(self, logs: Floats) -> Floats:
        """Apply the decision to log-probabilities (k, C)."""
        probs = np.asarray(np.exp(self.model(logs)))
        if self.prior is None or self.source_prior is None:
            return probs
        return reweight_rows(probs, self.source_prior, self.prior.prior)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the maps, in types that JSON knows; gains as fractions."""
        found: dict[str, Any] = {"action": self.action, "p_value": None, "shift_ratio": None}
        if self.test is not None:
            found.update(p_value=self.test.p_value, shift_ratio=self.test.ratio)
        for name, gain in (("expected", self.expected), ("rehearsed", self.rehearsed)):
            found[f"{name}_gain"] = None if gain is None else gain.gain
            found[f"{name}_gain_ci"] = None if gain is None else list(gain.interval)
        found["effective_rows"] = self.effective_rows
        found["prior"] = None if self.prior is None else self.prior.prior.tolist()
        found["prior_std"] = None if self.prior is None else self.prior.std.tolist()
        found["strength"] = None if self.prior is None else self.prior.strength
        return found


def _nearly_free_prior(likelihood: Likelihood, source: Floats) -> PriorEstimate:
    """Prior that gains are quoted at: held back by one pseudo-row for every class, no more.

    The estimate that adapts is held back more, since errors of it cost; quoted at that one, gains
    come out too small.
    """
    pseudo = pseudo_counts(1.0, math.inf, likelihood.n_rows, source)
    with warnings.catch_warnings():
        # The last digits of a prior that only weights a quoted gain do not matter.
        warnings.filterwarnings("ignore", message="the prior still moves")
        return estimate_prior(likelihood, source, pseudo, max_iter=200, tol=1e-3)


def leave_alone(n_classes: int) -> Decision:
    """Return the decision to do nothing, without evidence."""
    return Decision(identity_map(n_classes), "nothing", None, None, None, 0.0)


def learn_policy(
    logs: Floats,
    y: Ints,
    baseline: Ints | None = None,
    *,
    min_z: float,
    alpha: float,
    pseudo_rows: Sequence[float],
    n_rehearsals: int,
    n_folds: int,
    seed: int,
) -> Policy:
    """Fit calibrators and rehearse shifts.

    Parameters
    ----------
    logs : array of shape (m, C)
        Log-probabilities of the fit split; out of fold, if a combination was fitted on it.
    y : array of shape (m,)
        Labels.
    baseline : array of shape (m,), optional
        Classes that quoted gains are measured against; those of `logs` by default.
    min_z, alpha, pseudo_rows, n_rehearsals, n_folds, seed
        As for `AutoPostprocessor`.
    """
    shared: dict[str, Any] = {"kind": "logits", "n_folds": n_folds, "random_state": seed}
    before = logs.argmax(axis=1)
    temperature = TemperatureScaling(**shared).fit(logs, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no row in the fit split")  # said once, above
        pool = PooledScaling(**shared).fit(logs, y)
    calibrated = pool.out_of_fold_.argmax(axis=1)
    picked = np.arange(len(y)), y
    better = pool.out_of_fold_[picked] - temperature.out_of_fold_[picked]
    # Adaptation lives on the probabilities, so log-loss chooses the ones that it starts from.
    error = better.std() / math.sqrt(len(y))
    pooled = bool(better.mean() > NormalDist().inv_cdf(1.0 - alpha) * error)
    held_out = np.exp((pool if pooled else temperature).out_of_fold_)
    tempered = np.exp(temperature.out_of_fold_)
    rows, classes = canonical_order(logs, y, seed)
    rank = np.empty(len(classes), dtype=np.int64)
    rank[classes] = np.arange(len(classes))
    # Draws are made in an order of their own, so that those of rows and classes do not matter.
    rehearsals = rehearse(
        np.ascontiguousarray(held_out[rows][:, classes]),
        np.ascontiguousarray(tempered[rows][:, classes]),
        rank[calibrated[rows]],
        rank[before[rows]],
        rank[y[rows]],
        candidates=pseudo_rows,
        n_rehearsals=n_rehearsals,
        max_rows=REHEARSAL_ROWS,
        seed=seed,
    )
    gain = paired_gain(calibrated, before, y)
    missed = rehearsals.unnoticed(alpha)
    return Policy(
        temperature.model_,
        pool.model_,
        pooled,
        gain.is_credible(min_z) and (missed is None or missed.is_credible(min_z)),
        gain,
        held_out,
        np.stack([before, calibrated]),
        before if baseline is None else baseline,
        y,
        PredictionMoments.of(tempered),
        rehearsals,
        min_z,
        alpha,
    )
