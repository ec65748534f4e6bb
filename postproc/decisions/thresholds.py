r"""Class weights for a metric: the decision is the class of the highest weighted probability.

Candidates start from what Bayes' rule says once the probabilities are calibrated by a temperature
1/β and a class bias a: for a metric between accuracy (γ = 0) and balanced accuracy (γ = 1),

.. math:: \log w = (a - \gamma \log \pi) / \beta

with π the class frequencies of the fit rows. Where there are rows enough, coordinate ascent goes on
from the best of them. Cross-validation chooses, and leaves the probabilities alone unless the gain
on outer folds is clearly above zero. Its error allows for classes of few rows (`recall_error`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from postproc.calibration.affine import class_counts, fit_temperature, temper
from postproc.decisions.ascent import ascend
from postproc.decisions.counts import SEARCHED
from postproc.decisions.decider import Decider
from postproc.decisions.nested import choose_nested
from postproc.decisions.rules import Floats, HighestWeighted, Ints
from postproc.evaluation.folds import canonical_order, random_folds
from postproc.evaluation.registry import Metric, find_metric
from postproc.scores.arrays import log_softmax
from postproc.scores.checks import check_choice, check_count, fail
from postproc.scores.estimators import ScoreMixin
from postproc.scores.kinds import LEAST_PROBABILITY, Kind

#: Powers γ of the class frequencies.
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: Penalties of coordinate ascent, strong ones first.
PENALTIES = (0.03, 0.003, 0.0)

#: Coordinate ascent takes so many rows a class, and as many classes at most.
ROWS_PER_CLASS = 50
MOST_CLASSES = 100

#: Rows that coordinate ascent takes, at most: some of each class.
MOST_ROWS = 2**12

#: The class bias has converged when no log-weight moves by more, or after so many iterations.
BIAS_TOLERANCE = 1e-4
BIAS_ITERATIONS = 200


@dataclass(frozen=True)
class Candidate:
    """One way to set the weights."""

    power: float | None = None  # γ; None for the best of all
    penalty: float | None = None  # of the coordinate ascent that follows; None for none


def candidates_for(n_rows: int, n_classes: int) -> tuple[Candidate, ...]:
    """Candidates, the simplest first."""
    found = [Candidate(power=power) for power in POWERS]
    if n_rows >= ROWS_PER_CLASS * n_classes and n_classes <= MOST_CLASSES:
        found += [Candidate(penalty=penalty) for penalty in PENALTIES]
    return tuple(found)


def fit_candidates(
    logs: Floats, labels: Ints, candidates: Sequence[Candidate], metric: str
) -> Floats:
    """Log-weights of each candidate, (candidates, C), from log-probabilities (n, C)."""
    beta = fit_temperature(logs, labels)
    counts = class_counts(labels, logs.shape[1])
    bias = matching_bias(np.exp(temper(beta, logs)), counts)
    rarity = -np.log((counts + 0.5) / (len(labels) + 0.5 * len(counts)))
    plain = {power: centered((bias + power * rarity) / beta) for power in POWERS}
    measure = SEARCHED[metric]
    if any(candidate.penalty is not None for candidate in candidates):
        own, step = find_metric(metric), -(-len(labels) // MOST_ROWS)
        if step > 1:
            some = canonical_order(logs, labels, 0)[0][::step]
            logs, labels = logs[some], labels[some]
        start = max(plain.values(), key=partial(_value, logs=logs, labels=labels, metric=own))
    found, weights = [], None
    for candidate in candidates:
        if candidate.penalty is None:
            found.append(plain[candidate.power or 0.0])
        else:
            begin = start if weights is None else weights
            weights = ascend(logs, labels, measure, begin, start, candidate.penalty)
            found.append(centered(weights))
    return np.stack(found)


def _value(weights: Floats, logs: Floats, labels: Ints, metric: Metric) -> float:
    """Value of the metric with these log-weights."""
    decided = (logs + weights).argmax(axis=1)
    return metric.measure_decided(labels, decided, logs.shape[1]).value


def matching_bias(probs: Floats, counts: Floats) -> Floats:
    """Class bias (C,) with which the summed probabilities (n, C) are the counts of the classes.

    One row of each class is added to both sides, so that classes without a row keep a share.
    """
    factors = np.ones(len(counts))
    for _ in range(BIAS_ITERATIONS):
        mass = factors * (probs.T @ (1.0 / (probs @ factors)))
        step = (counts + 1.0) / (mass + 1.0)
        factors = factors * step
        if np.abs(np.log(step)).max() < BIAS_TOLERANCE:
            break
    return np.log(factors)


def centered(weights: Floats) -> Floats:
    """Log-weights of mean 0, which decide the same."""
    return np.asarray(weights - weights.mean())


class ClassWeights(ScoreMixin, Decider):
    r"""Label rows by class weights that are chosen for a metric: argmax of w_j p_ij.

    With two classes the weights are one threshold. They are chosen by cross-validation and left at
    1 unless the gain in the metric, on rows that took no part in the choice, is clearly above zero.

    Parameters
    ----------
    metric : str
        "balanced_accuracy", "macro_f1", "f1" (of the second of two classes), "mcc", "kappa",
        "quadratic_kappa" (classes in their order) or "accuracy".
    kind : {"logits", "probs", "votes"} or None
        What scores are; None detects it once, in `fit`.
    n_folds : int
        Folds >= 3 of the cross-validation.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    weights_ : ndarray of shape (C,)
        The weights, of geometric mean 1; all 1 if there is no clear gain.
    improved_ : bool
        Whether there is one.
    gain_ : float
        Gain in the metric of the whole procedure on outer folds.
    gain_ci_ : tuple of (float, float)
        Its 95 % interval.
    baseline_ : float
        The metric of the likeliest classes on the fit rows.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of classes C.

    References
    ----------
    Alexandari, Kundaje, Shrikumar (2020). Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation. ICML (the bias). Menon, Jayasumana, Rawat, Jain, Veit,
    Kumar (2021). Long-tail learning via logit adjustment. ICLR (weights by frequency). Agresti, Min
    (2005). Simple improved confidence intervals for comparing matched proportions. Statistics in
    Medicine 24 (the error of a gain in balanced accuracy).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(2000) < 0.1).astype(int)
    >>> x = 2 * y + rng.standard_normal(2000)
    >>> p = 1 / (1 + np.exp(2 + np.log(9) - 2 * x))
    >>> found = ClassWeights(metric="balanced_accuracy").fit(np.stack([1 - p, p], axis=1), y)
    >>> found.improved_, bool(found.threshold_ < 0.3)
    (True, True)
    """

    def __init__(
        self,
        *,
        metric: str = "balanced_accuracy",
        kind: Kind | None = None,
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.metric = metric
        self.kind = kind
        self.n_folds = n_folds
        self.random_state = random_state

    @property
    def rule_(self) -> HighestWeighted:
        """What decides a row."""
        return HighestWeighted(self.weights_)

    @property
    def threshold_(self) -> float:
        """With two classes: the probability of class 1 above which it is decided."""
        if self.n_features_in_ != 2:
            fail("n_features_in_", "2 for a threshold", self.n_features_in_)
        return float(self.weights_[0] / self.weights_.sum())

    def _check_options(self) -> None:
        check_choice(self.metric, "metric", SEARCHED)
        check_count(self.n_folds, "n_folds", low=3)
        check_count(self.random_state, "random_state", low=0)

    def _learn(self, probs: Floats, labels: Ints | None) -> None:
        assert labels is not None
        if len(labels) < self.n_folds:
            fail("scores", f"an array of {self.n_folds} rows or more, one a fold", len(labels))
        logs = log_softmax(np.log(np.maximum(probs, LEAST_PROBABILITY)))
        metric = find_metric(self.metric)
        metric.check_task("binary" if logs.shape[1] == 2 else "multiclass")
        candidates = candidates_for(len(labels), logs.shape[1])
        folds = random_folds(logs, labels, self.n_folds, self.random_state)
        decide = partial(decide_candidates, logs, labels, candidates, self.metric)
        found = choose_nested(decide, labels, folds, metric, logs.shape[1])
        self.baseline_, self.gain_ = found.baseline, found.gain.value
        self.gain_ci_, self.improved_ = found.gain.interval, bool(found.improved)
        weights = np.zeros(logs.shape[1])
        if self.improved_:
            weights = fit_candidates(logs, labels, candidates, self.metric)[found.chosen - 1]
        self.weights_ = np.exp(weights)


def decide_candidates(
    logs: Floats,
    labels: Ints,
    candidates: Sequence[Candidate],
    metric: str,
    train: Ints,
    held: Ints,
) -> Ints:
    """Classes of held-out rows, (candidates + 1, k): the likeliest, and those by each candidate."""
    weights = fit_candidates(logs[train], labels[train], candidates, metric)
    own = logs[held]
    return np.stack([own.argmax(axis=1), *((own + each).argmax(axis=1) for each in weights)])
