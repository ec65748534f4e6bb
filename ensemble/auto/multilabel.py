"""The pipeline of `auto` for labels that do not exclude each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.label_shift import ShiftedLabel, gain_interval, shift_summary, shifted_labels
from ensemble.auto.target import FEWEST_FIT_ROWS, Adapted, Pipeline, warn_of_few_rows
from ensemble.base import Kinds
from ensemble.learned.label_pool import log_odds_of, two_columns_of
from ensemble.members import Members
from postproc.calibration.labelwise import Floats, LabelMaps, fit_labels, sigmoid
from postproc.evaluation.folds import label_folds
from postproc.evaluation.registry import Metric, find_metric
from postproc.scores.arrays import Array
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_blocks
from postproc.scores.checks import check_choice, check_count, check_saved, fail
from postproc.scores.frames.arguments import takes_frames

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

    #: These may be infinite.
    infinite = ("low", "high")


class MultilabelPostprocessor(Pipeline):
    """Combine, calibrate and adapt multi-label members where held-out rows show that it helps.

    Candidates are the best member with a calibration of each label, and a log pool with weights for
    each label (`MultilabelCalibration`, `LabelPool`). The best member stays as it is unless the
    interval of a candidate's gain, out of fold and corrected for the number of candidates, lies
    above zero; of those that pass, the one that gains most is taken.

    `adapt_to` looks at the target as a whole: a label is adapted to its share there if the test of
    its mean prediction finds a shift, and if that gains on the fit rows, out of fold and weighted
    so that the label has this share.

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
    held_out_ : ndarray of shape (n, m)
        Log-odds of the fit rows out of fold; empty if there are too few rows to learn from.
    labels_ : ndarray of shape (n, m)
        Their labels.
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

    reads_logs = False  # where nothing is changed, zeros stay

    best_: int
    maps_: LabelMaps | None
    held_out_: Floats
    labels_: NDArray[np.int8]
    summary_: str
    combination_: str
    candidates_: dict[str, LabelCandidate]

    def __init__(self, *, metric: str = "log_loss", n_folds: int = 5, seed: int = 0) -> None:
        self.metric = metric
        self.n_folds = n_folds
        self.seed = seed

    def check_saved(self) -> None:
        """Refuse labels that are none, or are not those of the log-odds."""
        check_saved(self.labels_, "labels_", (len(self.held_out_), self.n_classes_))
        reach = {"low": -math.inf, "high": math.inf}
        check_saved(self.held_out_, "held_out_", self.labels_.shape, **reach)
        check_count(self.best_, "best_", low=0, high=self.n_members_ - 1)
        check_choice(self.combination_, "combination_", WAYS)

    def to_dict(self) -> dict[str, Any]:
        """What was decided and why, as JSON's own types."""
        return {
            "summary": self.summary_,
            "combination": self.combination_,
            "best": self.names_[self.best_],
            "metric": self.metric,
            "candidates": {name: asdict(each) for name, each in self.candidates_.items()},
        }

    @takes_frames("members")
    def adapt_to(self, members: Iterable[Any], *, kinds: Kinds = None) -> AdaptedLabels:
        """Decide which labels of a target are adapted, from all of its rows.

        Parameters
        ----------
        members : sequence of M arrays or tensors of shape (n, m), or Members
            Scores of the same members on the target.
        kinds : {"logits", "probs"} or sequence of them, optional
            The kind of all members or of each; None detects it.

        Returns
        -------
        AdaptedLabels
            Its `predict_proba` takes the same members and works row by row; `shifted` and
            `summary_` say what was decided and why.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If the members are not valid, or are not those that `fit` has seen.
        """
        return self.adapt(self.check_members(members, kinds=kinds))

    def adapt(self, members: Members, sizes: Sizes = DEFAULT_SIZES) -> AdaptedLabels:
        """`adapt_to` members that `check_members` has passed; holds their log-odds (n, m)."""
        both, m = members.two_class(), self.n_classes_
        cuts = row_blocks(members.n_rows, m * len(members), block_bytes=sizes.member)
        blocks = [self.log_odds(both, slice(rows.start * m, rows.stop * m)) for rows in cuts]
        target = np.concatenate([np.empty((0, m)), *blocks])
        if not len(self.held_out_):
            return AdaptedLabels(self, ())
        metric = find_metric(self.metric)
        return AdaptedLabels(self, shifted_labels(target, self.held_out_, self.labels_, metric))

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
        self.held_out_, self.labels_ = np.empty((0, z.shape[1])), labels[:0].astype(np.int8)
        if len(labels) < FEWEST_FIT_ROWS:
            warn_of_few_rows(len(labels))
        else:
            self.labels_ = labels.astype(np.int8)
            self.combination_, self.maps_, self.held_out_ = self._choose(
                metric, labels, z, n_folds, seed
            )
        self.member_weights_ = np.zeros(len(members))
        self.member_weights_[self.best_] = 1.0
        if self.combination_ == "weights" and self.maps_ is not None:
            self.member_weights_ = self.maps_.weights.mean(axis=0)
        self.summary_ = self._summary(metric)

    def _choose(
        self, metric: Metric, labels: NDArray[np.int64], z: Floats, n_folds: int, seed: int
    ) -> tuple[str, LabelMaps | None, Floats]:
        """The candidate that gains most out of fold, or the best member; maps; log-odds (n, m)."""
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
        before = metric.measure(labels, sigmoid(base))
        for name, fit in fits.items():
            found = metric.measure(labels, sigmoid(fit.held_out))
            gain = metric.gain(found, before)
            low, high = gain_interval(gain, len(fits))
            self.candidates_[name] = LabelCandidate(found.value, gain.value, low, high)
        passed = [name for name, each in self.candidates_.items() if each.low > 0]
        if not passed:
            return "best", None, z[:, :, self.best_]
        name = max(passed, key=lambda name: self.candidates_[name].gain)
        return name, fits[name].maps, fits[name].held_out

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

    def log_odds(self, members: Members, rows: slice) -> Floats:
        """Combined log-odds (k, m) of k·m rows of two classes, before any shift."""
        best = Members((members[self.best_],))
        given = members if self.combination_ == "weights" else best
        z = log_odds_of(given, rows, self.n_classes_)
        return z[:, :, 0] if self.maps_ is None else self.maps_.log_odds(z)


class AdaptedLabels(Adapted):
    """A multi-label pipeline adapted to one target: what it does to each row is decided.

    Made by `MultilabelPostprocessor.adapt_to`. Like scikit-learn's `FrozenEstimator`, it ignores
    `fit`, and its clone is the object itself.

    Parameters
    ----------
    pipeline : MultilabelPostprocessor
        The fitted pipeline.
    shifted : tuple of ShiftedLabel
        The labels that have shifted in the target.

    Attributes
    ----------
    adapted_ : ndarray of bool, shape (m,)
        Whether a label is adapted to its share in the target.
    summary_ : str
        What was decided and why.
    n_members_, n_classes_, names_, kinds_, classes_, member_weights_, solo_accuracy_
        As of `MultilabelPostprocessor`.
    """

    def __init__(self, pipeline: MultilabelPostprocessor, shifted: Sequence[ShiftedLabel]) -> None:
        super().__init__(pipeline)
        self.shifted = shifted
        self.summary_ = f"{pipeline.summary_} {shift_summary(shifted, pipeline.n_classes_)}"
        self._shift = np.zeros(pipeline.n_classes_)
        for each in shifted:
            self._shift[each.label] = each.log_odds if each.adapted else 0.0

    @property
    def adapted_(self) -> NDArray[np.bool_]:
        """Whether a label is adapted, (m,)."""
        return np.isin(np.arange(self.n_classes_), [s.label for s in self.shifted if s.adapted])

    def to_dict(self) -> dict[str, Any]:
        """What was decided and why, as JSON's own types."""
        shifted = [
            {**asdict(each), "label": str(self.classes_[each.label]), "adapted": each.adapted}
            for each in self.shifted
        ]
        return {**self.pipeline.to_dict(), "summary": self.summary_, "shifted": shifted}

    def _combine(self, members: Members, rows: slice) -> Array:
        if self.pipeline.maps_ is None and not self.adapted_.any():
            return members[self.pipeline.best_].probabilities(rows)
        return two_columns_of(self.pipeline.log_odds(members, rows) + self._shift)


def _value(metric: Metric, labels: NDArray[np.int64], z: Floats) -> float:
    """The metric of log-odds (n, m), higher if better."""
    return metric.goodness(metric.measure(labels, sigmoid(z)).value)
