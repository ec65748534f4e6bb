"""Tuning of ensembles whose `fit` does not choose its hyperparameters itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Kinds, as_labels
from ensemble.learned.greedy import GreedySelection
from ensemble.members import Members, check_members
from ensemble.pools import linear_pool
from postproc.evaluation.choice import (
    Decided,
    Progress,
    Rows,
    TuningResult,
    check_grid,
    cross_validate,
    make_plan,
)
from postproc.evaluation.registry import find_metric
from postproc.scores.arrays import as_numpy
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.multilabel import label_log_odds

#: The default grid of greedy selection. The number of additions needs no choice: the best prefix
#: is kept.
GREEDY_GRID: Mapping[str, tuple[Any, ...]] = {
    "n_bags": (1, 5),
    "metric": ("accuracy", "log_loss", "macro_f1"),
    "bag_fraction": (0.5,),
}

#: That of labels that do not exclude each other.
LABEL_GRID = {**GREEDY_GRID, "metric": ("micro_f1", "log_loss", "macro_f1")}


@takes_frames("members", labels={"y": "members"})
def tune_greedy(
    members: Iterable[Any],
    y: Any,
    *,
    grid: Mapping[str, Any] | None = None,
    n_folds: int = 5,
    n_repeats: int = 1,
    seed: int = 0,
    kinds: Kinds = None,
    multilabel: bool = False,
    metric: str | None = None,
    progress: Progress | None = None,
) -> TuningResult:
    """Choose the options of greedy selection by repeated stratified cross-validation.

    Doing nothing is soft voting with equal weights: it wins unless the best setting gains more
    than one standard error over it, and the gain measured on outer folds has a 95 % interval
    above zero. Of settings within one standard error of the best the first of the grid is taken:
    one run before many.

    Parameters
    ----------
    members : sequence of M arrays or tensors of shape (n, C), or Members
        Scores of each member for the labelled rows.
    y : array_like of shape (n,)
        Labels; (n, C) zeros and ones of labels that do not exclude each other.
    grid : mapping of str to list, optional
        Values to try of `n_bags`, `metric` and `bag_fraction`, simple ones first; those left out
        have the values of `GREEDY_GRID`, or with `multilabel` of `LABEL_GRID`.
    n_folds : int
        Number of folds >= 3, outer and inner ones.
    n_repeats : int in 1..100
        How often rows are dealt anew into folds.
    seed : int
        Seed of the folds and of `GreedySelection`.
    kinds : {"logits", "probs"} or sequence of them, optional
        The kind of all members or of each; None detects it.
    multilabel : bool
        Whether every column is a label of its own. `Members` know this themselves.
    metric : str, optional
        What settings are judged by: a metric of `accuracy_report`, or with `multilabel` of
        `multilabel_report`; accuracy by default, or micro_f1 with `multilabel`. The grid tries it
        for selecting members, too, unless `grid` names the metrics to try.
    progress : callable, optional
        Called with the share of the work that is done, in [0, 1].

    Returns
    -------
    TuningResult
        The chosen parameters of `GreedySelection` or None, all settings, and the nested gain over
        soft voting.

    Raises
    ------
    TypeError, ValueError
        If members, labels, grid or a count are not valid.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew, Ksikes (2004). Ensemble selection from libraries of models.
    ICML. Hastie, Tibshirani, Friedman (2009). The Elements of Statistical Learning, section 7.10.
    """
    checked = check_members(members, kinds=kinds, multilabel=multilabel)
    labels: NDArray[Any] = as_labels(y, checked)
    default, task = GREEDY_GRID, checked[0].task
    if checked.multilabel:
        default = LABEL_GRID
        labels = labels.reshape(-1, checked.n_classes)
    judge = find_metric(metric or str(default["metric"][0]))
    judge.check_task(task)
    tried = tuple(dict.fromkeys((*default["metric"], judge.name)))
    lists = check_grid(grid, {**default, "metric": tried})
    for each in lists["metric"]:
        find_metric(each).check_task(task)
    settings = [dict(zip(lists, point, strict=True)) for point in product(*lists.values())]
    plan = make_plan(
        _features(checked),
        labels,
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=seed,
        learns_labels=True,
    )
    needs_classes = judge.needs == "labels"
    evaluation = _Evaluation(
        checked, labels, settings, seed, progress, plan.n_evaluations, needs_classes
    )
    return cross_validate(
        evaluation,
        evaluation.decided(np.full(len(checked), 1 / len(checked)), np.arange(len(labels))),
        labels,
        plan,
        settings,
        method="greedy",
        n_classes=checked.n_classes,
        seed=seed,
        metric=judge,
    )


def _features(members: Members) -> NDArray[np.float64]:
    """What folds are dealt by: logs (M, n, C), or log-odds (n, m, M) of m labels."""
    if not members.multilabel:
        return members.log_tensor(slice(0, members.n_rows))
    each = [as_numpy(label_log_odds(member.scores[:, :], member.kind)) for member in members]
    return np.stack(each, axis=2)


class _Evaluation:
    """Fits every setting to the training rows and predicts held-out rows."""

    def __init__(
        self,
        members: Members,
        y: NDArray[Any],
        settings: list[dict[str, Any]],
        seed: int,
        progress: Progress | None,
        n_evaluations: int,
        needs_classes: bool,
    ) -> None:
        self.needs_classes, self.multilabel = needs_classes, members.multilabel
        everyone = slice(0, len(y))
        self.probs = [as_numpy(member.probabilities(everyone)) for member in members]
        self.y, self.settings, self.seed = y, settings, seed
        self.progress, self.n_evaluations, self._n_done = progress, n_evaluations, 0

    def __call__(self, train: Rows, held: Rows) -> Decided:
        parts = check_members(
            [probs[train] for probs in self.probs], kinds="probs", multilabel=self.multilabel
        )
        decided = []
        for parameters in self.settings:
            selection = GreedySelection(**parameters, seed=self.seed).fit(parts, self.y[train])
            decided.append(self.decided(selection.member_weights_, held))
            self._n_done += 1
            if self.progress is not None:
                self.progress(self._n_done / (self.n_evaluations * len(self.settings)))
        return np.stack(decided)

    def decided(self, weights: Any, rows: Rows) -> Decided:
        """Classes that the members predict with these weights, or the probabilities behind them."""
        pooled = as_numpy(linear_pool([probs[rows] for probs in self.probs], weights))
        if not self.needs_classes:
            return pooled
        return np.asarray(pooled >= 0.5 if self.multilabel else pooled.argmax(axis=1))
