"""Stacking: logistic regression on the members' log-probabilities, alone or bagged."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.heads import LinearHead, label_log_loss, row_losses, seen_classes, warn_unseen
from ensemble.learned.log_pool import warn_unconverged
from ensemble.members import Members
from ensemble.training.head_methods import (
    LEAST_ROWS,
    PLAIN,
    HeadMethods,
    TrainingChoice,
    check_training,
    choose_methods,
)
from postproc.calibration.features import Calibration
from postproc.evaluation.folds import held_out, row_order, stratified_folds
from postproc.scores.arrays import Array
from postproc.scores.checks import check_count, check_number, fail

Matrix = NDArray[np.float64]

#: Inverse strengths of the ridge that cross-validation chooses from, strong ridges first.
CS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

#: Iterations after which scikit-learn's solver gives up; it needs a hundred or so.
MAX_ITERATIONS = 2000


class Stacking(Ensemble):
    """Multinomial logistic regression on all members' log-probabilities.

    The features are calibrated by a temperature for each member, cut off at -12 and centred in
    each row. A class without a row in the fit split keeps the probability that the calibrated
    members give it on average.

    Parameters
    ----------
    cs : sequence of float
        Inverse strengths C > 0 of the ridge, as scikit-learn has them, tried in ascending order
        until the cross-validated log-loss rises.
    training : dict of str to float, "auto" or None
        Training methods, as for `DevilsAdvocate`, by which the model is trained for some more
        epochs.
    n_folds : int
        Number of folds >= 2 of cross-validation.
    seed : int
        Seed of the folds and of the training.

    Attributes
    ----------
    C_ : float
        The inverse strength that was chosen.
    cv_log_loss_ : dict of float to float
        Cross-validated log-loss for each C that was tried, in nats.
    head_ : LinearHead
        The model.
    member_weights_ : ndarray of shape (M,)
        Share of each member in the sum of the norms of the members' coefficients.
    converged_ : bool
        Whether the solver met its tolerance.
    n_iter_ : int
        Iterations it took.
    training_, training_gain_
        As of `DevilsAdvocate`.

    References
    ----------
    Wolpert (1992). Stacked generalization. Neural Networks 5(2). Ting, Witten (1999). Issues in
    stacked generalization. JAIR 10.

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    >>> Stacking(n_folds=2).fit([a, a], [0, 0, 1, 1]).predict([a, a])
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        cs: Sequence[float] = CS,
        training: TrainingChoice = None,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.cs = cs
        self.training = training
        self.n_folds = n_folds
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        methods = check_training(self.training)
        warn_unseen(y, members.n_classes, self.class_names_)
        logs = members.log_tensor(slice(0, len(y)))
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        held = held_out(stratified_folds(logs, y, n_folds, seed))
        self.C_, self.cv_log_loss_ = _choose_c(logs, y, held, _check_cs(self.cs))
        solver = _HeadSolver(logs, y)
        self.head_ = solver.solve(self.C_)
        self.converged_, self.n_iter_ = solver.converged, solver.n_iter
        chosen, self.training_gain_ = methods[0], None
        if len(methods) > 1:
            chosen, self.training_gain_ = _rehearse(logs, y, held, self.C_, methods, seed)
        self.training_ = chosen.to_dict()
        if self.training_:
            self.head_ = solver.train_on(self.head_, self.C_, chosen, seed)
        self.member_weights_ = self.head_.member_norms()
        warn_unconverged(self.converged_, self.n_iter_)

    def _combine(self, members: Members, rows: slice) -> Array:
        return self.head_.probabilities(members.log_tensor(rows))


class Bagging(Ensemble):
    """Stacking heads fitted to bootstrap resamples of the rows; their probabilities are averaged.

    The strength of the ridge is chosen once, on all rows, as by `Stacking`.

    Parameters
    ----------
    n_estimators : int
        Number of heads >= 1.
    cs, n_folds
        As for `Stacking`.
    seed : int
        Seed of the resamples and of the folds.

    Attributes
    ----------
    C_, cv_log_loss_, converged_, n_iter_
        As of `Stacking`; converged if all heads are, with the most iterations of one.
    heads_ : list of LinearHead
        The models.
    member_weights_ : ndarray of shape (M,)
        Mean over the heads of the share that `Stacking` reports.

    References
    ----------
    Breiman (1996). Bagging predictors. Machine Learning 24(2).

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
    >>> Bagging(n_estimators=5, n_folds=2).fit([a, a], [0, 0, 1, 1]).predict([a, a])
    array([0, 0, 1, 1])
    """

    def __init__(
        self, *, n_estimators: int = 10, cs: Sequence[float] = CS, n_folds: int = 5, seed: int = 0
    ) -> None:
        self.n_estimators = n_estimators
        self.cs = cs
        self.n_folds = n_folds
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        n_estimators = check_count(self.n_estimators, "n_estimators", low=1)
        stacking = Stacking(cs=self.cs, n_folds=self.n_folds, seed=self.seed).fit(members, y)
        self.C_, self.cv_log_loss_ = stacking.C_, stacking.cv_log_loss_
        logs = members.log_tensor(slice(0, len(y)))
        order = row_order(logs, y, self.seed)
        generator = np.random.default_rng(self.seed)
        self.heads_, self.converged_, self.n_iter_ = [], True, 0
        for _ in range(n_estimators):
            rows = np.sort(order[generator.integers(len(y), size=len(y))])
            solver = _HeadSolver(logs[:, rows], y[rows])
            self.heads_.append(solver.solve(self.C_))
            self.converged_ = self.converged_ and solver.converged
            self.n_iter_ = max(self.n_iter_, solver.n_iter)
        self.member_weights_ = np.mean([head.member_norms() for head in self.heads_], axis=0)
        warn_unconverged(self.converged_, self.n_iter_)

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        return sum(head.probabilities(logs) for head in self.heads_) / len(self.heads_)


class _HeadSolver:
    """Scikit-learn's logistic regression on one set of rows, started from the last solution."""

    def __init__(self, logs: Matrix, y: NDArray[np.int64]) -> None:
        from sklearn.linear_model import LogisticRegression

        self.calibration = Calibration.fit(logs, y)
        self.features = self.calibration.features(logs)
        self.seen, self.places = seen_classes(y)
        self.model: Any = LogisticRegression(warm_start=True, max_iter=MAX_ITERATIONS)
        self.converged, self.n_iter = True, 0

    def solve(self, c: float) -> LinearHead:
        """Fit the head with inverse strength C of the ridge."""
        from sklearn.exceptions import ConvergenceWarning

        if len(self.seen) == 1:  # nothing to tell apart, which scikit-learn refuses
            coef, intercept = np.zeros((self.features.shape[1], 1)), np.zeros(1)
            return LinearHead(self.calibration.betas, coef, intercept, self.seen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is reported as `converged_`
            self.model.set_params(C=c).fit(self.features, self.places)
        self.n_iter = int(np.max(self.model.n_iter_))
        self.converged = self.n_iter < MAX_ITERATIONS
        coef, intercept = np.array(self.model.coef_.T), np.array(self.model.intercept_)
        if len(self.seen) == 2:  # scikit-learn keeps the second class's half only
            coef = np.hstack([np.zeros_like(coef), coef])
            intercept = np.append(0.0, intercept)
        return LinearHead(self.calibration.betas, coef, intercept, self.seen)

    def train_on(self, head: LinearHead, c: float, methods: HeadMethods, seed: int) -> LinearHead:
        """Train a head on by some methods; with one class there is nothing to train."""
        from ensemble.learned.stack_training import train_on

        if len(self.seen) == 1:
            return head
        return train_on(head, self.features, self.places, c, methods, seed)


def _rehearse(
    logs: Matrix,
    y: NDArray[np.int64],
    held: list[NDArray[np.bool_]],
    c: float,
    methods: Sequence[HeadMethods],
    seed: int,
) -> tuple[HeadMethods, Matrix | None]:
    """The training methods with a clear out-of-fold gain over the plain head, and that gain."""
    if len(held) < 2 or len(y) < LEAST_ROWS:
        return PLAIN, None
    plain, losses = np.zeros(len(y)), {each: np.zeros(len(y)) for each in methods}
    for out in held:
        solver = _HeadSolver(logs[:, ~out], y[~out])
        head = solver.solve(c)
        plain[out] = row_losses(head.probabilities(logs[:, out]), y[out])
        for each, own in losses.items():
            moved = solver.train_on(head, c, each, seed)
            own[out] = row_losses(moved.probabilities(logs[:, out]), y[out])
    found = choose_methods(plain, losses, held)
    return found.chosen, found.gain


def _choose_c(
    logs: Matrix, y: NDArray[np.int64], held: list[NDArray[np.bool_]], cs: Sequence[float]
) -> tuple[float, dict[float, float]]:
    """C of the least cross-validated log-loss, and the losses of those tried."""
    if len(held) < 2 or len(cs) == 1:
        return cs[0], {}
    solvers = [_HeadSolver(logs[:, ~out], y[~out]) for out in held]
    losses: dict[float, float] = {}
    for c in cs:
        total = 0.0
        for solver, out in zip(solvers, held, strict=True):
            probs = solver.solve(c).probabilities(logs[:, out])
            total += label_log_loss(probs, y[out]) * int(out.sum())
        losses[c] = total / len(y)
        if losses[c] > min(losses.values()):
            break
    return min(losses, key=losses.__getitem__), losses


def _check_cs(cs: Any) -> list[float]:
    values = list(np.atleast_1d(np.asarray(cs, dtype=object)))
    if not values:
        fail("cs", "one number > 0 or more", "none")
    return sorted(
        check_number(float(c) if isinstance(c, np.generic) else c, "cs", low=0.0, open_low=True)
        for c in values
    )
