"""Linear heads: multinomial models of all members' calibrated log-probabilities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.features import Calibration
from postproc.scores.arrays import log_softmax, softmax
from postproc.scores.codes import coded

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LinearHead:
    """Softmax of an affine map of the features, coef (M C, S); unseen classes keep their mean."""

    betas: Matrix
    coef: Matrix
    intercept: Matrix
    seen: NDArray[np.int64]

    def probabilities(self, logs: Matrix) -> Matrix:
        """Probabilities of shape (k, C), from log-probabilities of shape (M, k, C)."""
        calibration = Calibration(self.betas)
        known = softmax(calibration.features(logs) @ self.coef + self.intercept)
        if len(self.seen) == logs.shape[2]:
            return np.asarray(known)
        probs = calibration.probabilities(logs)
        unseen = np.ones(logs.shape[2], dtype=bool)
        unseen[self.seen] = False
        rest = 1 - probs[:, unseen].sum(axis=1, keepdims=True)
        probs[:, self.seen] = rest * known
        return probs

    def member_norms(self) -> Matrix:
        """Share of each member in the sum of the norms of the members' coefficients, shape (M,)."""
        blocks = self.coef.reshape(len(self.betas), -1)
        norms = np.sqrt((blocks**2).sum(axis=1))
        total = norms.sum()
        return norms / total if total > 0 else np.full(len(norms), 1 / len(norms))


def seen_classes(y: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes that occur, and the labels as positions among them."""
    seen, places = np.unique(y, return_inverse=True)
    return seen.astype(np.int64), places.astype(np.int64)


#: What becomes of classes without a row in the fit split.
UNSEEN_FATE = "the linear head leaves them what the calibrated members give on average"


def warn_unseen(
    y: NDArray[np.int64], n_classes: int, classes: list[str] | None, *, fate: str = UNSEEN_FATE
) -> None:
    """Warn of classes without a row in the fit split, and say what becomes of them."""
    unseen = np.setdiff1d(np.arange(n_classes), y)
    if len(unseen):
        names = [str(c) if classes is None else classes[c] for c in unseen[:3]]
        msg = (
            f"{len(unseen)} of {n_classes} classes have no row in the fit split "
            f"({', '.join(names)}{', ...' if len(unseen) > 3 else ''}); nothing is learned of "
            f"them, and {fate}"
        )
        warnings.warn(coded("unseen-classes", msg), UserWarning, stacklevel=5)


def label_log_loss(probs: Matrix, y: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the labels; zeros count as the least normal float64."""
    return float(row_losses(probs, y).mean())


def row_losses(probs: Matrix, y: NDArray[np.int64]) -> Matrix:
    """Negative log-probability of each row's label; zeros count as the least normal float64."""
    return -np.log(np.maximum(probs[np.arange(len(y)), y], np.finfo(np.float64).tiny))


def label_losses(z: Matrix, y: NDArray[np.int64]) -> Matrix:
    """Log-loss of each row under softmax(z), in nats."""
    return np.asarray(-log_softmax(z)[np.arange(len(y)), y])
