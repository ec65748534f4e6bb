"""Gradient-boosted trees that predict which candidate class of a row is correct."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members
from postproc.calibration.features import FLOOR, Calibration
from postproc.scores.arrays import Array, log_softmax, softmax

Matrix = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Candidates per row: the classes with the highest calibrated mean probability.
CANDIDATES = 5


class Boosting(Ensemble):
    """Gradient boosting on the members' log-probabilities, shared by all classes.

    One forest per class, the usual multi-class boosting, has too few rows per class and loses to
    every vote. Here each row gives five examples, its candidate classes, and one sequence of trees
    learns which of them is correct. The features are the members' calibrated log-probabilities of
    the candidate, their distance to the best class, the same for the members' mean, and the entropy
    of the mean.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, members: Members, y: Ints | None) -> None:
        assert y is not None
        from sklearn.ensemble import HistGradientBoostingClassifier

        logs = members.log_tensor(slice(0, len(y)))
        self.calibration_ = Calibration.fit(logs, y)
        examples, candidates = self._examples(logs)
        self.model_: Any = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.05,
            max_leaf_nodes=15,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self.seed,
        ).fit(examples, (candidates == y[:, None]).ravel())
        self.member_weights_ = np.full(len(members), 1 / len(members))

    def _combine(self, members: Members, rows: slice) -> Array:
        examples, candidates = self._examples(members.log_tensor(rows))
        scores = self.model_.decision_function(examples).reshape(candidates.shape)
        probs = np.zeros((len(candidates), members.n_classes))
        np.put_along_axis(probs, candidates, np.asarray(softmax(scores)), axis=1)
        return probs

    def _examples(self, logs: Matrix) -> tuple[Matrix, Ints]:
        """Features of all candidates, shape (k K, 2 M + 3), and which they are, shape (k, K)."""
        betas = self.calibration_.betas
        own = np.stack([log_softmax(b * member) for b, member in zip(betas, logs, strict=True)])
        probs = np.exp(own).mean(axis=0)
        levels = np.maximum(np.concatenate([own, np.log(probs)[None]]), FLOOR)
        gaps = levels - levels.max(axis=2, keepdims=True)
        entropy = -np.sum(probs * levels[-1], axis=1)
        wanted = min(CANDIDATES, probs.shape[1])
        candidates = np.argsort(-probs, axis=1, kind="stable")[:, :wanted]
        picked = np.take_along_axis(np.concatenate([levels, gaps]), candidates[None], axis=2)
        spread = np.broadcast_to(entropy[:, None], candidates.shape)
        examples = np.concatenate([picked, spread[None]]).transpose(1, 2, 0)
        return examples.reshape(candidates.size, -1), candidates
