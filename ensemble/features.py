"""Calibrated log-probabilities of the members: what linear heads are fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.arrays import log_softmax, softmax

Matrix = NDArray[np.float64]

#: Log-probabilities below are cut off: 6e-6 and 1e-100 say the same to a linear head.
FLOOR = -12.0

#: Range of log β that is searched; the prior keeps the optimum well inside.
LOG_BETA = 10.0


def fit_temperature(logs: Matrix, y: NDArray[np.int64]) -> float:
    r"""Inverse temperature β > 0 of softmax(β log p) with the least log-loss, by search in log β.

    A standard normal prior on log β, worth one row, keeps β finite where all rows are right.

    Parameters
    ----------
    logs : array of shape (n, C)
        Log-probabilities.
    y : array of shape (n,)
        Classes.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017). On Calibration of Modern Neural Networks. ICML, section
    4.2.
    """
    from scipy.optimize import minimize_scalar

    # A row's loss needs the distance of each class from the true one only.
    margins = logs - np.take_along_axis(logs, y[:, None], axis=1)
    n_rows = len(y)

    def loss(log_beta: float) -> float:
        z = np.exp(log_beta) * margins
        top = z.max(axis=1)
        sums = np.exp(z - top[:, None]).sum(axis=1)
        return float(np.mean(np.log(sums) + top) + log_beta**2 / (2 * n_rows))

    result = minimize_scalar(
        loss, bounds=(-LOG_BETA, LOG_BETA), method="bounded", options={"xatol": 1e-8}
    )
    return float(np.exp(result.x))


@dataclass(frozen=True)
class Calibration:
    """A temperature for each member.

    Attributes
    ----------
    betas : array of shape (M,)
        Inverse temperatures.
    """

    betas: Matrix

    @classmethod
    def fit(cls, logs: Matrix, y: NDArray[np.int64]) -> Calibration:
        """Fit to log-probabilities of shape (M, n, C) and classes of shape (n,)."""
        return cls(np.array([fit_temperature(member, y) for member in logs]))

    def probabilities(self, logs: Matrix) -> Matrix:
        """Mean of the members' calibrated probabilities, shape (k, C), from (M, k, C)."""
        total = np.zeros(logs.shape[1:])
        for beta, member in zip(self.betas, logs, strict=True):
            total += softmax(beta * member)
        return total / len(logs)

    def features(self, logs: Matrix) -> Matrix:
        """Calibrated log-probabilities, cut off and centred in each row: shape (k, M C)."""
        blocks = []
        for beta, member in zip(self.betas, logs, strict=True):
            cut = np.maximum(log_softmax(beta * member), FLOOR)
            blocks.append(cut - cut.mean(axis=1, keepdims=True))
        return np.concatenate(blocks, axis=1)
