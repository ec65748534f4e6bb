"""Voting: members combined by a fixed rule, without training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Combiner, Ensemble, Kinds
from ensemble.column_ranks import ColumnRanks
from ensemble.members import Members, check_members, check_weights
from ensemble.pools import (
    TIES,
    Tie,
    linear_pool,
    log_linear_pool,
    majority,
    median_pool,
    rank_pool,
    row_draws,
)
from postproc.scores.arrays import Array
from postproc.scores.checks import check_choice, check_count, fail
from postproc.scores.frames.arguments import takes_frames

Over = Literal["classes", "rows"]
OVER = ("classes", "rows")

Method = Literal["soft", "hard", "log", "median", "rank"]
METHODS = ("soft", "hard", "log", "median", "rank")


class Voting(Ensemble):
    """Voting as an estimator; `fit` only records the members and needs no labels.

    Parameters
    ----------
    method : {"soft", "hard", "log", "median", "rank"}
        The rule: `soft_vote`, `hard_vote`, `log_pool`, `median_vote` or `rank_vote`.
    weights : array_like of shape (M,), optional
        Weights of the members, w >= 0; equal by default.
    tie : {"support", "lowest", "random"}
        How ties are broken by "hard" and "rank"; see `hard_vote`.
    seed : int
        Seed of `tie="random"`.
    over : {"classes", "rows"}
        What "rank" ranks: the classes of a row, or the rows in each column; see `rank_vote`.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        The weights, summing to 1.

    Examples
    --------
    >>> votes = Voting("soft", weights=[3, 1]).fit([[[0.9, 0.1]], [[0.1, 0.9]]])
    >>> votes.predict_proba([[[0.9, 0.1]], [[0.1, 0.9]]])
    array([[0.7, 0.3]])
    """

    needs_labels = False

    @property
    def reads_logs(self) -> bool:  # type: ignore[override]  # it depends on the method
        """Whether it works on logarithms."""
        return self.method == "log"

    def __init__(
        self,
        method: Method = "soft",
        *,
        weights: Any = None,
        tie: Tie = "support",
        seed: int = 0,
        over: Over = "classes",
    ) -> None:
        self.method = method
        self.weights = weights
        self.tie = tie
        self.seed = seed
        self.over = over

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        check_choice(self.method, "method", METHODS)
        check_choice(self.tie, "tie", TIES)
        check_count(self.seed, "seed", low=0)
        check_choice(self.over, "over", OVER)
        if self.over == "rows" and self.method != "rank":
            fail("over", '"classes" for any method but rank', '"rows"')
        self.member_weights_ = check_weights(self.weights, len(members))

    def seen(self, members: Members) -> Combiner:
        """The ranks of all rows where rows are ranked, else itself."""
        ranks = self.over == "rows"
        return ColumnRanks.of(members, self.member_weights_) if ranks else self

    def _combine(self, members: Members, rows: slice) -> Array:
        w = self.member_weights_
        if self.method == "log":
            return log_linear_pool([member.log_probabilities(rows) for member in members], w)
        probs = [member.probabilities(rows) for member in members]
        if self.method == "soft":
            return linear_pool(probs, w)
        if self.method == "median":
            return median_pool(probs, w)
        draws = row_draws(rows, self.seed) if self.tie == "random" else None
        if self.method == "rank":
            return rank_pool(probs, w, self.tie, draws)
        return majority([member.winners(rows) for member in members], probs, w, self.tie, draws)


@takes_frames("members", returns="scores")
def soft_vote(
    members: Iterable[Any],
    *,
    weights: Any = None,
    kinds: Kinds = None,
    pool: Literal["linear", "log"] = "linear",
) -> Array:
    r"""Average the members' distributions.

    .. math:: p_j = \sum_m w_m P_{mj}

    Parameters
    ----------
    members : sequence of M arrays or tensors of shape (n, C), or Members
        Scores of each member, logits or probabilities; memory maps are read block by block.
    weights : array_like of shape (M,), optional
        Weights of the members, w >= 0, scaled to sum to 1; equal by default.
    kinds : {"logits", "probs"} or sequence of them, optional
        The kind of all members or of each; None detects it, once for a whole member.
    pool : {"linear", "log"}
        Average of probabilities, or of log-probabilities as in `log_pool`.

    Returns
    -------
    array or tensor of shape (n, C)
        Probabilities whose rows sum to 1: float32 if all members are floats of 32 bits or fewer,
        else float64.

    Raises
    ------
    TypeError
        If members or weights are not arrays of real numbers, or NumPy is mixed with torch.
    ValueError
        If shapes differ, a score is not finite, a kind is ambiguous, or weights are invalid.

    Examples
    --------
    >>> soft_vote([[[0.9, 0.1]], [[0.5, 0.5]]])
    array([[0.7, 0.3]])
    """
    check_choice(pool, "pool", ("linear", "log"))
    method: Method = "log" if pool == "log" else "soft"
    return _vote(members, kinds, Voting(method, weights=weights))


@takes_frames("members", returns="scores")
def log_pool(members: Iterable[Any], *, weights: Any = None, kinds: Kinds = None) -> Array:
    r"""Average the members' log-probabilities: their weighted geometric mean.

    .. math:: p_j = \prod_m P_{mj}^{w_m} \Big/ \sum_c \prod_m P_{mc}^{w_m}

    A member's exact zeros, and nothing else, count as half of its least positive probability in all
    rows, so that votes of few neighbours or trees are no vetoes. Batches of a file may differ in
    this; `Voting("log").fit` keeps what it has seen.

    Parameters, result and errors are those of `soft_vote`.

    References
    ----------
    Genest, Zidek (1986). Combining probability distributions: a critique and an annotated
    bibliography. Statistical Science 1(1), section 3.

    Examples
    --------
    >>> log_pool([[[0.8, 0.2]], [[0.5, 0.5]]]).round(6)
    array([[0.666667, 0.333333]])
    """
    return _vote(members, kinds, Voting("log", weights=weights))


@takes_frames("members", returns="scores")
def hard_vote(
    members: Iterable[Any],
    *,
    weights: Any = None,
    kinds: Kinds = None,
    tie: Tie = "support",
    seed: int = 0,
) -> Array:
    r"""Majority vote: the share of votes for each class.

    .. math:: v_j = \sum_m w_m [j = \arg\max_c P_{mc}]

    A member with tied scores votes for the lowest of the tied classes. Other parameters, and
    errors, are those of `soft_vote`.

    Parameters
    ----------
    tie : {"support", "lowest", "random"}
        How ties are broken: the class with the largest weighted sum of probabilities wins, then
        the lowest class; the lowest class wins; or one of them at random.
    seed : int
        Seed of `tie="random"`. The choice depends on the seed and the row number.

    Returns
    -------
    array or tensor of shape (n, C)
        Shares of votes; each row sums to 1. The share of the winner of a tie is raised by a
        millionth of itself, so that the argmax of every row is the winner.

    Examples
    --------
    >>> votes = hard_vote([[[0.9, 0.1]], [[0.4, 0.6]], [[0.2, 0.8]]])
    >>> votes.round(3), votes.argmax(axis=1)
    (array([[0.333, 0.667]]), array([1]))
    """
    return _vote(members, kinds, Voting("hard", weights=weights, tie=tie, seed=seed))


@takes_frames("members", returns="scores")
def median_vote(members: Iterable[Any], *, weights: Any = None, kinds: Kinds = None) -> Array:
    """Take the weighted median of the members for each row and class, scaled to sum to 1.

    The median is the smallest probability at which half of the weight is reached, or the mean of
    it and the next if it is exactly half. A row whose medians are all zero gets the linear pool.
    Parameters, result and errors are those of `soft_vote`.

    Examples
    --------
    >>> median_vote([[[0.9, 0.1]], [[0.4, 0.6]], [[0.3, 0.7]]])
    array([[0.4, 0.6]])
    """
    return _vote(members, kinds, Voting("median", weights=weights))


@takes_frames("members", returns="scores")
def rank_vote(
    members: Iterable[Any],
    *,
    weights: Any = None,
    kinds: Kinds = None,
    tie: Tie = "support",
    seed: int = 0,
    over: Over = "classes",
) -> Array:
    """Average the ranks that members give to the classes of a row (Borda count), or to the rows.

    Over classes, a class gets from each member one point for every less probable class of the row
    and half a point for every equally probable one. Over rows, the probabilities of a class are
    replaced by their ranks among all rows, less 1/2, as is done before models of unlike
    calibration are averaged for AUC; equal ones share the mean of their ranks.

    Parameters
    ----------
    members, weights, kinds
        As for `soft_vote`.
    tie, seed
        As for `hard_vote`; over classes only.
    over : {"classes", "rows"}
        What is ranked. Over rows, the ranks of all rows are held in memory, 16 bytes for each row
        and class, and a row's result depends on the other rows.

    Returns
    -------
    array or tensor of shape (n, C)
        The weighted mean of the points or ranks, each row divided by its sum. With two classes
        that keeps the order of the rows in both columns. Over classes, the winner of a tie is
        raised by a millionth of itself, so that the argmax of every row is the winner.

    Examples
    --------
    >>> rank_vote([[[0.6, 0.3, 0.1]], [[0.2, 0.5, 0.3]]]).round(3)
    array([[0.333, 0.5  , 0.167]])
    >>> rank_vote([[[0.6, 0.4], [0.2, 0.8]], [[0.9, 0.1], [0.8, 0.2]]], over="rows")
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    return _vote(members, kinds, Voting("rank", weights=weights, tie=tie, seed=seed, over=over))


def _vote(members: Iterable[Any], kinds: Kinds, voting: Voting) -> Array:
    checked = check_members(members, kinds=kinds)
    return voting.fit(checked).predict_proba(checked)
