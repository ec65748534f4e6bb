"""Methods that combine all members of a task: votes, learned pools, stackers, boosting, the devil.

All predict row by row, except the pipeline `auto`, which uses the target as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.multilabel import MultilabelPostprocessor
from ensemble.auto.pipeline import AutoPostprocessor
from ensemble.base import MemberEstimator, solo_accuracy
from ensemble.bench.member_methods import (
    Floats,
    Predictor,
    adapt_pipeline,
    label_judge,
    member_probabilities,
)
from ensemble.bench.shared import SharedFits
from ensemble.devil.estimator import DevilsAdvocate
from ensemble.learned.label_pool import LabelPool
from ensemble.learned.log_pool import LearnedLogPool
from ensemble.learned.stacking import Bagging, Stacking
from ensemble.members import Members
from postproc.evaluation.registry import find_metric
from postproc.scores.arrays import as_numpy, softmax

Ints = NDArray[np.int64]


@dataclass
class TeamState:
    """All members of a task on both splits, and what their methods share."""

    fit: Members
    test: Members
    fit_labels: Ints
    labels: Ints  # of the test split, for the oracle only
    seed: int
    metric: str = "accuracy"
    shared: SharedFits = field(default_factory=SharedFits)

    @property
    def best(self) -> int:
        """The member with the best metric on the fit split, the first one if tied."""
        if self.metric != "accuracy":
            judge = find_metric(self.metric)
            values = [
                judge.goodness(judge.measure(self.fit_labels, member_probabilities(member)).value)
                for member in self.fit
            ]
            return int(np.argmax(values))
        fit = self.fit.two_class() if self.fit.multilabel else self.fit
        return int(np.argmax(solo_accuracy(fit, self.fit_labels.reshape(-1))))


def fitted(state: TeamState, make: Callable[[], MemberEstimator]) -> Predictor:
    """Fit an ensemble on the fit split, and apply it to the test split."""
    return _row_wise(make().fit(state.fit, state.fit_labels), state)


def seeded(state: TeamState, make: Callable[..., MemberEstimator]) -> Predictor:
    """The same with an ensemble that takes a seed."""
    return fitted(state, partial(make, seed=state.seed))


def weights(state: TeamState) -> Predictor:
    """A log pool with learned weights, of labels with weights for each."""
    return fitted(state, LabelPool if state.fit.multilabel else LearnedLogPool)


def stack(state: TeamState) -> Predictor:
    """Logistic regression on the members' log-probabilities."""
    return _row_wise(_stacking(state), state)


def bagging(state: TeamState) -> Predictor:
    """Stackers on bootstrap resamples, with the ridge chosen by `stack`."""
    return fitted(state, lambda: Bagging(cs=(_stacking(state).C_,), seed=state.seed))


def _stacking(state: TeamState) -> Any:
    return state.shared.get(
        "stack", lambda: Stacking(seed=state.seed).fit(state.fit, state.fit_labels)
    )


def _row_wise(model: MemberEstimator, state: TeamState) -> Predictor:
    return Predictor(lambda: np.asarray(as_numpy(model.predict_proba(state.test))))


def devil(state: TeamState, control: str | None = None) -> Predictor:
    """The Devil's Advocate, or one of its controls; one fit gives all three."""

    def fit() -> DevilsAdvocate:
        return DevilsAdvocate(controls=True, seed=state.seed).fit(state.fit, state.fit_labels)

    model = state.shared.get("devil", fit)
    if control is None:
        return _row_wise(model, state)
    heads = model.controls_[control]

    def apply() -> Floats:
        logs = state.test.log_tensor(slice(0, state.test.n_rows))
        return np.asarray(softmax(heads.scores(logs)))

    return Predictor(apply)


def best_single(state: TeamState) -> Predictor:
    """The member that is best on the fit split."""
    best = state.best
    return Predictor(lambda: member_probabilities(state.test[best]))


def oracle(state: TeamState) -> Predictor:
    """What the first member says that is right, or the best if none is: a bound."""
    best = state.best

    def apply() -> Floats:
        right = member_classes(state.test) == state.labels
        member = np.where(right.any(axis=0), right.argmax(axis=0), best)
        every = np.stack([member_probabilities(each) for each in state.test])
        return np.asarray(every[member, np.arange(len(member))])

    return Predictor(apply)


def auto_team(state: TeamState) -> Predictor:
    """The whole pipeline on all members."""
    if state.fit.multilabel:
        return seeded(state, partial(MultilabelPostprocessor, metric=label_judge(state.metric)))
    pipeline = AutoPostprocessor(metric=state.metric, seed=state.seed)
    pipeline.fit(state.fit, state.fit_labels)
    return adapt_pipeline(pipeline, state.test, state.shared)


def member_classes(members: Members) -> Ints:
    """Predicted classes of each member, shape (M, n); of labels zeros and ones, (M, n, C)."""
    whole = slice(0, members.n_rows)
    if members.multilabel:
        return np.stack([as_numpy(member.probabilities(whole)) >= 0.5 for member in members])
    return np.stack([np.asarray(as_numpy(member.winners(whole))) for member in members])
