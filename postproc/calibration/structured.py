r"""Structured scaling: a matrix whose penalties depend on what its entries do, chosen by no search.

With x = log((1 - ε) softmax(β log p) + ε/C), β the temperature's and ε = 1/(n + 1),

.. math:: \log p' = \log \mathrm{softmax}(x + x W + b)

minimizes mean log-loss + C/n ‖b‖² + C/n Σ_i W_ii² + C (C - 1)/n Σ_{i≠j} W_ij². The penalty of an
entry grows with the number of its like, so that many classes are left with temperature scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import (
    Floats,
    Ints,
    affine_loss,
    apply_to_rows,
    fit_temperature,
    keep_unseen,
    unseen_classes,
)
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.mixing import mixed_logs
from postproc.calibration.quasi_newton import Minimum, minimize_smooth
from postproc.scores.arrays import Array, beside, log_softmax, softmax
from postproc.scores.checks import check_count
from postproc.scores.kinds import Kind

#: Rows that second derivatives are measured on; they only precondition.
CURVATURE_ROWS = 1000

Precondition = Callable[[Floats], Floats]


@dataclass(frozen=True)
class StructuredMap:
    """Structured scaling, fitted, for the C - U classes with rows; weight is 1-d if diagonal."""

    beta: float
    mix: float
    bias: Floats
    weight: Floats
    unseen: Ints

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        own = self.beta * logs
        if len(self.unseen) == 0:
            return log_softmax(self._scale(own))
        xp = api.array_namespace(logs)
        seen = np.setdiff1d(np.arange(logs.shape[1]), self.unseen)
        columns = xp.asarray(seen, device=api.device(logs))
        scaled = 1.0 * own
        scaled[:, columns] = self._scale(own[:, columns])
        return keep_unseen(scaled, own, self.unseen)

    def _scale(self, tempered: Array) -> Array:
        x = mixed_logs(tempered, self.mix)
        weight, bias = beside(self.weight, x), beside(self.bias, x)
        return x + (x * weight if self.weight.ndim == 1 else x @ weight) + bias


def fit_structured_map(
    logs: Floats, y: Ints, near: float, *, matrix_classes: int, max_iter: int
) -> tuple[StructuredMap, Minimum]:
    """Fit to log-probabilities (n, C), whose inverse temperature is sought from `near`."""
    unseen = unseen_classes(y, logs.shape[1])
    seen, places = np.unique(y, return_inverse=True)
    beta = fit_temperature(logs, y, near)
    mix = 1.0 / (len(y) + 1)
    x = mixed_logs(beta * (logs if len(unseen) == 0 else logs[:, seen]), mix)
    diagonal = len(seen) > matrix_classes
    precondition = precondition_by_classes(x, diagonal=diagonal)
    found = fit_structured(x, places, precondition, diagonal=diagonal, max_iter=max_iter)
    both = found.x.reshape(-1, len(seen))
    weight = both[0] if diagonal else both[:-1]
    return StructuredMap(beta, mix, both[-1], weight, unseen), found


def fit_structured(
    x: Floats,
    y: Ints,
    precondition: Precondition,
    *,
    diagonal: bool,
    max_iter: int,
    tolerance: float = 1e-9,
) -> Minimum:
    """Minimize the objective; the minimum is at [W; b], (C + 1, C), or [w; b], (2, C), in a row."""
    n_rows, n_classes = x.shape
    penalties = _penalties(n_rows, n_classes, diagonal=diagonal)

    def objective(theta: Floats) -> tuple[float, Floats]:
        both = theta.reshape(penalties.shape)
        weight, bias = both[:-1], both[-1]
        if diagonal:
            loss, *slopes, _ = affine_loss(x, None, y, 1.0 + weight[0], bias, weight[:0])
            slope = np.stack(slopes)
        else:
            loss, _, slope_bias, slopes_weight = affine_loss(x, x, y, 1.0, bias, weight)
            slope = np.vstack([slopes_weight, slope_bias])
        loss += float(np.vdot(penalties, both**2))
        return loss, (slope + 2.0 * penalties * both).ravel()

    start = np.zeros(penalties.size)
    return minimize_smooth(objective, start, precondition, max_iter=max_iter, tolerance=tolerance)


def precondition_by_classes(x: Floats, *, diagonal: bool) -> Precondition:
    """Inverse Hessian at the identity, without what connects the columns of [W; b]."""
    n_rows, n_classes = x.shape
    part = x[:: max(1, n_rows // CURVATURE_ROWS)]
    probs = softmax(part)
    shares = probs * (1.0 - probs) / len(part)
    penalties = 2.0 * _penalties(n_rows, n_classes, diagonal=diagonal)
    if diagonal:
        # [x_c, 1] of class c alone: blocks of 2 by 2.
        designs = np.stack([part, np.ones_like(part)])
        hessians = np.einsum("inc,jnc,nc->cij", designs, designs, shares)
    else:
        design = np.hstack([part, np.ones((len(part), 1))])
        hessians = np.stack([(design.T * share) @ design for share in shares.T])
    size = len(penalties)
    hessians[:, np.arange(size), np.arange(size)] += penalties.T
    inverses = np.linalg.inv(hessians)

    def apply(slopes: Floats) -> Floats:
        columns = slopes.reshape(penalties.shape).T[:, :, None]
        return np.asarray((inverses @ columns)[:, :, 0].T.ravel())

    return apply


def _penalties(n_rows: int, n_classes: int, *, diagonal: bool) -> Floats:
    """Strengths of the penalties on the squares of [W; b], (C + 1, C), or of [w; b], (2, C)."""
    if diagonal:
        return np.full((2, n_classes), n_classes / n_rows)
    penalties = np.full((n_classes + 1, n_classes), n_classes * (n_classes - 1) / n_rows)
    penalties[-1] = n_classes / n_rows
    np.fill_diagonal(penalties, n_classes / n_rows)
    return penalties


class StructuredScaling(Calibrator):
    r"""A matrix and a class bias with fixed penalties: softmax(x + x W + b).

    x are the logarithms of the tempered probabilities, mixed with the share 1/(n + 1) of the
    uniform distribution. The penalties are C/n on the squares of b and of the diagonal of W, and
    C (C - 1)/n on those off the diagonal. No cross-validation chooses among strengths.

    Parameters
    ----------
    matrix_classes : int
        Most classes >= 2 for which W has entries off the diagonal.
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    weight_ : ndarray of shape (C, C) or (C,)
        The matrix W, or its diagonal; zero for classes without a label.
    bias_ : ndarray of shape (C,)
        The class bias b.
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `MixedMap` of a `StructuredMap`.

    References
    ----------
    Berta, Holzmüller, Jordan, Bach (2026). Structured matrix scaling for multi-class calibration.
    AISTATS.

    Examples
    --------
    >>> logits = [[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 4.0]] * 50
    >>> labels = [0, 1, 0, 0] * 50
    >>> scaling = StructuredScaling(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([[4.0, 0.0], [0.0, 4.0]]).round(2)
    array([[0.98, 0.02],
           [0.5 , 0.5 ]])
    """

    bias_: Floats
    weight_: Floats

    def __init__(
        self,
        *,
        matrix_classes: int = 200,
        kind: Kind | None = None,
        n_folds: int = 5,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.matrix_classes = matrix_classes
        super().__init__(kind=kind, n_folds=n_folds, max_iter=max_iter, random_state=random_state)

    def _check_options(self) -> None:
        check_count(self.matrix_classes, "matrix_classes", low=2)

    def _search(self, logs: Floats, y: Ints) -> None:
        self.inverse_temperature_ = fit_temperature(logs, y)
        self.model_, found = self._fit_map(logs, y)
        self.bias_, self.weight_ = self._widen(self.model_)
        self.converged_, self.n_iter_ = found.converged, found.n_iter
        self.out_of_fold_ = np.empty_like(logs)
        for train, test in self._splits(logs, y):
            fitted, _ = self._fit_map(logs[train], y[train])
            apply_to_rows(fitted, logs, test, self.out_of_fold_)

    def _fit_map(self, logs: Floats, y: Ints) -> tuple[StructuredMap, Minimum]:
        return fit_structured_map(
            logs,
            y,
            self.inverse_temperature_,
            matrix_classes=self.matrix_classes,
            max_iter=self.max_iter,
        )

    def _widen(self, model: StructuredMap) -> tuple[Floats, Floats]:
        """Bias and weight for all classes."""
        n_classes = len(model.bias) + len(model.unseen)
        seen = np.setdiff1d(np.arange(n_classes), model.unseen)
        bias = np.zeros(n_classes)
        bias[seen] = model.bias
        weight = np.zeros((n_classes,) * model.weight.ndim)
        weight[np.ix_(*[seen] * model.weight.ndim)] = model.weight
        return bias, weight

    def _keep_identity(self) -> None:
        super()._keep_identity()
        self.bias_, self.weight_ = np.zeros_like(self.bias_), np.zeros_like(self.weight_)
