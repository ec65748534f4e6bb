"""Methods that act on one member: calibration, label shift, CAN.

A method is fitted to a `MemberState` and returns how it predicts the test split: row by row, once
for all draws, or each draw as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.multilabel import MultilabelPostprocessor
from ensemble.auto.pipeline import AutoPostprocessor
from ensemble.bench.shared import SharedFits
from ensemble.members import Members
from postproc import bbse_prior, em_prior, map_prior
from postproc.calibration.by_name import make_calibrator
from postproc.can.model import CANModel
from postproc.can.options import PRESETS, CANOptions
from postproc.can.tuning import label_prior, tune_can
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import row_blocks
from postproc.scores.predictions import Predictions
from postproc.shift.reweight import joint_normalization, reweight_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: CAN with an estimated prior; more rows count as ambiguous than in the presets.
CAN_ON_FIT = CANOptions(top_k=None, threshold=0.5)


@dataclass(frozen=True)
class Draw:
    """A target: row numbers of the test split, and their labels for bounds only."""

    rows: Ints
    labels: Ints


@dataclass(frozen=True)
class Predictor:
    """Probabilities of the whole test split, or of a draw where `by_draw`; (k, C)."""

    apply: Callable[..., Floats]
    by_draw: bool = False


@dataclass
class MemberState:
    """One member of a task on both splits, and what its methods share."""

    fit: Predictions
    test: Predictions
    fit_labels: Ints
    seed: int
    metric: str = "accuracy"
    shared: SharedFits = field(default_factory=SharedFits)

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.fit.n_classes

    def calibrator(self, name: str) -> Any:
        """A calibrator fitted to the fit split."""

        def make() -> Any:
            model = make_calibrator(name, kind=self.fit.kind, random_state=self.seed)
            return model.fit(self.fit.scores, self.fit_labels)

        return self.shared.get(name, make)

    def held_out(self, name: str) -> Floats:
        """Calibrated probabilities of the fit split, out of fold, shape (m, C)."""
        return np.asarray(np.exp(self.calibrator(name).out_of_fold_))

    def calibrated(self, name: str) -> Floats:
        """Calibrated probabilities of the test split, shape (n, C)."""
        model = self.calibrator(name)
        return self.shared.get(
            f"{name} of test", lambda: np.exp(model.predict_log_proba(self.test.scores))
        )

    def source(self, name: str) -> Floats:
        """Source prior: the mean calibrated prediction on the fit split, shape (C,)."""
        return np.asarray(self.held_out(name).mean(axis=0))

    @property
    def label_prior(self) -> Floats:
        """Class frequencies of the fit labels, shape (C,)."""
        return label_prior(self.fit_labels, self.n_classes)


def can_preset(state: MemberState, preset: str) -> Predictor:
    """CAN as published: the draw's own confident rows are the reference."""
    probs, prior = member_probabilities(state.test), state.label_prior

    def apply(draw: Draw) -> Floats:
        rows = probs[draw.rows]
        model = CANModel.fit([rows], prior, PRESETS[preset], seed=state.seed)
        return np.asarray(model.adjust(rows)[0])

    return Predictor(apply, by_draw=True)


def can_tuned(state: MemberState) -> Predictor:
    """CAN with options chosen on the fit split, whose confident rows are the reference."""
    probs, prior = member_probabilities(state.fit), state.label_prior
    options = tune_can(probs, state.fit_labels, prior=prior, kind="probs", seed=state.seed).options
    if options is None:
        return Predictor(lambda: member_probabilities(state.test))
    model = CANModel.fit([probs], prior, options, seed=state.seed)
    return Predictor(lambda: np.asarray(model.adjust(member_probabilities(state.test))[0]))


def can_on_fit(state: MemberState) -> Predictor:
    """CAN with the fit split as the reference and the estimated prior of the draw."""
    held_out, source = state.held_out("temperature"), state.source("temperature")

    def apply(draw: Draw) -> Floats:
        rows = state.calibrated("temperature")[draw.rows]
        prior = map_prior(rows, source, fit_probs=held_out).prior
        return np.asarray(CANModel.fit([held_out], prior, CAN_ON_FIT).adjust(rows)[0])

    return Predictor(apply, by_draw=True)


def calibrate(state: MemberState, name: str) -> Predictor:
    """Calibration alone."""
    state.calibrator(name)
    return Predictor(lambda: state.calibrated(name))


def adapt(
    state: MemberState, name: str, estimate: Callable[[Floats, Floats, Draw], Floats]
) -> Predictor:
    """Calibrate, estimate the class prior of the draw, reweight."""
    source = state.source(name)

    def apply(draw: Draw) -> Floats:
        rows = state.calibrated(name)[draw.rows]
        return np.asarray(reweight_rows(rows, source, estimate(rows, source, draw)))

    return Predictor(apply, by_draw=True)


def em(state: MemberState) -> Predictor:
    """The prior of maximum likelihood."""
    return adapt(state, "bcts", lambda rows, source, draw: em_prior(rows, source).prior)


def map_em(state: MemberState, name: str = "bcts") -> Predictor:
    """The prior by EM, regularized by the evidence of a shift."""
    held_out = state.held_out(name)
    return adapt(
        state, name, lambda rows, source, draw: map_prior(rows, source, fit_probs=held_out).prior
    )


def map_8c(state: MemberState) -> Predictor:
    """The prior by EM with eight pseudo-rows per class."""
    strength = 8.0 * state.n_classes
    return adapt(
        state, "bcts", lambda rows, source, draw: map_prior(rows, source, strength=strength).prior
    )


def bbse(state: MemberState) -> Predictor:
    """The prior that solves the confusion matrix; the source prior if it is singular."""
    held_out = state.held_out("bcts")

    def estimate(rows: Floats, source: Floats, draw: Draw) -> Floats:
        try:
            return bbse_prior(rows, held_out, state.fit_labels, n_bootstrap=2).prior
        except ValueError:  # there is no estimate
            return source

    return adapt(state, "bcts", estimate)


def true_prior(state: MemberState) -> Predictor:
    """The prior of the draw's own labels: a bound."""

    def count(rows: Floats, source: Floats, draw: Draw) -> Floats:
        return np.asarray(np.bincount(draw.labels, minlength=len(source)) / len(draw.labels))

    return adapt(state, "bcts", count)


def sinkhorn(state: MemberState) -> Predictor:
    """Columns scaled to the source prior, rows to 1."""
    source = state.source("bcts")

    def apply(draw: Draw) -> Floats:
        return np.asarray(joint_normalization(state.calibrated("bcts")[draw.rows], source))

    return Predictor(apply, by_draw=True)


def auto_member(state: MemberState) -> Predictor:
    """The whole pipeline on one member."""
    if state.fit.multilabel:
        model = MultilabelPostprocessor(metric=label_judge(state.metric), seed=state.seed)
        model.fit(Members((state.fit,)), state.fit_labels)
        return Predictor(lambda: np.asarray(model.predict_proba(Members((state.test,)))))
    pipeline = AutoPostprocessor(metric=state.metric, seed=state.seed)
    pipeline.fit(Members((state.fit,)), state.fit_labels)
    return adapt_pipeline(pipeline, Members((state.test,)), state.shared)


def label_judge(metric: str) -> str:
    """The metric of `MultilabelPostprocessor`, whose own default is log-loss."""
    return "log_loss" if metric == "accuracy" else metric


def adapt_pipeline(pipeline: AutoPostprocessor, test: Members, shared: SharedFits) -> Predictor:
    """Adapt a fitted pipeline to each draw; members are combined once, for the whole split."""

    def combine() -> Floats:
        blocks = row_blocks(test.n_rows, test.n_classes)
        logs = pipeline.combined(test)
        return np.concatenate([as_numpy(logs(rows)) for rows in blocks])

    def apply(draw: Draw) -> Floats:
        logs = shared.get("auto of test", combine)[draw.rows]
        policy = pipeline.policy_
        if policy is None:
            return np.asarray(np.exp(logs))
        blocks = list(row_blocks(*logs.shape))
        decision = policy.decide(lambda rows: np.asarray(logs[rows]), blocks)
        return np.asarray(decision.probabilities(logs))

    return Predictor(apply, by_draw=True)


def member_probabilities(member: Predictions) -> Floats:
    """Uncalibrated probabilities of all rows in float64."""
    return np.asarray(as_numpy(member.probabilities()), dtype=np.float64)
