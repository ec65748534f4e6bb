"""The search of greedy selection for any metric: every mean is measured anew in each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.members import Members
from postproc.evaluation.registry import Metric, TaskName, find_metric
from postproc.scores.arrays import as_numpy
from postproc.scores.multilabel import label_scores


class MetricSearch:
    """The members' probabilities (n, C), and the metric of each mean with one member more."""

    def __init__(
        self, members: Members, y: NDArray[np.int64], metric: Metric, n_labels: int | None = None
    ) -> None:
        """Rows of two classes are judged as those of `n_labels` labels where that is given."""
        task: TaskName = "binary" if members.n_classes == 2 else "multiclass"
        metric.check_task(task if n_labels is None else "multilabel")
        self.y, self.metric, self.n_labels = y, metric, n_labels
        everyone = slice(0, len(y))
        self.probs = [
            as_numpy(member.probabilities(everyone)).astype(np.float32) for member in members
        ]

    def run(
        self, candidates: NDArray[np.int64], n_steps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Members in the order of their addition, and the metric after each."""
        log_loss = find_metric("log_loss")
        total = np.zeros_like(self.probs[0])
        selected, scores = [], []
        for step in range(1, n_steps + 1):

            def mean(m: int, total: NDArray[Any] = total, step: int = step) -> NDArray[Any]:
                return np.asarray((total + self.probs[m]) / np.float32(step))

            found = {m: self.metric.goodness(self._measure(mean(m))) for m in candidates.tolist()}
            score = max(found.values())
            best = [m for m in found if found[m] == score]
            if len(best) > 1:  # the least log-loss, then the first
                best = [min(best, key=lambda m: log_loss.measure(self.y, mean(m)).value)]
            selected.append(best[0])
            scores.append(score if self.metric.higher else -score)
            total += self.probs[best[0]]
        return np.array(selected), np.array(scores)

    def _measure(self, probs: NDArray[Any]) -> float:
        """The metric of probabilities (n, C)."""
        if self.n_labels is None:
            return self.metric.measure(self.y, probs).value
        labels = self.y.reshape(-1, self.n_labels)
        return self.metric.measure(labels, label_scores(probs, self.n_labels)).value
