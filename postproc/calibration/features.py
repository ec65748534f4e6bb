"""Calibrated log-probabilities of the members: what linear heads are fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import fit_temperature
from postproc.calibration.matrix import clipped_features
from postproc.scores.arrays import Array, softmax

Matrix = NDArray[np.float64]

#: Log-probabilities below are cut off: 6e-6 and 1e-100 say the same to a linear head.
FLOOR = -12.0


@dataclass(frozen=True)
class Calibration:
    """A temperature for each member."""

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
        return np.asarray(member_features(self.betas, list(logs), -FLOOR))


def member_features(betas: Matrix, members: Sequence[Array], clip: float) -> Array:
    """Tempered log-probabilities of all members, clipped and centred, shape (k, M C)."""
    xp = api.array_namespace(*members)
    each = zip(betas.tolist(), members, strict=True)
    return xp.concat([clipped_features(logs, beta, clip) for beta, logs in each], axis=1)
