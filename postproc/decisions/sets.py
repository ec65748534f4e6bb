"""Conformal sets: the classes that hold the true one with a given probability.

A score says how badly a class fits a row. A class is in the set if its score is at most its
threshold, a quantile of the scores that the true classes of the fit rows have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.decisions.decider import Decider
from postproc.decisions.rules import Decided, Floats, Ints
from postproc.scores.arrays import Array
from postproc.scores.checks import check_choice, check_number, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.prior import class_prior

Score = Literal["lac", "aps"]
SCORES: tuple[Score, ...] = ("lac", "aps")

#: Rounding that a sum of weights may lack to count as reached, as a share of their total.
ROUNDING = 1e-12

#: Odd numbers that mix the bits of 64-bit integers.
MIXERS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class ConformalRule:
    """The classes whose score is at most their threshold, and the likeliest one.

    With LAC the likeliest one is added only where there is no other.
    """

    score: Score
    thresholds: Floats  # (C,)

    def __call__(self, probs: Floats) -> Decided:
        """Sets of rows, (k, C), true for the classes in them; counts of the empty ones filled."""
        scores = class_scores(probs, self.score)
        sets, empty = sets_up_to(scores, self.thresholds, probs.argmax(axis=1), self.score)
        return sets, {"empty": float(empty), "members": float(np.count_nonzero(sets))}


def sets_up_to(
    scores: Floats, thresholds: Floats, likeliest: Ints, score: Score
) -> tuple[NDArray[np.bool_], int]:
    """Sets (n, C) of the classes up to their thresholds, and how many were empty before."""
    sets = scores <= thresholds
    empty = ~sets.any(axis=1)
    kept = np.flatnonzero(empty if score == "lac" else np.ones(len(sets), np.bool_))
    sets[kept, likeliest[kept]] = True
    return sets, int(np.count_nonzero(empty))


def class_scores(probs: Floats, score: Score, uniform: Floats | None = None) -> Floats:
    """How badly each class fits each row, shape (n, C).

    LAC is 1 - p. APS is the mass of the likelier classes and a share of its own, which `uniform`
    (n,) sets; it follows from the row itself by default, so that no order of the rows matters.
    """
    if score == "lac":
        return 1.0 - probs
    share = uniform_of(probs) if uniform is None else uniform
    order = np.argsort(-probs, axis=1, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=1)
    ranked = np.cumsum(ranked, axis=1) - (1.0 - share[:, None]) * ranked
    scores = np.empty_like(probs)
    np.put_along_axis(scores, order, ranked, axis=1)
    return scores


def uniform_of(probs: Floats) -> Floats:
    """A number in [0, 1) that follows from the probabilities of each row, in any order, (n,)."""
    bits = np.ascontiguousarray(probs + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(MIXERS[0])
    bits ^= bits >> np.uint64(27)
    total: NDArray[np.uint64] = bits.sum(axis=1, dtype=np.uint64) * np.uint64(MIXERS[1])
    total ^= total >> np.uint64(31)
    return np.asarray((total >> np.uint64(11)) * 2.0**-53)


def own_scores(scores: Floats, likeliest: Ints, labels: Ints, score: Score) -> Floats:
    """Scores of the true classes, (n,), from those of all classes (n, C).

    With APS the likeliest class is in every set, so that it counts as 0: thresholds are lower than
    if it were added to empty sets afterwards. With LAC that would change no set.
    """
    own = scores[np.arange(len(labels)), labels]
    return np.where(likeliest == labels, 0.0, own) if score == "aps" else own


def class_weights_of(prior: Floats, counts: Ints) -> Floats:
    """Weights q_y / s_y of fit rows by class, (C,), from a target's prior and counts of classes."""
    return np.asarray(prior * counts.sum() / np.maximum(counts, 1))


def conformal_thresholds(
    own: Floats, labels: Ints, coverage: float, *, weights: Floats, per_class: bool
) -> Floats:
    """Threshold of each class, (C,), from the scores (n,) of the true classes of the fit rows.

    It is the least score t at which the rows up to t weigh `coverage` of all rows and of the row
    to be decided, which counts as a row of that class. Without weights it is the
    ⌈(n + 1) coverage⌉-th smallest score. Infinite, if the rows do not weigh that much.
    """
    if not per_class:
        return _quantiles(own, weights[labels], weights, coverage)
    alone = np.ones(1)
    return np.array(
        [
            _quantiles(own[labels == j], np.ones(np.count_nonzero(labels == j)), alone, coverage)[0]
            for j in range(len(weights))
        ]
    )


def _quantiles(own: Floats, weights: Floats, extra: Floats, coverage: float) -> Floats:
    """Weighted quantiles of scores (n,) and infinity, which has each weight of `extra` in turn."""
    order = np.argsort(own, kind="stable")
    reached = np.cumsum(weights[order])
    total = reached[-1] if len(own) else 0.0
    needed = coverage * (total + extra) - ROUNDING * (total + 1.0)
    at = np.searchsorted(reached, needed, side="left")
    return np.asarray(np.append(own[order], np.inf)[at])


class ConformalSets(Decider):
    r"""Sets of classes that hold the true one with a given probability.

    Over draws of the fit rows and of a row like them, the true class is in the set with
    probability `coverage` or more, whatever the classifier. With `per_class` that holds within
    every class, and so under label shift, too. With `prior` it holds under the label shift to that
    class prior: fit rows weigh q_y / s_y.

    Parameters
    ----------
    coverage : float
        In (0, 1): the probability.
    score : {"lac", "aps"}
        "lac" takes the classes of high probability and gives the smallest sets on average; "aps"
        the likeliest class and those that follow up to a mass, randomized, so that sets are larger
        where rows are harder.
    per_class : bool
        Whether each class has a threshold of its own. A class with less than
        coverage / (1 - coverage) fit rows is then in every set.
    prior : array_like of shape (C,) or None
        Class prior q of the rows to be decided, where it is not that of the fit rows.
    kind : {"logits", "probs", "votes"} or None
        What scores are; None detects it once, in `fit`.

    Attributes
    ----------
    thresholds_ : ndarray of shape (C,)
        The score up to which each class is in a set; infinite for classes in every set.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of classes C.

    References
    ----------
    Sadinle, Lei, Wasserman (2019). Least Ambiguous Set-Valued Classifiers with Bounded Error
    Levels. JASA 114 ("lac", `per_class`). Romano, Sesia, Candès (2020). Classification with Valid
    and Adaptive Coverage. NeurIPS 33 ("aps"). Podkopaev, Ramdas (2021). Distribution-free
    uncertainty quantification for classification under label shift. UAI 37 (`prior`).

    Examples
    --------
    >>> probs = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]]
    >>> sets = ConformalSets(coverage=0.75).fit(probs, [0, 0, 1, 0])
    >>> sets.predict_set([[0.5, 0.5], [0.9, 0.1]])
    array([[ True,  True],
           [ True, False]])
    """

    #: Arrays that may hold infinity when a model is saved.
    infinite = ("thresholds_",)

    def __init__(
        self,
        *,
        coverage: float = 0.9,
        score: Score = "lac",
        per_class: bool = False,
        prior: Any = None,
        kind: Kind | None = None,
    ) -> None:
        self.coverage = coverage
        self.score = score
        self.per_class = per_class
        self.prior = prior
        self.kind = kind

    @takes_frames("scores", returns="scores")
    def predict_set(self, scores: Array) -> Array:
        """Set of each row of scores (n, C) of the kind that `fit` has seen.

        Returns
        -------
        array or tensor of bool, shape (n, C)
            True for the classes in the set. No set is empty: the likeliest class is in those that
            would be.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid, or have another number of columns.
        """
        return self._decide(scores, self.rule_)

    @takes_frames("scores", returns="classes")
    def predict(self, scores: Array) -> Array:
        """Likeliest class of each row, an integer in 0..C-1; the lowest of tied classes."""
        return self._decide(scores, None)

    @property
    def rule_(self) -> ConformalRule:
        """What decides a row."""
        return ConformalRule(self.score, self.thresholds_)

    def _check_options(self) -> None:
        if check_number(self.coverage, "coverage", low=0, high=1, open_low=True) == 1:
            fail("coverage", "in (0, 1)", repr(self.coverage))
        check_choice(self.score, "score", SCORES)
        if self.per_class and self.prior is not None:
            mend = "sets per class hold under label shift without a prior"
            fail("prior", "None with `per_class`", "a prior", mend)

    def _learn(self, probs: Floats, labels: Ints | None) -> None:
        assert labels is not None
        n_classes = probs.shape[1]
        scores, likeliest = class_scores(probs, self.score), probs.argmax(axis=1)
        own = own_scores(scores, likeliest, labels, self.score)
        weights = np.ones(n_classes)
        if self.prior is not None:
            target = class_prior(self.prior, n_classes=n_classes, kind="vector")
            weights = class_weights_of(target, np.bincount(labels, minlength=n_classes))
        self.thresholds_ = conformal_thresholds(
            own, labels, self.coverage, weights=weights, per_class=self.per_class
        )
