"""Thresholds of labels that do not exclude each other, chosen for a metric."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from postproc.decisions.decider import Decider
from postproc.decisions.label_cuts import fit_cuts
from postproc.decisions.nested import choose_nested
from postproc.decisions.rules import Floats, Ints, LabelsAbove
from postproc.evaluation.folds import label_folds
from postproc.evaluation.registry import find_metric
from postproc.scores.checks import check_choice, check_count, fail
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import label_log_odds

#: Metrics that thresholds can be chosen for.
LABEL_METRICS = ("macro_f1", "micro_f1")

#: Strengths λ that cross-validation chooses from, in positive rows; strong ones first.
STRENGTHS = (math.inf, 100.0, 30.0, 10.0, 3.0)


class LabelThresholds(Decider):
    """Decide labels that do not exclude each other by thresholds that are chosen for a metric.

    Each label has a threshold, shrunk to one in common by λ positive rows of an average label. λ is
    chosen by cross-validation, and thresholds are left at 1/2 unless the gain in the metric, on
    rows that took no part in the choice, is clearly above zero.

    Parameters
    ----------
    metric : {"macro_f1", "micro_f1"}
        Mean F1 of the labels, or F1 of all labels together.
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    n_folds : int
        Folds >= 3 of the cross-validation.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    thresholds_ : ndarray of shape (m,)
        A row has a label if its probability is at least that; all 1/2 if there is no clear gain.
    strength_ : float or None
        λ; infinite where all labels have one threshold, None where thresholds are left at 1/2.
    improved_ : bool
        Whether there is a clear gain.
    gain_ : float
        Gain in the metric of the whole procedure on outer folds.
    gain_ci_ : tuple of (float, float)
        Its 95 % interval.
    baseline_ : float
        The metric of the fit rows with thresholds of 1/2.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (m,)
        Names of the labels, or 0..m-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of labels m.

    References
    ----------
    Lipton, Elkan, Naryanaswamy (2014). Optimal Thresholding of Classifiers to Maximize F1 Measure.
    ECML PKDD. Dinkelbach (1967). On Nonlinear Fractional Programming. Management Science 13
    (micro-F1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random((600, 3)) < 0.1).astype(int)
    >>> logits = 2 * y - 3 + rng.standard_normal((600, 3))
    >>> found = LabelThresholds(kind="logits").fit(logits, y)
    >>> found.improved_, bool((found.thresholds_ < 0.5).all())
    (True, True)
    """

    multilabel_ = True

    def __init__(
        self,
        *,
        metric: str = "macro_f1",
        kind: Kind | None = None,
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.metric = metric
        self.kind = kind
        self.n_folds = n_folds
        self.random_state = random_state

    @property
    def rule_(self) -> LabelsAbove:
        """What decides a row."""
        return LabelsAbove(self.thresholds_)

    def _check_options(self) -> None:
        check_choice(self.metric, "metric", LABEL_METRICS)
        check_count(self.n_folds, "n_folds", low=3)
        check_count(self.random_state, "random_state", low=0)

    def _learn(self, probs: Floats, labels: Ints | None) -> None:
        assert labels is not None
        if len(labels) < self.n_folds:
            fail("scores", f"an array of {self.n_folds} rows or more, one a fold", len(labels))
        z = np.asarray(label_log_odds(probs, "probs"))
        folds = label_folds(z, labels, self.n_folds, self.random_state)
        decide = partial(_decide_all, z, labels, self.metric)
        found = choose_nested(decide, labels, folds, find_metric(self.metric), z.shape[1])
        self.baseline_, self.gain_ = found.baseline, found.gain.value
        self.gain_ci_, self.improved_ = found.gain.interval, bool(found.improved)
        self.strength_: float | None = None
        cuts = np.zeros(z.shape[1])
        if self.improved_:
            self.strength_ = STRENGTHS[found.chosen - 1]
            cuts = fit_cuts(z, labels, [self.strength_], self.metric)[0]
        self.thresholds_ = 1.0 / (1.0 + np.exp(-cuts))


def _decide_all(z: Floats, labels: Ints, metric: str, train: Ints, held: Ints) -> NDArray[np.bool_]:
    """Labels (strengths + 1, k, m) of held-out rows: at even odds, and by each strength."""
    cuts = fit_cuts(z[train], labels[train], STRENGTHS, metric)
    return z[held] >= np.concatenate([np.zeros((1, z.shape[1])), cuts])[:, None, :]
