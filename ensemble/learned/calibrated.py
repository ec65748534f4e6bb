"""Calibrated soft voting: a temperature for each member, then the linear pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members, check_weights
from postproc.calibration.features import Calibration
from postproc.scores.arrays import Array, softmax


class CalibratedVoting(Ensemble):
    r"""Linear pool of members that were calibrated on the fit split, each by a temperature.

    .. math:: p = \sum_m w_m \mathrm{softmax}(\beta_m \log P_m)

    Parameters
    ----------
    weights : array_like of shape (M,), optional
        What each member counts, w >= 0; equal by default.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The weights, summing to 1.
    temperatures_ : ndarray of shape (M,)
        Temperatures 1/β: above 1 where a member was too confident.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017). On Calibration of Modern Neural Networks. ICML, section
    4.2.

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]
    >>> votes = CalibratedVoting().fit([a], [0, 1, 1, 1])
    >>> votes.temperatures_.round(1)
    array([1.5])
    """

    def __init__(self, *, weights: Any = None) -> None:
        self.weights = weights

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        self.member_weights_ = check_weights(self.weights, len(members))
        calibration = Calibration.fit(members.log_tensor(slice(0, len(y))), y)
        self.temperatures_ = 1 / calibration.betas

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        pairs = zip(self.member_weights_, self.temperatures_, logs, strict=True)
        return sum(weight * softmax(member / temperature) for weight, temperature, member in pairs)
