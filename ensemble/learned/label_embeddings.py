"""Label embeddings beside embeddings of rows, applied with NumPy alone.

With f(x) the calibrated log-probabilities of all members, cut off at -12, centred in each row and
side by side, the embedding of a row is h(x) = f(x) A, and the score of a label is h(x)·e_y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.features import Calibration

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LabelEmbeddings:
    """Embeddings e of the S labels with rows (S, d), and the map A of the features (M S, d)."""

    betas: Matrix
    keys: Matrix
    embeddings: Matrix
    seen: NDArray[np.int64]

    @classmethod
    def start(cls, betas: Matrix, seen: NDArray[np.int64], dimension: int, seed: int) -> Self:
        """Embeddings whose columns are orthogonal; a row starts as the mean of what it predicts.

        A holds the embeddings once a member, so that h(x) is the mean of the embeddings weighted
        by f(x). Their mean squared length is 1: with d = S each score is the members' mean.
        """
        n_seen = len(seen)
        noise = np.random.default_rng(seed).standard_normal((n_seen, dimension))
        embeddings = np.linalg.qr(noise)[0] * np.sqrt(n_seen / dimension)
        return cls(betas, np.tile(embeddings, (len(betas), 1)) / len(betas), embeddings, seen)

    @classmethod
    def mean(cls, parts: list[Self]) -> Self:
        """Embeddings side by side, whose scores are the mean of those of the parts."""
        keys = np.concatenate([part.keys for part in parts], axis=1) / len(parts)
        embeddings = np.concatenate([part.embeddings for part in parts], axis=1)
        return cls(parts[0].betas, keys, embeddings, parts[0].seen)

    def features(self, logs: Matrix) -> Matrix:
        """The features f (k, M S) from log-probabilities (M, k, C)."""
        return Calibration(self.betas).features(logs[:, :, self.seen])

    def scores(self, logs: Matrix) -> Matrix:
        """Scores (k, C) of mean 0, from log-probabilities (M, k, C); labels without rows have 0."""
        out = np.zeros(logs.shape[1:])
        out[:, self.seen] = self.scores_of(self.features(logs))
        return out

    def scores_of(self, features: Matrix) -> Matrix:
        """Scores (k, S) of mean 0, from features (k, M S)."""
        scores = features @ self.keys @ self.embeddings.T
        return np.asarray(scores - scores.mean(axis=1, keepdims=True))
