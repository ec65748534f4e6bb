"""The pipeline of `auto` for labels that do not exclude each other."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.policy import FEWEST_FIT_ROWS
from ensemble.base import Ensemble
from ensemble.learned.label_pool import log_odds_of, two_columns_of
from ensemble.members import Members
from postproc.calibration.labelwise import Floats, LabelMaps, fit_labels
from postproc.evaluation.folds import label_folds
from postproc.evaluation.influence import Estimate
from postproc.evaluation.paired import CONFIDENCE
from postproc.evaluation.registry import Metric, find_metric
from postproc.scores.arrays import Array
from postproc.scores.checks import check_count, fail
from postproc.scores.codes import coded

#: What each combination is, in words.
WAYS = {
    "best": "{best} as it is",
    "calibrated": "{best}, each label calibrated",
    "weights": "a log pool with weights for each label",
}


@dataclass(frozen=True)
class LabelCandidate:
    """One way to combine members, and how well it does out of fold."""

    value: float  # of the metric
    gain: float  # over the member that is best on the other folds, positive if better
    low: float  # interval of the gain, corrected for the number of candidates
    high: float


class MultilabelPostprocessor(Ensemble):
    """Combine and calibrate multi-label members where held-out rows show that it helps.

    Candidates are the best member with a calibration of each label, and a log pool with weights for
    each label (`MultilabelCalibration`, `LabelPool`). The best member stays as it is unless the
    interval of a candidate's gain, out of fold and corrected for the number of candidates, lies
    above zero; of those that pass, the one that gains most is taken. Label shift is not looked for.

    Parameters
    ----------
    metric : str
        The metric that decides: log_loss, brier, micro_f1, macro_f1, hamming_loss, accuracy (of
        whole rows), auc or average_precision.
    n_folds : int
        Number of folds >= 2.
    seed : int
        Seed of the folds.

    Attributes
    ----------
    combination_ : str
        "best", "calibrated" or "weights".
    best_ : int
        The member that is best by the metric.
    candidates_ : dict of str to LabelCandidate
        How well each combination does out of fold.
    maps_ : LabelMaps or None
        The fitted maps; None where nothing is changed.
    member_weights_ : ndarray of shape (M,)
        Weights in common of all labels.
    summary_ : str
        What was decided and why.

    Warns
    -----
    UserWarning
        If there are too few rows to learn from.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random((400, 3)) < 0.3).astype(int)
    >>> logits = 6 * y - 3 + 4 * rng.standard_normal((400, 3))
    >>> auto = MultilabelPostprocessor().fit([logits], y, multilabel=True)
    >>> auto.combination_
    'calibrated'
    """

    maps_: LabelMaps | None
    combination_: str
    candidates_: dict[str, LabelCandidate]

    def __init__(self, *, metric: str = "log_loss", n_folds: int = 5, seed: int = 0) -> None:
        self.metric = metric
        self.n_folds = n_folds
        self.seed = seed

    def to_dict(self) -> dict[str, Any]:
        """What was decided and why, as JSON's own types."""
        return {
            "summary": self.summary_,
            "combination": self.combination_,
            "best": self.names_[self.best_],
            "metric": self.metric,
            "candidates": {name: asdict(each) for name, each in self.candidates_.items()},
        }

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        metric = find_metric(self.metric)
        metric.check_task("multilabel")
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        if not self.multilabel_:
            rule = "multi-label predictions for MultilabelPostprocessor"
            fail("members", rule, "classes that exclude each other", "use AutoPostprocessor")
        labels = y.reshape(-1, self.n_classes_)
        z = log_odds_of(members, slice(0, len(y)), self.n_classes_)
        values = [_value(metric, labels, z[:, :, m]) for m in range(len(members))]
        self.best_ = int(np.argmax(values))
        self.maps_ = None
        self.combination_, self.candidates_ = "best", {}
        if len(labels) < FEWEST_FIT_ROWS:
            msg = (
                f"{len(labels)} labelled rows are too few to learn from (fewer than "
                f"{FEWEST_FIT_ROWS}); predictions are unchanged"
            )
            warnings.warn(coded("few-rows", msg), UserWarning, stacklevel=4)
        else:
            self.combination_, self.maps_ = self._choose(metric, labels, z, n_folds, seed)
        self.member_weights_ = np.zeros(len(members))
        self.member_weights_[self.best_] = 1.0
        if self.combination_ == "weights" and self.maps_ is not None:
            self.member_weights_ = self.maps_.weights.mean(axis=0)
        self.summary_ = self._summary(metric)

    def _choose(
        self, metric: Metric, labels: NDArray[np.int64], z: Floats, n_folds: int, seed: int
    ) -> tuple[str, LabelMaps | None]:
        """The candidate that gains most out of fold, with its maps, or the best member."""
        folds = label_folds(z, labels, min(n_folds, len(z)), seed)
        base = np.empty_like(z[:, :, 0])
        for fold in np.unique(folds):
            held = folds == fold
            inside = [_value(metric, labels[~held], z[~held, :, m]) for m in range(z.shape[2])]
            base[held] = z[held][:, :, int(np.argmax(inside))]
        inputs = {"calibrated": z[:, :, [self.best_]]} | ({"weights": z} if z.shape[2] > 1 else {})
        fits = {
            name: fit_labels(given, labels, n_folds=n_folds, seed=seed)
            for name, given in inputs.items()
        }
        before = metric.measure(labels, _sigmoid(base))
        for name, fit in fits.items():
            found = metric.measure(labels, _sigmoid(fit.held_out))
            gain = metric.gain(found, before)
            low, high = _interval(gain, len(fits))
            self.candidates_[name] = LabelCandidate(found.value, gain.value, low, high)
        passed = [name for name, each in self.candidates_.items() if each.low > 0]
        if not passed:
            return "best", None
        name = max(passed, key=lambda name: self.candidates_[name].gain)
        return name, fits[name].maps

    def _summary(self, metric: Metric) -> str:
        """What was decided and why, in a sentence or two."""
        way = WAYS[self.combination_].format(best=self.names_[self.best_])
        if not self.candidates_:
            return f"Chosen: {way}; there are too few rows to learn from."
        name = self.combination_
        if name == "best":
            name = max(self.candidates_, key=lambda each: self.candidates_[each].gain)
        found = self.candidates_[name]
        numbers = f"{found.gain:+z.4f} in {metric.name} (interval {found.low:+z.4f} to "
        numbers += f"{found.high:+z.4f})"
        if self.combination_ == "best":
            return f"Chosen: {way}; no gain out of fold is clear, at best {numbers}."
        return f"Chosen: {way}; its gain out of fold is {numbers}."

    def _combine(self, members: Members, rows: slice) -> Array:
        if self.maps_ is None:
            return members[self.best_].probabilities(rows)
        given = members
        if self.combination_ == "calibrated":
            given = Members((members[self.best_],))
        return two_columns_of(self.maps_.log_odds(log_odds_of(given, rows, self.n_classes_)))


def _value(metric: Metric, labels: NDArray[np.int64], z: Floats) -> float:
    """The metric of log-odds (n, m), higher if better; what is not defined is the worst."""
    value = metric.measure(labels, _sigmoid(z)).value
    return -math.inf if math.isnan(value) else value if metric.higher else -value


def _interval(gain: Estimate, n_candidates: int) -> tuple[float, float]:
    """Interval of a gain, with Bonferroni's correction for the number of candidates."""
    from scipy.special import stdtrit

    if math.isnan(gain.standard_error) or gain.df <= 0:
        return -math.inf, math.inf
    reach = float(stdtrit(gain.df, 1 - (1 - CONFIDENCE) / 2 / n_candidates)) * gain.standard_error
    return gain.value - reach, gain.value + reach


def _sigmoid(z: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -z))
