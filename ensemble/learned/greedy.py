"""Greedy ensemble selection with replacement."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.greedy_by_metric import MetricSearch
from ensemble.learned.greedy_search import METRICS, FastMetric, Search
from ensemble.members import Members
from ensemble.pools import linear_pool
from postproc.evaluation.registry import find_metric
from postproc.scores.arrays import Array
from postproc.scores.checks import check_count, check_number


class GreedySelection(Ensemble):
    """Members added one by one, with replacement, to the mean that the metric likes best.

    Every step adds the member with which the mean of all added so far scores best on the fit
    split; among equals the one with the least log-loss, then the first. Of all prefixes the best
    is kept, the shortest of equals. A member's weight is how often it was added.

    Parameters
    ----------
    metric : str
        What is improved on the fit split: a metric of `accuracy_report`. The search for accuracy,
        log_loss and macro_f1 is many times as fast. Of multi-label members a metric of
        `multilabel_report`, where accuracy is that of whole rows.
    n_steps : int
        Number of additions >= 1.
    n_bags : int
        Number of runs >= 1 whose weights are averaged. With more than one, each run may choose
        among a random part of the members only.
    bag_fraction : float
        That part, in (0, 1]; at least one member.
    seed : int
        Seed of the parts.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The weights, summing to 1.
    scores_ : list of ndarray
        For each run, the metric after each step: shares as fractions, log-loss in nats.
    selected_ : list of ndarray of int
        For each run, the members in the order in which they were added, up to the best prefix.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew, Ksikes (2004). Ensemble selection from libraries of models.
    ICML, section 2.

    Examples
    --------
    >>> right, wrong = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.7, 0.3]]
    >>> GreedySelection().fit([wrong, right], [0, 1]).member_weights_
    array([0., 1.])
    """

    reads_logs = False

    def __init__(
        self,
        *,
        metric: str = "accuracy",
        n_steps: int = 50,
        n_bags: int = 1,
        bag_fraction: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.n_steps = n_steps
        self.n_bags = n_bags
        self.bag_fraction = bag_fraction
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        metric = find_metric(self.metric)
        n_steps = check_count(self.n_steps, "n_steps", low=1)
        n_bags = check_count(self.n_bags, "n_bags", low=1)
        fraction = check_number(self.bag_fraction, "bag_fraction", low=0.0, high=1.0, open_low=True)
        generator = np.random.default_rng(check_count(self.seed, "seed", low=0))
        n_members = len(members)
        is_fast = metric.name == "log_loss" if self.multilabel_ else metric.name in METRICS
        search = (
            Search(members, y, cast(FastMetric, metric.name))
            if is_fast
            else MetricSearch(members, y, metric, self.n_classes_ if self.multilabel_ else None)
        )
        self.member_weights_ = np.zeros(n_members)
        self.scores_, self.selected_ = [], []
        for _ in range(n_bags):
            candidates = np.arange(n_members)
            if n_bags > 1:
                size = max(1, round(fraction * n_members))
                candidates = np.sort(generator.choice(n_members, size=size, replace=False))
            selected, scores = search.run(candidates, n_steps)
            kept = int(np.argmax(scores) if metric.higher else np.argmin(scores)) + 1
            self.selected_.append(selected[:kept])
            self.scores_.append(scores)
            counts = np.bincount(selected[:kept], minlength=n_members)
            self.member_weights_ += counts / (kept * n_bags)

    def _combine(self, members: Members, rows: slice) -> Array:
        chosen = np.flatnonzero(self.member_weights_).tolist()
        probs = [members[m].probabilities(rows) for m in chosen]
        return linear_pool(probs, self.member_weights_[chosen])
