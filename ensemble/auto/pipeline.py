"""The whole pipeline, chosen from held-out evidence: combine, calibrate, adapt, or leave alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.combination import Candidate, choose_combination, log_scores
from ensemble.auto.policy import (
    FEWEST_FIT_ROWS,
    PSEUDO_ROWS,
    Decision,
    Policy,
    learn_policy,
    leave_alone,
)
from ensemble.auto.summary import explain
from ensemble.base import Ensemble, Kinds
from ensemble.members import Members
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import row_blocks
from postproc.scores.checks import check_count, check_number, fail

Matrix = NDArray[np.float64]


class AutoPostprocessor(Ensemble):
    """Combine, calibrate and adapt members, each step only where held-out rows say that it helps.

    `fit` learns from labelled rows how members are best combined and calibrated, and rehearses
    shifts of the class frequencies. `adapt_to` looks at the target as a whole, without labels:
    whether its class frequencies have shifted, and whether adapting to such a shift paid in
    rehearsals. Doing nothing to the predicted classes is always a candidate, and wins unless the
    95 % interval of the gain lies above zero.

    Parameters
    ----------
    min_z : float
        Standard errors > 0 by which a step must raise accuracy to be taken.
    alpha : float
        Level, in (0, 1), of the test of "no shift".
    pseudo_rows : sequence of float
        Candidates >= 0 for the pseudo-rows that hold back the estimate of each class's prior.
    n_rehearsals : int
        Number of shifts that are simulated on the fit split.
    n_folds : int
        Number of folds >= 2.
    seed : int
        Seed of folds and rehearsals.

    Attributes
    ----------
    combination_ : str
        How members are combined: "best" (the best alone), "weights" or "blend".
    combiner_ : Ensemble or None
        The fitted combination; None for the best member alone.
    best_ : int
        The member with the most rows right; gains are measured against it.
    candidates_ : dict of str to Candidate
        What each combination is worth out of fold: the evidence that chose, so that it flatters
        the one chosen. The gain in `decision_.expected` allows for that.
    policy_ : Policy or None
        What was learned about calibration and shifts; None where the rows were too few.
    member_weights_ : ndarray of shape (M,)
        What each member counts in the combination.

    Warns
    -----
    UserWarning
        From `fit`, if rows are too few to learn from or classes have no label; from `adapt_to`, if
        fit predictions look like those of training rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, target = rng.integers(3, size=400), rng.choice(3, 400, p=[0.8, 0.1, 0.1])
    >>> logits = [1.5 * np.eye(3)[c] + rng.standard_normal((400, 3)) for c in (y, target)]
    >>> auto = AutoPostprocessor().fit([logits[0]], y)
    >>> adapted = auto.adapt_to([logits[1]])
    >>> adapted.decision_.action
    'adapt'
    >>> adapted.decision_.prior.prior.round(1)
    array([0.8, 0.1, 0.1])
    """

    def __init__(
        self,
        *,
        min_z: float = 1.96,
        alpha: float = 0.01,
        pseudo_rows: Sequence[float] = PSEUDO_ROWS,
        n_rehearsals: int = 36,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.min_z = min_z
        self.alpha = alpha
        self.pseudo_rows = pseudo_rows
        self.n_rehearsals = n_rehearsals
        self.n_folds = n_folds
        self.seed = seed

    def adapt_to(self, members: Iterable[Any], *, kinds: Kinds = None) -> AdaptedPipeline:
        """Decide what is done to a target, from all of its rows.

        Parameters
        ----------
        members : sequence of M arrays or tensors of shape (n, C), or Members
            Scores of the same members on the target.
        kinds : {"logits", "probs"} or sequence of them, optional
            The kind of all members or of each; None detects it.

        Returns
        -------
        AdaptedPipeline
            Its `predict_proba` takes the same members, row by row; `decision_` and `summary_` say
            what was decided and why.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If the members are not valid, or not those that `fit` has seen.
        """
        checked = self.check_members(members, kinds=kinds)
        decision = leave_alone(checked.n_classes)
        if self.policy_ is not None and checked.n_rows:
            blocks = list(row_blocks(checked.n_rows, checked.n_classes))
            decision = self.policy_.decide(lambda rows: self.log_scores(checked, rows), blocks)
        return AdaptedPipeline(self, decision)

    def predict_proba(self, members: Iterable[Any], *, kinds: Kinds = None) -> Array:
        """Adapt to a target and give its probabilities: unlike elsewhere, rows hang together.

        Parameters, results and errors are those of `Ensemble.predict_proba`.
        """
        checked = self.check_members(members, kinds=kinds)
        return self.adapt_to(checked).predict_proba(checked)

    def log_scores(self, members: Members, rows: slice) -> Matrix:
        """Log-probabilities of the combined members in a block of rows, shape (k, C)."""
        if self.combiner_ is None:
            logs = members[self.best_].log_probabilities(rows)
            return np.asarray(as_numpy(logs), dtype=np.float64)
        return log_scores(self.combiner_, members, rows)

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        options = self._check_options()
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        assert self.solo_accuracy_ is not None
        if len(y) < FEWEST_FIT_ROWS:
            msg = (
                f"{len(y)} labelled rows are too few to learn from (fewer than {FEWEST_FIT_ROWS}); "
                "predictions stay as they are"
            )
            warnings.warn(msg, UserWarning, stacklevel=3)
            self.combination_, self.combiner_ = "best", None
            self.best_ = int(np.argmax(self.solo_accuracy_))
            self.candidates_: dict[str, Candidate] = {}
            self.policy_: Policy | None = None
        else:
            choice = choose_combination(
                members,
                y,
                self.solo_accuracy_,
                min_z=options["min_z"],
                n_folds=n_folds,
                seed=seed,
            )
            self.combination_, self.combiner_ = choice.name, choice.model
            self.best_, self.candidates_ = choice.best, choice.candidates
            # A member that stays alone gains on itself, not on the best of the other folds.
            baseline = None if choice.model is None else choice.baseline
            self.policy_ = learn_policy(
                choice.out_of_fold, y, baseline, n_folds=n_folds, seed=seed, **options
            )
        self.member_weights_ = np.eye(len(members))[self.best_]
        if self.combiner_ is not None:
            self.member_weights_ = self.combiner_.member_weights_

    def _check_options(self) -> dict[str, Any]:
        alpha = check_number(self.alpha, "alpha", low=0.0, high=1.0, open_low=True)
        if alpha == 1.0:
            fail("alpha", "in (0, 1)", alpha)
        pseudo = [check_number(value, "pseudo_rows", low=0.0) for value in self.pseudo_rows]
        if not pseudo:
            fail("pseudo_rows", "one number >= 0 or more", "none")
        return {
            "min_z": check_number(self.min_z, "min_z", low=0.0, open_low=True),
            "alpha": alpha,
            "pseudo_rows": pseudo,
            "n_rehearsals": check_count(self.n_rehearsals, "n_rehearsals", low=1),
        }

    def _combine(self, members: Members, rows: slice) -> Array:
        fail("members", "adapted to as a whole", "a block of rows", "call `adapt_to` first")


class AdaptedPipeline(Ensemble):
    """A pipeline whose decisions are made: it works row by row on the target it was made for.

    Made by `AutoPostprocessor.adapt_to`.

    Parameters
    ----------
    pipeline : AutoPostprocessor
        The fitted pipeline.
    decision : Decision
        What is done to the target.

    Attributes
    ----------
    decision_ : Decision
        What is done to the target, with the evidence.
    summary_ : str
        The same in a paragraph.
    """

    def __init__(self, pipeline: AutoPostprocessor, decision: Decision) -> None:
        self.pipeline = pipeline
        self.decision = decision
        self.n_members_, self.n_classes_ = pipeline.n_members_, pipeline.n_classes_
        self.names_, self.kinds_ = pipeline.names_, pipeline.kinds_
        self.classes_ = pipeline.classes_
        self.solo_accuracy_ = pipeline.solo_accuracy_
        self.member_weights_ = pipeline.member_weights_
        self.decision_ = decision
        self.summary_ = explain(pipeline, decision)

    def to_dict(self) -> dict[str, Any]:
        """What was decided and why, in types that JSON knows; gains as fractions."""
        auto = self.pipeline
        candidates = {
            name: {
                "log_loss": found.log_loss,
                "accuracy": found.accuracy,
                "gain": found.gain.gain,
                "gain_ci": list(found.gain.interval),
            }
            for name, found in auto.candidates_.items()
        }
        return {
            "combination": auto.combination_,
            "best_member": auto.names_[auto.best_],
            "candidates": candidates,
            **self.decision_.to_dict(),
            "summary": self.summary_,
        }

    def _combine(self, members: Members, rows: slice) -> Array:
        return self.decision_.probabilities(self.pipeline.log_scores(members, rows))
