"""Abstention: only the most confident rows are decided, as many as a bound on their errors allows.

For so many of the most confident fit rows, the hypothesis that rows above the next confidence are
wrong more often than allowed is tested by the exact binomial test, from few rows to many. A test
that rejects passes its level on to the next (fixed-sequence testing). Since accidents among the
most confident rows would end the sequence, a part of the level is kept for new starts further down
(the fallback procedure). All that is rejected is so with the given confidence, however the tests
depend on each other; the last threshold counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv

from postproc.decisions.decider import Decider
from postproc.decisions.rules import ABSTAINED, Decided, Floats, Ints
from postproc.scores.checks import check_number, fail
from postproc.scores.kinds import Kind

Bools = NDArray[np.bool_]

#: Errors that the first test lets pass, if there are rows enough: with none, a single error among
#: the most confident rows would end the sequence.
FIRST_ERRORS = 3

#: Numbers of accepted rows that are tested, at most.
STEPS = 100

#: Shares of the level that tests start with, at evenly spaced numbers of rows from the
#: fewest to all. Measured in `benchmarks.decisions.starts`.
STARTS = (0.7, 0.1, 0.1, 0.1)


@dataclass(frozen=True)
class MostConfident:
    """The likeliest class of rows whose probability of it exceeds a threshold."""

    threshold: float

    def __call__(self, probs: Floats) -> Decided:
        """Decide rows, shape (k, C)."""
        accepted = probs.max(axis=1) > self.threshold
        counts = {"accepted": float(np.count_nonzero(accepted))}
        return np.where(accepted, probs.argmax(axis=1), ABSTAINED), counts


def upper_bound(errors: int, rows: int, confidence: float) -> float:
    """Clopper and Pearson's upper bound of an error rate."""
    return 1.0 if errors >= rows else float(betaincinv(errors + 1, rows - errors, confidence))


def fewest_rows(errors: int, max_error: float, confidence: float) -> int:
    """Fewest rows among which so many errors bound the error rate by `max_error`."""
    low, high = errors, max(errors, 1)
    while bdtr(errors, high, max_error) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        passed = bdtr(errors, middle, max_error) <= 1 - confidence
        low, high = (low, middle) if passed else (middle, high)
    return high


@dataclass(frozen=True)
class Failed:
    """A test that stopped a sequence: so many rows, their errors, and the bound at its level."""

    rows: int
    errors: int
    bound: float


@dataclass(frozen=True)
class Accepted:
    """The fit rows above a threshold of confidence, and the tests that failed."""

    threshold: float
    rows: int
    errors: int
    failed: tuple[Failed, ...] = ()


def largest_coverage(
    confidences: Floats,
    wrong: Bools,
    max_error: float,
    confidence: float,
    starts: Sequence[float] = STARTS,
) -> Accepted:
    """The lowest threshold whose error is bounded; infinity and no rows where none is.

    It takes confidences and whether the likeliest class is wrong, both of shape (n,).
    """
    n_rows = len(wrong)
    steps, levels = _planned(n_rows, max_error, 1 - confidence, starts)
    order = np.argsort(-confidences, kind="stable")
    falling, errors = confidences[order], np.cumsum(wrong[order])
    # The threshold is the next row's confidence, and rows as confident as that are not accepted.
    above = np.searchsorted(-falling, -falling[steps[:-1]], side="left")
    rows = np.append(np.unique(above[above >= steps[0]]), n_rows)
    place = np.searchsorted(rows, np.append(above, n_rows))
    added = np.bincount(place, weights=levels, minlength=len(rows))
    chances = bdtr(errors[rows - 1], rows, max_error)
    last, level, failed = 0, 0.0, []
    for k, chance, more in zip(rows.tolist(), chances.tolist(), added.tolist(), strict=True):
        level += more
        if chance <= level:
            last = k
            continue
        if level > 0:
            wrong_ones = int(errors[k - 1])
            failed.append(Failed(k, wrong_ones, upper_bound(wrong_ones, k, 1 - level)))
        level = 0.0
    if not last:
        return Accepted(math.inf, 0, 0, tuple(failed))
    return Accepted(_next_level(falling, last), last, int(errors[last - 1]), tuple(failed))


def _planned(
    n_rows: int, max_error: float, level: float, starts: Sequence[float]
) -> tuple[NDArray[np.int64], Floats]:
    """Numbers of rows to test, rising to all, and the level that each test adds."""
    if fewest_rows(FIRST_ERRORS, max_error, 1 - level * starts[0]) > n_rows:
        starts = (1.0,)  # there are too few rows to keep a part
    first = 1 - level * starts[0]
    needed = [fewest_rows(e, max_error, first) for e in range(FIRST_ERRORS, -1, -1)]
    start = next((rows for rows in needed if rows <= n_rows), None)
    if start is None:
        rule = f"an array of {needed[-1]} rows or more to bound an error of {max_error:g} "
        fail("scores", rule + f"with confidence {1 - level:g}", f"{n_rows}")
    steps = np.append(np.arange(start, n_rows, max(1, n_rows // STEPS)), n_rows)
    levels = np.zeros(len(steps))
    places = np.searchsorted(steps, np.linspace(start, n_rows, len(starts)))
    np.add.at(levels, places, level * np.asarray(starts))
    return steps, levels


def share_of_rows(confidences: Floats, coverage: float) -> float:
    """The threshold that so large a share of the rows exceeds; fewer where rows are tied."""
    levels = np.sort(confidences)[::-1]
    return _next_level(levels, math.ceil(coverage * len(levels) - 1e-9))


def _next_level(levels: Floats, rows: int) -> float:
    """The confidence below those of the first so many rows."""
    return float(levels[rows]) if rows < len(levels) else -math.inf


class SelectiveClassifier(Decider):
    """Label the most confident rows and abstain from the others.

    With `max_error` as many rows are labelled as the guarantee allows: for rows drawn like those
    fitted, the share of wrong labels is at most `max_error`, with the given confidence over draws
    of the fit rows. With `coverage` a fixed share is labelled, without a guarantee.

    Parameters
    ----------
    max_error : float or None
        In (0, 1): the error rate that labelled rows may have.
    coverage : float or None
        In (0, 1]: the share of the fit rows to label, instead of `max_error`; takes no labels.
    confidence : float
        In (0, 1): the confidence of the bound of `max_error`.
    kind : {"logits", "probs", "votes"} or None
        What scores are; None detects it once, in `fit`.

    Attributes
    ----------
    threshold_ : float
        Rows are labelled whose largest probability exceeds it; infinity where nothing can be
        guaranteed, so that no row is labelled.
    accepted_ : int
        Number of fit rows that are labelled.
    errors_ : int or None
        How many of them are wrong; None without labels.
    bound_ : float or None
        Upper bound of the error rate with that confidence; None without labels or rows.
    failed_ : list of (int, int, float)
        Of the tests that stopped at a number of rows: that number, how many are wrong, and the
        upper bound of their error rate at the level of the test; empty with `coverage`.
    kind_ : str
        The kind of the scores.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    n_rows_, n_features_in_ : int
        Number of fit rows, and of classes C.

    References
    ----------
    Geifman, El-Yaniv (2017). Selective Classification for Deep Neural Networks. NeurIPS 30.
    Angelopoulos, Bates, Candès, Jordan, Lei (2021). Learn then Test: Calibrating Predictive
    Algorithms to Achieve Risk Control. arXiv:2110.01052, section 2. Wiens (2003). A fixed sequence
    Bonferroni procedure for testing multiple endpoints. Pharmaceutical Statistics 2. Clopper,
    Pearson (1934). The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 26.

    Examples
    --------
    >>> probs = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]]
    >>> SelectiveClassifier(coverage=0.5).fit(probs).predict(probs)
    array([ 0,  0, -1, -1])
    """

    def __init__(
        self,
        *,
        max_error: float | None = None,
        coverage: float | None = None,
        confidence: float = 0.95,
        kind: Kind | None = None,
    ) -> None:
        self.max_error = max_error
        self.coverage = coverage
        self.confidence = confidence
        self.kind = kind

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]  # it depends on the option
        """Whether `fit` needs labels."""
        return self.max_error is not None

    @property
    def rule_(self) -> MostConfident:
        """What decides a row."""
        return MostConfident(self.threshold_)

    def _check_options(self) -> None:
        if (self.max_error is None) == (self.coverage is None):
            got = "both" if self.coverage is not None else "neither"
            fail("max_error", "given, or else `coverage`", got)
        for name in ("max_error", "confidence"):
            value = getattr(self, name)
            if value is not None and check_number(value, name, low=0, high=1, open_low=True) == 1:
                fail(name, "in (0, 1)", repr(value))
        if self.coverage is not None:
            check_number(self.coverage, "coverage", low=0, high=1, open_low=True)

    def _learn(self, probs: Floats, labels: Ints | None) -> None:
        confidences = probs.max(axis=1)
        wrong = None if labels is None else probs.argmax(axis=1) != labels
        self.threshold_, self.failed_ = math.inf, []
        if self.coverage is not None:
            self.threshold_ = share_of_rows(confidences, self.coverage)
        elif wrong is not None and self.max_error is not None:
            found = largest_coverage(confidences, wrong, self.max_error, self.confidence)
            self.threshold_ = found.threshold
            self.failed_ = [astuple(test) for test in found.failed]
        accepted = confidences > self.threshold_
        self.accepted_ = int(np.count_nonzero(accepted))
        self.errors_ = None if wrong is None else int(np.count_nonzero(wrong & accepted))
        self.bound_: float | None = None
        if self.errors_ is not None and self.accepted_:
            self.bound_ = upper_bound(self.errors_, self.accepted_, self.confidence)
