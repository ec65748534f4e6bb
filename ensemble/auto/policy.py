"""The decision of `auto` for one target: calibrate, adapt to a shift, or do nothing.

On what evidence:

1. *Has the target shifted?* The two-sample test of the mean tempered prediction decides. A
   temperature is a single number, so the rows that it was fitted on are like any others.
2. *Calibrate?* The pooled calibrator may change classes only where that raises accuracy with its
   95 % interval above zero: out of fold on the fit rows as they are, and also in those rehearsed
   shifts that the test misses, which are large where rows are few. In rehearsed shifts of the size
   that the target seems to have, it must still gain more than one standard error, and with its
   interval above zero where the test rejects "no shift".
3. *Adapt?* Only if the test rejects "no shift", and if re-weighting paid, interval above zero, when
   shifts of that size were rehearsed on the fit split: over calibration where that may change
   classes, else over the saved predictions. What passes for a small shift may be rows of another
   kind. And only if class frequencies can explain the target's scores: its rows of one class must
   look like those of the fit split (see `postproc.shift.misfit`).
4. *How far?* n / (F - 1) pseudo-rows shrink the target prior to the source prior (see
   `postproc.shift.prior.pseudo_counts`), and every class gets the number of pseudo-rows that did
   best in rehearsals of that size.

Steps are judged by accuracy or by another metric. If that reads probabilities, these, too, stay as
they are unless a step gains, and the temperature is a step like any other.

The gain that is quoted decides nothing. It is that of the whole pipeline out of fold, with the fit
rows re-weighted to the target prior where a shift was found. Its interval allows for the choices
made on the same rows, and for the uncertainty of the class frequencies.

Nothing here sees labels of the target.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import reduce
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from ensemble.auto.judge import Judge, Outputs
from ensemble.auto.rehearsal import PairedGain, Rehearsals, log_effect
from postproc.calibration.affine import Floats, Ints, class_counts, identity_map
from postproc.scores.arrays import Array, as_numpy, beside
from postproc.scores.blocks import MapBlocks, in_order
from postproc.scores.checks import check_labels, check_saved
from postproc.scores.codes import coded
from postproc.shift.evidence import NoShiftTest, PredictionMoments, compare_moments
from postproc.shift.misfit import (
    ClassMoments,
    LabelShiftFit,
    fit_frequencies,
    score_functions,
)
from postproc.shift.prior import (
    Likelihood,
    PriorEstimate,
    estimate_prior,
    likelihood_ratios,
    pseudo_counts,
)
from postproc.shift.reweight import prior_factors, reweight_rows
from postproc.shift.streaming import (
    ReadRows,
    RowsPart,
    in_memory,
    target_likelihood,
    target_moments,
)

#: How much larger the standard error of a gain is where a step was chosen because it gains on the
#: same rows. Measured by `benchmarks/gains/coverage.py`.
CHOICE_FACTOR = 1.25

#: Standard errors that a gain must exceed in shifts of the target's size if it is credible on the
#: fit rows already.
SECONDING_Z = 1.0

#: With fewer effective rows after re-weighting, the quoted gain is not to be trusted.
FEW_EFFECTIVE_ROWS = 20

#: What calibrates log-probabilities.
CalibratedMap = Callable[[Array], Array]

#: Log-probabilities of the rows of a slice of the target, shape (k, C).
Reader = Callable[[slice], Array]

#: Computes blocks of calibrated rows once, and lets them be read many times.
Keep = Callable[[RowsPart, Sequence[slice]], AbstractContextManager[ReadRows]]


@dataclass(frozen=True)
class CalibratedLogs:
    """Calibrated probabilities of rows that are read as log-probabilities."""

    read: Reader
    model: CalibratedMap

    def __call__(self, rows: slice) -> tuple[NDArray[Any], dict[str, Any]]:
        """The rows start..stop, shape (rows, C)."""
        logs = self.model(self.read(rows))
        return as_numpy(api.array_namespace(logs).exp(logs)), {}


@dataclass(frozen=True)
class SurveyRows:
    """Sums over tempered rows: deviations from `middle`, their products, two confidences."""

    read: Reader
    tempered: CalibratedMap
    middle: Floats

    def __call__(self, rows: slice) -> tuple[Floats, Floats, Floats]:
        """Arrays of shape (C,), (C, C) and (2,); the confidences before and after tempering."""
        logs = self.read(rows)
        xp = api.array_namespace(logs)
        probs = xp.exp(self.tempered(logs))
        inside = probs - beside(self.middle, probs)
        highest = [xp.sum(xp.exp(xp.max(logs, axis=1))), xp.sum(xp.max(probs, axis=1))]
        sums, products = as_numpy(xp.sum(inside, axis=0)), as_numpy(inside.T @ inside)
        return sums, products, np.array([float(each) for each in highest])


@dataclass(frozen=True)
class Policy:
    """What the fit split taught: fitted maps, and the evidence for decisions on a target."""

    tempered: CalibratedMap  # temperature scaling, which changes no class
    calibrated: CalibratedMap
    pooled: bool  # whether adaptation starts from the pooled calibrator, not from the temperature
    calibrates: bool  # whether the pooled calibrator may change classes where there is no shift
    calibration_gain: PairedGain  # of the pooled calibrator, out of fold
    held_out: Floats  # out-of-fold probabilities that adaptation starts from, (m, C)
    #: Outputs where nothing is done, and of the calibrator out of fold, (2, m) or (2, m, C).
    classes_after: Outputs
    baseline: Outputs  # what gains are measured against, (m,) or (m, C)
    labels: Ints
    moments: PredictionMoments  # of the out-of-fold tempered predictions
    rehearsals: Rehearsals
    min_z: float  # standard errors that a gain must exceed
    alpha: float  # level of the test of "no shift"
    metric: str = "accuracy"  # what gains are measured in
    plain: CalibratedMap | None = None  # what is applied where nothing is done; None: `tempered`

    def check_saved(self) -> None:
        """Refuse outputs on the fit split that are not those of its labels."""
        shape = self.held_out.shape
        check_saved(self.held_out, "held_out", (len(self.labels), *shape[1:]))
        check_labels(self.labels, n_classes=shape[1], name="labels")
        most = {"high": 1.0 + 1e-6 if self.judge.reads_probabilities else float(shape[1] - 1)}
        outputs = shape if self.judge.reads_probabilities else shape[:1]
        check_saved(self.baseline, "baseline", outputs, **most)
        check_saved(self.classes_after, "classes_after", (2, *outputs), **most)
        check_saved(self.moments.mean, "moments", shape[1:])

    @property
    def judge(self) -> Judge:
        """Measures gains."""
        return Judge.of(self.metric, self.held_out.shape[1])

    @property
    def untouched(self) -> CalibratedMap:
        """What is applied where nothing is done."""
        return self.tempered if self.plain is None else self.plain

    @property
    def source_prior(self) -> Floats:
        """Mean out-of-fold prediction of the fit split, shape (C,)."""
        return np.asarray(self.held_out.mean(axis=0))

    @property
    def is_combined(self) -> bool:
        """Whether the outputs before calibration differ from the baseline."""
        return not np.array_equal(self.baseline, self.classes_after[0])

    def decide(
        self,
        read: Reader,
        blocks: Sequence[slice],
        *,
        keep: Keep = in_memory,
        map_blocks: MapBlocks = in_order,
    ) -> Decision:
        """Decide what is done to a target of one row or more, from all of its rows."""
        moments, confidence = self._survey(read, blocks, map_blocks)
        self._warn_of_leakage(confidence)
        test = compare_moments(moments, self.moments)
        shifted = test.p_value < self.alpha
        size = log_effect(test.ratio, moments.n_rows, self.moments.n_rows)
        candidate, rehearsed = self.rehearsals.choose(size)
        calibrates = self._calibrates(size, rehearsed, shifted=shifted)
        step = self.rehearsals.gain_of_prior(candidate, size) if calibrates else rehearsed
        adapts = shifted and step.is_credible(self.min_z)
        if not adapts and not calibrates and not self.is_combined:
            certain = PairedGain(0.0, 0.0), float(len(self.labels))  # the very same classes
            return Decision(self.untouched, "nothing", test, rehearsed, *certain)

        def without_prior(
            target: Likelihood | None = None, fit: LabelShiftFit | None = None
        ) -> Decision:
            model = self.calibrated if calibrates else self.untouched
            after = self.classes_after[int(calibrates)]
            quoted = self._quote(after, moments.n_rows, target, picked=calibrates)
            action = "calibrate" if calibrates else "nothing"
            return Decision(model, action, test, rehearsed, *quoted, fit=fit)

        if not shifted:
            return without_prior()
        source = self.source_prior
        start = self.calibrated if self.pooled else self.tempered
        with keep(CalibratedLogs(read, start), blocks) as rows:
            ratios = prior_factors(source, np.ones_like(source))
            likelihood = target_likelihood(rows, ratios, map_blocks, "estimating the prior")
            if not adapts:
                return without_prior(likelihood)
            flat = float(self.rehearsals.pseudo_rows[candidate])
            pseudo = pseudo_counts(flat, test.ratio, moments.n_rows, source)
            prior = estimate_prior(likelihood, source, pseudo, max_iter=1000, tol=1e-4)
            functions = target_moments(rows, map_blocks, "checking the shift", score_functions)
            fit = fit_frequencies(
                functions, ClassMoments.of(self.held_out, self.labels), prior.prior
            )
            if fit.is_refuted:
                doubt = fit.doubt("predictions are not adapted to them")
                warnings.warn(doubt, UserWarning, stacklevel=5)
                return without_prior(fit=fit)
            after = self.judge.outputs(reweight_rows(self.held_out, source, prior.prior))
            expected, effective = self._quote(after, moments.n_rows, likelihood)
        if effective < FEW_EFFECTIVE_ROWS:
            msg = (
                f"the target is so unlike the fit rows that only {effective:.0f} of them are "
                "effective after re-weighting, so the expected gain is not reliable; check that "
                "rows and classes of all files are in the same order"
            )
            warnings.warn(coded("few-rows", msg), UserWarning, stacklevel=5)
        return Decision(start, "adapt", test, rehearsed, expected, effective, source, prior, fit)

    def _calibrates(self, size: float, rehearsed: PairedGain, *, shifted: bool) -> bool:
        """Whether calibration may change classes of a target with a shift of about that size."""
        if not self.calibrates:
            return False
        gain = self.rehearsals.gain_of_calibration(size)
        if not shifted:
            return gain.is_credible(SECONDING_Z)
        return gain.is_credible(self.min_z) and rehearsed.is_credible(SECONDING_Z)

    def _quote(
        self, after: Outputs, n_rows: int, target: Likelihood | None = None, *, picked: bool = False
    ) -> tuple[PairedGain, float]:
        """Gain of new classes on a target of n rows, and the effective number of fit rows."""
        y, source = self.labels, self.source_prior
        counts = np.maximum(class_counts(y, len(source)), 1.0)
        if target is None:
            weights = np.ones(len(y))
            own = Likelihood.of(likelihood_ratios(self.held_out, source))
            std = _nearly_free_prior(own, source).std * math.sqrt(1.0 + len(y) / n_rows)
        else:  # the fit rows, re-weighted by the likelihood of a target that has shifted
            free = _nearly_free_prior(target, source)
            weights = (free.prior / counts)[y]
            std = free.std * math.sqrt(1.0 + n_rows / len(y))
        judge = self.judge
        found = judge.gain(after, self.baseline, y, weights)
        error = found.std_error * (CHOICE_FACTOR if picked or self.is_combined else 1.0)
        apart = judge.differences(after, self.baseline, y, weights)
        # The variance of the class frequencies, Σ d_j² std_j², adds to that of the gain; d_j is the
        # mean influence of class j on it.
        doubts = np.bincount(y, apart, len(counts)) / counts * std
        if target is not None:  # a class without labels may gain anything in [-1, 1]
            doubts = np.where(class_counts(y, len(source)) > 0, doubts, free.prior)
        error = math.hypot(error, np.linalg.norm(doubts))
        gain = PairedGain(found.gain, error, found.widest)
        return gain, float(weights.sum() ** 2 / np.sum(weights**2))

    def _survey(
        self, read: Reader, blocks: Sequence[slice], map_blocks: MapBlocks
    ) -> tuple[PredictionMoments, float]:
        """Moments of the tempered target, and its mean confidence."""
        n_rows, middle = blocks[-1].stop, self.moments.mean
        # Deviations are taken from the fit split's mean, so that one pass is enough.
        sums = map_blocks(SurveyRows(read, self.tempered, middle), blocks, "looking for a shift")
        total, scatter, confidence = reduce(_add, sums)
        shift = total / n_rows
        moments = PredictionMoments(
            n_rows, middle + shift, scatter - n_rows * np.outer(shift, shift)
        )
        return moments, float(confidence.max() / n_rows)

    def _warn_of_leakage(self, confidence: float) -> None:
        classes = self.classes_after[0]
        if classes.ndim == 2:
            classes = classes.argmax(axis=1)
        accuracy = float(np.mean(classes == self.labels))
        error = math.sqrt(accuracy * (1.0 - accuracy) / len(self.labels))
        # The confidence is that after a temperature where this is higher: a cautious model is no
        # cause, but a target of harder rows is, such as one of classes that it knows less well.
        if accuracy - confidence > max(0.1, 3.0 * error):
            msg = (
                f"accuracy on the fit split is {accuracy:.3f}, but mean confidence on the target "
                f"is only {confidence:.3f}: either the rows of the target are harder, or the model "
                "was trained on the fit rows; if so, fit to rows that no model was trained on"
            )
            warnings.warn(coded("leakage", msg), UserWarning, stacklevel=6)


@dataclass(frozen=True)
class Decision:
    """What is done to the rows of a target, and why."""

    model: CalibratedMap  # from log-probabilities to calibrated ones
    action: str  # "nothing" (predicted classes stay), "calibrate" or "adapt"
    test: NoShiftTest | None  # None for a target without rows
    rehearsed: PairedGain | None  # of adapting, in rehearsed shifts of the same size
    #: Out-of-fold gain of the whole pipeline on the fit rows, re-weighted where a shift was found,
    #: and then not to `prior`: this is shrunk so that its errors do no harm, which would quote too
    #: small a gain.
    expected: PairedGain | None
    effective_rows: float  # fit rows left by the re-weighting, (Σ w)² / Σ w²
    source_prior: Floats | None = None  # of the fit split, where the action is "adapt", (C,)
    prior: PriorEstimate | None = None  # of the target, where the action is "adapt"
    fit: LabelShiftFit | None = None  # how well class frequencies explain the target, if asked

    def probabilities(self, logs: Array) -> Array:
        """Apply the decision to log-probabilities, shape (k, C)."""
        mapped = self.model(logs)
        probs = api.array_namespace(mapped).exp(mapped)
        if self.prior is None or self.source_prior is None:
            return probs
        return reweight_rows(probs, self.source_prior, self.prior.prior)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the map, as JSON's own types; gains as fractions."""
        found: dict[str, Any] = {"action": self.action, "p_value": None, "shift_ratio": None}
        if self.test is not None:
            found.update(p_value=self.test.p_value, shift_ratio=self.test.ratio)
        for name, gain in (("expected", self.expected), ("rehearsed", self.rehearsed)):
            found[f"{name}_gain"] = None if gain is None else gain.gain
            found[f"{name}_gain_ci"] = None if gain is None else list(gain.interval)
        found["effective_rows"] = self.effective_rows
        found["prior"] = None if self.prior is None else self.prior.prior.tolist()
        found["prior_std"] = None if self.prior is None else self.prior.std.tolist()
        found["explained"] = None if self.fit is None else self.fit.explained
        found["misfit_ratio"] = None if self.fit is None else self.fit.ratio
        found["strength"] = None if self.prior is None else self.prior.strength
        return found


def _add(a: tuple[Floats, ...], b: tuple[Floats, ...]) -> tuple[Floats, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _nearly_free_prior(likelihood: Likelihood, source: Floats) -> PriorEstimate:
    """Prior that gains are quoted at: shrunk by one pseudo-row per class and no more."""
    pseudo = pseudo_counts(1.0, math.inf, likelihood.n_rows, source)
    with warnings.catch_warnings():
        # The last digits do not matter: this prior only weights a quoted gain.
        warnings.filterwarnings("ignore", message="the prior has not converged")
        return estimate_prior(likelihood, source, pseudo, max_iter=200, tol=1e-3)


def leave_alone(n_classes: int) -> Decision:
    """The decision to do nothing, without evidence."""
    return Decision(identity_map(n_classes), "nothing", None, None, None, 0.0)
