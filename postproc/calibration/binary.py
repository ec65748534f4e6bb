"""Calibration of two classes: beta and quadratic maps of the log-odds, and the best of several."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import (
    AffineMap,
    Floats,
    Ints,
    apply_to_rows,
    fit_temperature,
    identity_map,
)
from postproc.calibration.by_name import make_calibrator
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.log_odds import (
    BetaFeatures,
    Features,
    LogOddsMap,
    QuadraticFeatures,
    fit_log_odds,
    log_odds,
)
from postproc.scores.arrays import Array
from postproc.scores.checks import fail

#: What `BinaryCalibration` averages.
CANDIDATES = ("temperature", "bcts", "beta", "quadratic", "venn-abers")

#: The least weight that counts, and the least standard error.
LEAST_WEIGHT = 0.01
TINY = 1e-15


class TwoClassCalibrator(Calibrator):
    """Base of calibrators of two classes. A subclass has `_fit_map`."""

    def _search(self, logs: Floats, y: Ints) -> None:
        check_two_classes(self, logs)
        self.inverse_temperature_ = fit_temperature(logs, y)
        self.converged_, self.n_iter_ = True, 1
        self.model_ = self._fitted(logs, y)
        held_out = np.empty_like(logs)
        for train, test in self._splits(logs, y):
            apply_to_rows(self._fitted(logs[train], y[train]), logs, test, held_out)
        self.out_of_fold_ = held_out

    def _fitted(self, logs: Floats, y: Ints) -> Any:
        """The fitted map; a temperature where one class has no row, or all rows are alike."""
        if len(np.unique(y)) < 2 or bool((logs == logs[0]).all()):
            plain = identity_map(2)
            return AffineMap(fit_temperature(logs, y), plain.bias, plain.unseen)
        return self._fit_map(logs, y)

    def _fit_map(self, logs: Floats, y: Ints) -> Any:
        raise NotImplementedError


def check_two_classes(calibrator: Calibrator, logs: Floats) -> None:
    """Refuse more than two classes."""
    if logs.shape[1] != 2:
        rule = f"of two classes for {type(calibrator).__name__}"
        fail("scores", rule, f"{logs.shape[1]} classes", "use matrix, structured or temperature")


class _LogOddsCalibrator(TwoClassCalibrator):
    """Beta or quadratic calibration."""

    def _fit_map(self, logs: Floats, y: Ints) -> LogOddsMap:
        model, converged = fit_log_odds(self._features(logs), logs, y)
        self.converged_ = self.converged_ and converged
        return model

    def _features(self, logs: Floats) -> Features:
        raise NotImplementedError


class BetaCalibration(_LogOddsCalibrator):
    r"""Beta calibration of two classes: logit p' = a log p - b log(1 - p) + c, with a, b >= 0.

    Parameters
    ----------
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`; the temperature is that of temperature scaling.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `LogOddsMap`.

    References
    ----------
    Kull, Silva Filho, Flach (2017). Beta calibration: a well-founded and easily implemented
    improvement on logistic calibration for binary classifiers. AISTATS, section 4.

    Examples
    --------
    >>> logits, labels = [3.5, -3.5, 3.5, -3.5] * 50, [1, 0, 1, 1] * 50
    >>> scaling = BetaCalibration(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([3.5, -3.5]).round(2)
    array([0.98, 0.49])
    """

    def _features(self, logs: Floats) -> Features:
        return BetaFeatures()


class QuadraticScaling(_LogOddsCalibrator):
    r"""Quadratic calibration of two classes: logit p' = a + b z + c z², rising with z = logit p.

    The parabola rises over the range of the fit rows, and goes on as a straight line outside of it.

    Parameters
    ----------
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`; the temperature is that of temperature scaling.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `LogOddsMap`.

    References
    ----------
    Platt (1999). Probabilistic outputs for support vector machines. Advances in Large Margin
    Classifiers, section 2, with a square of the score.

    Examples
    --------
    >>> logits, labels = [3.5, -3.5, 3.5, -3.5] * 50, [1, 0, 1, 1] * 50
    >>> scaling = QuadraticScaling(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([3.5, -3.5]).round(2)
    array([0.98, 0.49])
    """

    def _features(self, logs: Floats) -> Features:
        z = log_odds(logs)
        return QuadraticFeatures(float(z.min()), float(z.max()))


@dataclass(frozen=True)
class LinearPoolMap:
    """Mean of the probabilities of several maps."""

    maps: tuple[Any, ...]
    weights: Floats  # (m,), summing to 1

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        return pool_logs([model(logs) for model in self.maps], self.weights)


def pool_logs(logs: Sequence[Array], weights: Floats) -> Array:
    """Logarithms of the mean of the probabilities of m maps, shape (n, C)."""
    xp = api.array_namespace(*logs)
    total = logs[0] + math.log(weights[0])
    for each, weight in zip(logs[1:], weights[1:], strict=True):
        total = xp.logaddexp(total, each + math.log(weight))
    return total


def evidence_weights(losses: Floats) -> Floats:
    """Weights exp(-z²/2), summing to 1, of m methods from their losses on n rows, (m, n).

    z is the mean difference to the best method over its standard error.
    """
    apart = losses - losses[losses.mean(axis=1).argmin()]
    errors = apart.std(axis=1) / math.sqrt(apart.shape[1])
    z = apart.mean(axis=1) / np.maximum(errors, TINY)
    weights = np.exp(-(z**2) / 2.0)
    weights[weights < LEAST_WEIGHT * weights.sum()] = 0.0
    return np.asarray(weights / weights.sum())


class BinaryCalibration(TwoClassCalibrator):
    r"""Temperature, BCTS, beta, quadratic and Venn-Abers calibration, weighted by held-out rows.

    .. math:: p' = \sum_m w_m p_m, \quad w_m \propto \exp(-z_m^2 / 2)

    with z_m the held-out log-loss of calibrator m less that of the best, over its standard error: a
    calibrator counts as far as it may be the best. Weights below 0.01 are set to zero.

    Parameters
    ----------
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    shares_ : dict of str to float
        Weight of each calibrator that counts.
    losses_ : dict of str to float
        Held-out log-loss of each.
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`; the temperature is that of temperature scaling.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `LinearPoolMap`.

    Examples
    --------
    >>> logits, labels = [3.5, -3.5, 3.5, -3.5] * 50, [1, 0, 1, 1] * 50
    >>> scaling = BinaryCalibration(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([3.5, -3.5]).round(2)
    array([0.99, 0.5 ])
    """

    shares_: dict[str, float]
    losses_: dict[str, float]

    def _search(self, logs: Floats, y: Ints) -> None:
        check_two_classes(self, logs)
        fitted: dict[str, Calibrator] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # this calibrator says it itself
            for name in CANDIDATES:
                options = {**self.get_params(), "kind": "logits"}
                fitted[name] = make_calibrator(name, **options).fit(logs, y)
        self.inverse_temperature_ = fitted["temperature"].inverse_temperature_
        held_out = {name: each.out_of_fold_ for name, each in fitted.items()}
        rows = np.arange(len(y))
        losses = np.array([-each[rows, y] for each in held_out.values()])
        self.losses_ = dict(zip(held_out, losses.mean(axis=1).tolist(), strict=True))
        shares = evidence_weights(losses)
        kept = [name for name, share in zip(held_out, shares, strict=True) if share > 0]
        weights = shares[shares > 0]
        self.shares_ = dict(zip(kept, weights.tolist(), strict=True))
        self.out_of_fold_ = pool_logs([held_out[name] for name in kept], weights)
        self.model_ = LinearPoolMap(tuple(fitted[name].model_ for name in kept), weights)
        self.converged_ = all(fitted[name].converged_ for name in kept)
        self.n_iter_ = max(fitted[name].n_iter_ for name in kept)
