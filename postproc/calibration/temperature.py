"""Calibration of saved scores: temperature, and temperature with a class bias.

Both start as the identity, are penalized towards it, and are kept only if they beat it on held-out
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from postproc.calibration.affine import (
    AffineMap,
    AffineProblem,
    Curvature,
    Floats,
    Ints,
    Solution,
    apply_to_rows,
    fit_temperature,
    identity_map,
    left_out_temperatures,
    mean_log_loss,
    mean_solution,
    start_solution,
)
from postproc.calibration.calibrator import Calibrator
from postproc.scores.checks import check_number, fail
from postproc.scores.kinds import Kind

#: Penalties on the class bias to choose from by cross-validation, strong ones first.
BIAS_RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)

#: A path of penalties ends where the loss exceeds the best by this factor: it has a single minimum
#: but for noise, and weaker penalties are costlier to fit.
PATIENCE = 1.002


class TemperatureScaling(Calibrator):
    r"""One temperature for all classes: softmax(β log p), with β > 0 of lowest log-loss.

    Parameters
    ----------
    kind : {"logits", "probs"} or None
        What scores are; None detects it once, in `fit`.
    n_folds : int
        Folds >= 2 of the cross-validation that decides whether the fit is kept.
    max_iter : int
        Maximum number of iterations of the optimizer.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    temperature_ : float
        Temperature T = 1/β.
    inverse_temperature_ : float
        β.
    improved_ : bool
        Whether held-out log-loss decreased; if not, the estimator is the identity.
    held_out_log_loss_, identity_log_loss_ : float
        Mean log-loss of the out-of-fold predictions, and of the scores as given, in nats.
    out_of_fold_ : ndarray of shape (n, C)
        Log-probabilities of the fit rows, each by a fit without its fold.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of classes C.
    unseen_ : ndarray of int
        Classes without a label in `fit`.
    converged_ : bool
        Whether the optimizer met its tolerance.
    n_iter_ : int
        Number of iterations.
    model_ : MixedMap or AffineMap
        The fitted map, mixed with the share 1/(n + 1) of the uniform distribution, or the identity.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017). On Calibration of Modern Neural Networks. ICML, section
    4.2.

    Examples
    --------
    >>> logits = [[2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, 2.0]] * 5
    >>> labels = [0, 1, 0, 0] * 5
    >>> round(TemperatureScaling().fit(logits, labels).temperature_, 1)
    3.0
    """

    def _search(self, logs: Floats, y: Ints) -> None:
        self.inverse_temperature_ = fit_temperature(logs, y)
        plain = identity_map(logs.shape[1])
        held_out = np.empty_like(logs)
        splits = list(self._splits(logs, y))
        betas = left_out_temperatures(logs, y, splits, self.inverse_temperature_)
        for beta, (_, test) in zip(betas, splits, strict=True):
            apply_to_rows(AffineMap(beta, plain.bias, plain.unseen), logs, test, held_out)
        self.out_of_fold_ = held_out
        self.model_ = AffineMap(self.inverse_temperature_, plain.bias, plain.unseen)
        self.converged_, self.n_iter_ = True, 1


class BiasCorrectedTemperatureScaling(Calibrator):
    r"""A temperature and a class bias (BCTS): softmax(β log p + a).

    The penalty on the bias is r_a mean(a²), with r_a chosen by cross-validation on log-loss.

    Parameters
    ----------
    bias_ridges : sequence of float
        Candidates r_a > 0.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    bias_ : ndarray of shape (C,)
        The class bias a.
    bias_ridge_ : float
        The chosen penalty.
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`.

    References
    ----------
    Alexandari, Kundaje, Shrikumar (2020). Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation. ICML, section 3.2.

    Examples
    --------
    >>> logits = [[2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, 2.0]] * 5
    >>> labels = [0, 1, 0, 0] * 5
    >>> scaling = BiasCorrectedTemperatureScaling().fit(logits, labels)
    >>> bool(scaling.bias_[0] > scaling.bias_[1])
    True
    """

    bias_: Floats

    def __init__(
        self,
        *,
        bias_ridges: Sequence[float] = BIAS_RIDGES,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.bias_ridges = bias_ridges
        super().__init__(kind=kind, n_folds=n_folds, max_iter=max_iter, random_state=random_state)

    def _check_options(self) -> None:
        check_penalties(self.bias_ridges, "bias_ridges")

    def _search(self, logs: Floats, y: Ints) -> None:
        curvature, solutions = self._search_bias(logs, y)
        problem = AffineProblem(logs, None, y, curvature)
        solution = self._step(problem, 0.0, mean_solution(solutions))
        self.inverse_temperature_ = float(np.exp(solution.log_beta))
        self.bias_ = solution.bias
        self.model_ = AffineMap(self.inverse_temperature_, self.bias_, self.unseen_)
        self.converged_, self.n_iter_ = solution.converged, solution.n_iter

    def _search_bias(self, logs: Floats, y: Ints) -> tuple[Curvature, list[Solution]]:
        """Choose the penalty of the bias; return the curvature at its start, folds' solutions."""
        beta = fit_temperature(logs, y)
        curvature = Curvature.at(beta, logs)
        folds, solutions = [], []
        for train, test in self._splits(logs, y):
            inside = logs[train]
            folds.append((test, AffineProblem(inside, None, y[train], curvature)))
            solutions.append(start_solution(inside, y[train], beta))
        kept = solutions
        best, chosen = np.inf, float("nan")
        for ridge in check_penalties(self.bias_ridges, "bias_ridges"):
            self.bias_ridge_ = ridge
            held_out = np.empty_like(logs)
            for k, (test, problem) in enumerate(folds):
                found = solutions[k] = self._step(problem, 0.0, solutions[k])
                unseen = np.flatnonzero(~problem.seen)
                fitted = AffineMap(float(np.exp(found.log_beta)), found.bias, unseen)
                apply_to_rows(fitted, logs, test, held_out)
            loss = mean_log_loss(held_out, y)
            if loss < best:
                best, chosen, kept = loss, ridge, list(solutions)
                self.out_of_fold_ = held_out
            elif loss > PATIENCE * best:
                break
        self.bias_ridge_ = chosen
        return curvature, kept

    def _step(self, problem: AffineProblem, ridge: float, start: Solution) -> Solution:
        return problem.solve(ridge, self.bias_ridge_, start, max_iter=self.max_iter)

    def _keep_identity(self) -> None:
        super()._keep_identity()
        self.bias_ = np.zeros(self.n_features_in_)


def check_penalties(values: Any, name: str) -> list[float]:
    """Checked penalties > 0, strong ones first."""
    listed = [check_number(value, name, low=0.0, open_low=True) for value in values]
    if not listed:
        fail(name, "one number > 0 or more", "none")
    return sorted(listed, reverse=True)
