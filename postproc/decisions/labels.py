"""Labels from scores, without anything that must be fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.decisions.costs import LeastCost, check_costs
from postproc.decisions.rules import DecideRows, HighestWeighted, Ints, Rule
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions


@takes_frames("scores", returns="classes")
def decide(
    scores: Array, *, kind: Kind | None = None, weights: Any = None, costs: Any = None
) -> Ints:
    r"""Label each row: the likeliest class, or the best one by class weights or costs.

    With weights w the label is :math:`\arg\max_j w_j p_{ij}`, with costs K it is
    :math:`\arg\min_k \sum_j p_{ij} K_{jk}`, which takes calibrated probabilities.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Logits or probabilities.
    kind : {"logits", "probs", "votes"}, optional
        The kind of scores; by default it is detected.
    weights : array_like of shape (C,), optional
        Class weights > 0; 1 / prior maximizes balanced accuracy.
    costs : array_like of shape (C, C) or (C, C + 1), optional
        Cost of each decision (column) for each true class (row). One more column is the cost of
        abstaining.

    Returns
    -------
    ndarray of shape (n,), int64
        Classes in 0..C-1, the lowest of tied ones; -1 for rows that are abstained from.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or both weights and costs are given.

    References
    ----------
    Elkan (2001). The Foundations of Cost-Sensitive Learning. IJCAI 17.

    Examples
    --------
    >>> decide([[0.6, 0.4], [0.9, 0.1]])
    array([0, 0])
    >>> decide([[0.6, 0.4], [0.9, 0.1]], costs=[[0, 1, 0.55], [5, 0, 0.55]])
    array([-1,  0])
    """
    target = Predictions.check(scores, kind=kind, name="scores")
    rule: Rule | None = None
    if weights is not None:
        if costs is not None:
            fail("weights", "None where `costs` are given", "both")
        rule = HighestWeighted(check_weights(weights, target.n_classes))
    elif costs is not None:
        rule = LeastCost(check_costs(costs, target.n_classes))
    part = DecideRows(target, rule)
    blocks = [part(rows)[0] for rows in target.cuts()]
    return np.concatenate([np.empty(0, np.int64), *blocks])


def check_weights(weights: Any, n_classes: int) -> Any:
    """Class weights > 0, shape (C,), float64."""
    array = np.asarray(as_numpy(weights), dtype=np.float64)
    if array.shape != (n_classes,):
        fail("weights", f"{n_classes} numbers, one a class", f"shape {array.shape}")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        at = int(np.argmax(bad))
        fail(f"weights[{at}]", "a finite number > 0", f"{array[at]:g}")
    return array
