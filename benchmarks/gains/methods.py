"""Methods that the protocol compares: each predicts the classes of a target drawn from the test.

A member is fitted once, on its fit split, when a method first asks for it. What is row-wise is
applied to the whole test split once; only what looks at the target as a whole is done for every
draw.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto import AutoPostprocessor
from postproc.adaptation import joint_normalization, reweight_rows
from postproc.calibration import BiasCorrectedTemperatureScaling, TemperatureScaling
from postproc.can_model import CANModel, CANOptions
from postproc.label_shift import bbse_prior, em_prior, map_prior
from postproc.matrix_scaling import ResidualMatrixScaling
from postproc.predictions import Predictions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: CAN as the table of peers has it.
CAN_OPTIONS = CANOptions(top_k=None, threshold=0.5)


@dataclass(frozen=True)
class Calibrated:
    """Calibrated probabilities, out of fold on the fit split and on the whole test split."""

    fit: Floats
    test: Floats

    @property
    def source(self) -> Floats:
        """Source prior: the mean calibrated prediction on the fit split."""
        return np.asarray(self.fit.mean(axis=0))


@dataclass
class Member:
    """One classifier of one task, and what was fitted on its fit split."""

    fit: Predictions
    labels: Ints
    test: Predictions

    @cached_property
    def temperature(self) -> Calibrated:
        """Temperature scaling."""
        return self._calibrate(TemperatureScaling)

    @cached_property
    def bcts(self) -> Calibrated:
        """Bias-corrected temperature scaling."""
        return self._calibrate(BiasCorrectedTemperatureScaling)

    @cached_property
    def matrix(self) -> Calibrated:
        """Residual matrix scaling."""
        return self._calibrate(ResidualMatrixScaling)

    @cached_property
    def auto(self) -> AutoPostprocessor:
        """What `auto` learned from the fit split."""
        return AutoPostprocessor().fit([self.fit.scores], self.labels, kinds=[self.fit.kind])

    def _calibrate(self, kind: Any) -> Calibrated:
        model = kind(kind=self.fit.kind).fit(self.fit.scores, self.labels)
        logs = model.predict_log_proba(self.test.scores)
        return Calibrated(np.exp(model.out_of_fold_), np.exp(logs))


@dataclass(frozen=True)
class Draw:
    """A target: rows of the test split, and their labels for the oracle alone."""

    rows: Ints
    labels: Ints


def _em(calibrated: Calibrated, draw: Draw) -> Floats:
    probs = calibrated.test[draw.rows]
    q = em_prior(probs, calibrated.source).prior
    return reweight_rows(probs, calibrated.source, q)


def _map(calibrated: Calibrated, draw: Draw, strength: float | None = None) -> Floats:
    return reweight_rows(
        calibrated.test[draw.rows], calibrated.source, _map_prior(calibrated, draw, strength)
    )


def _map_prior(calibrated: Calibrated, draw: Draw, strength: float | None = None) -> Floats:
    probs = calibrated.test[draw.rows]
    fit = calibrated.fit if strength is None else None
    return map_prior(probs, calibrated.source, strength=strength, fit_probs=fit).prior


def _bbse(member: Member, draw: Draw) -> Floats:
    calibrated = member.bcts
    probs = calibrated.test[draw.rows]
    try:
        q = bbse_prior(probs, calibrated.fit, member.labels, n_bootstrap=2).prior
    except ValueError:  # a singular confusion matrix: there is no estimate
        return probs
    return reweight_rows(probs, calibrated.source, q)


def _true_prior(member: Member, draw: Draw) -> Floats:
    calibrated = member.bcts
    counts = np.bincount(draw.labels, minlength=calibrated.test.shape[1])
    return reweight_rows(calibrated.test[draw.rows], calibrated.source, counts / counts.sum())


def _can_on_target(member: Member, draw: Draw) -> Floats:
    probs = member.temperature.test[draw.rows]
    return np.asarray(
        CANModel.fit([probs], member.temperature.source, CAN_OPTIONS).adjust(probs)[0]
    )


def _can_on_fit(member: Member, draw: Draw) -> Floats:
    prior = _map_prior(member.temperature, draw)
    model = CANModel.fit([member.temperature.fit], prior, CAN_OPTIONS)
    return np.asarray(model.adjust(member.temperature.test[draw.rows])[0])


def _auto(member: Member, draw: Draw) -> Floats:
    rows = np.asarray(member.test.scores[draw.rows])
    return np.asarray(member.auto.predict_proba([rows], kinds=[member.fit.kind]))


#: Methods by name: probabilities of the rows of a draw.
METHODS: dict[str, Callable[[Member, Draw], Floats]] = {
    "auto": _auto,
    "BCTS": lambda member, draw: member.bcts.test[draw.rows],
    "BCTS + EM": lambda member, draw: _em(member.bcts, draw),
    "BCTS + MAP": lambda member, draw: _map(member.bcts, draw),
    "BCTS + MAP, 8C": lambda member, draw: _map(member.bcts, draw, 8.0 * member.bcts.test.shape[1]),
    "matrix": lambda member, draw: member.matrix.test[draw.rows],
    "matrix + MAP": lambda member, draw: _map(member.matrix, draw),
    "BCTS + BBSE": _bbse,
    "BCTS + Sinkhorn, source prior": lambda member, draw: joint_normalization(
        member.bcts.test[draw.rows], member.bcts.source
    ),
    "CAN, source prior": _can_on_target,
    "CAN, fit reference, MAP prior": _can_on_fit,
    "BCTS + true prior (oracle)": _true_prior,
}


def predict(name: str, member: Member, draw: Draw) -> Ints:
    """Predicted classes; warnings of a method about its data are no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(METHODS[name](member, draw).argmax(axis=1))
