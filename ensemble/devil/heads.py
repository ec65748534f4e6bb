"""Heads of a Devil's Advocate ensemble on saved logits: affine maps, applied with NumPy alone.

With f_m the calibrated log-probabilities of member m, clipped at -12 and centred in each row, a
norm model is z_m = f_m + f_m R_m + b_m, where R_m is diagonal (or zero) for the smaller heads, and
the devil is z_0 = [f_1 ... f_M] W + a. Both are centred in each row. Only the S classes that occur
in the fit split are fitted; the others keep f_m, and the devil's 0. The vote is
Σ_m w_m z_m - w z_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.features import Calibration

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class DevilHeads:
    r"""Norm models and devil as affine maps of the members' calibrated log-probabilities."""

    betas: Matrix
    seen: NDArray[np.int64]
    slopes: Matrix
    biases: Matrix
    coef: Matrix
    intercept: Matrix
    weights: Matrix
    devil_weight: float

    def norm_logits(self, logs: Matrix) -> Matrix:
        """The norm models' logits, shape (M, k, C), from log-probabilities of that shape."""
        features = member_features(logs, self.betas)
        inputs = centred(features[:, :, self.seen])
        features[:, :, self.seen] += norm_change(inputs, self.slopes, self.biases)
        return features

    def devil_logits(self, logs: Matrix) -> Matrix:
        """The devil's logits, shape (k, C), from log-probabilities of shape (M, k, C)."""
        features = member_features(logs, self.betas)
        out = np.zeros(logs.shape[1:])
        inputs = centred(features[:, :, self.seen])
        out[:, self.seen] = devil_map(inputs, self.coef, self.intercept)
        return out

    def scores(self, logs: Matrix) -> Matrix:
        """Scores of the vote, shape (k, C), from log-probabilities of shape (M, k, C)."""
        total = np.tensordot(self.weights, self.norm_logits(logs), 1)
        if self.devil_weight > 0:
            total -= self.devil_weight * self.devil_logits(logs)
        return np.asarray(total)


def member_features(logs: Matrix, betas: Matrix) -> Matrix:
    """Calibrated log-probabilities, cut off at -12 and centred in each row, shape (M, k, C)."""
    n_members, n_rows, n_classes = logs.shape
    flat = Calibration(betas).features(logs)
    return np.ascontiguousarray(flat.reshape(n_rows, n_members, n_classes).transpose(1, 0, 2))


def norm_change(inputs: Matrix, slopes: Matrix, biases: Matrix) -> Matrix:
    """What norm models add to their members' logits, shape (M, k, S)."""
    change = inputs @ slopes if slopes.ndim == 3 else inputs * slopes[:, None, :]
    return centred(change + biases[:, None, :])


def devil_map(inputs: Matrix, coef: Matrix, intercept: Matrix) -> Matrix:
    """The devil's logits on the classes that were fitted, shape (k, S), from (M, k, S)."""
    flat = np.concatenate(list(inputs), axis=1)
    return centred(flat @ coef + intercept)


def centred(z: Matrix) -> Matrix:
    """Less the mean of each row."""
    return np.asarray(z - z.mean(axis=-1, keepdims=True))
