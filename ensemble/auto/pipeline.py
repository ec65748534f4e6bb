"""The whole pipeline, chosen on held-out rows: combine, calibrate, adapt, or do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.auto.combination import (
    Candidate,
    CombinedLogs,
    OverCalibrated,
    choose_combination,
)
from ensemble.auto.judge import Judge
from ensemble.auto.learning import PSEUDO_ROWS, learn_policy
from ensemble.auto.policy import Decision, Policy, leave_alone
from ensemble.auto.summary import Combination, explain
from ensemble.auto.target import FEWEST_FIT_ROWS, Adapted, Pipeline, warn_of_few_rows
from ensemble.base import Ensemble, Kinds
from ensemble.members import Members
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.scores.arrays import Array
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order, row_cuts
from postproc.scores.checks import check_choice, check_count, check_number, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.shift.streaming import ReadRows, in_temporary_file


class AutoPostprocessor(Pipeline):
    """Combine, calibrate and adapt members, each step only where held-out rows show that it helps.

    `fit` learns from labelled rows how to combine and calibrate the members, and rehearses label
    shifts. `adapt_to` looks at the target as a whole, without labels: whether there is label
    shift, and whether adapting to such a shift paid in rehearsals. Predicted classes stay as they
    are unless the 95 % interval of the gain lies above zero; so do probabilities where the metric
    depends on them.

    Parameters
    ----------
    metric : str
        What steps must improve: accuracy, balanced_accuracy, macro_f1, mcc, kappa, quadratic_kappa,
        log_loss, brier, auc, average_precision or topK.
    min_z : float
        A step is taken if it improves the metric by more than this many standard errors, > 0.
    alpha : float
        Level, in (0, 1), of the test for label shift.
    pseudo_rows : sequence of float
        Candidates >= 0 for the pseudo-rows per class that shrink the estimated prior.
    n_rehearsals : int
        Number of shifts to simulate on the fit split.
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
        The member with the best metric; gains are measured against it.
    candidates_ : dict of str to Candidate
        How well each combination does out of fold. These results chose the combination, so they
        are too good for the one chosen; the gain in `decision_.expected` allows for that.
    over_calibrated_ : OverCalibrated or None
        Gain of a combination over the best member after `calibrate`, where the metric depends on
        probabilities; None otherwise, and of the best member alone.
    policy_ : Policy or None
        What was learned about calibration and shifts; None if there were too few rows.
    member_weights_ : ndarray of shape (M,)
        Weight of each member in the combination.
    n_members_, n_classes_, names_, kinds_, classes_, solo_accuracy_
        As of `Ensemble`.

    Warns
    -----
    UserWarning
        From `fit`, if there are too few rows to learn from or classes have no label; from
        `adapt_to`, if the model seems to have been trained on the fit rows.

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

    reads_logs = False  # where nothing is changed, zeros stay

    combination_: str
    combiner_: Ensemble | None
    best_: int
    candidates_: dict[str, Candidate]
    policy_: Policy | None
    over_calibrated_: OverCalibrated | None = None  # none in models of the first release

    def __init__(
        self,
        *,
        metric: str = "accuracy",
        min_z: float = 1.96,
        alpha: float = 0.01,
        pseudo_rows: Sequence[float] = PSEUDO_ROWS,
        n_rehearsals: int = 36,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.min_z = min_z
        self.alpha = alpha
        self.pseudo_rows = pseudo_rows
        self.n_rehearsals = n_rehearsals
        self.n_folds = n_folds
        self.seed = seed

    @takes_frames("members")
    def adapt_to(self, members: Iterable[Any], *, kinds: Kinds = None) -> AdaptedPipeline:
        """Decide what to do to a target, from all of its rows.

        A target of more than one block that has shifted is kept in a temporary file meanwhile.

        Parameters
        ----------
        members : sequence of M arrays or tensors of shape (n, C), or Members
            Scores of the same members on the target.
        kinds : {"logits", "probs"} or sequence of them, optional
            The kind of all members or of each; None detects it.

        Returns
        -------
        AdaptedPipeline
            Its `predict_proba` takes the same members and works row by row; `decision_` and
            `summary_` say what was decided and why.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If the members are not valid, or are not those that `fit` has seen.
        """
        checked = self.check_members(members, kinds=kinds)
        return self.adapt(checked, map_blocks=partial(map_blocks, LocalEngine()))

    def adapt(
        self,
        members: Members,
        keep: Callable[..., AbstractContextManager[ReadRows]] = in_temporary_file,
        *,
        map_blocks: MapBlocks = in_order,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> AdaptedPipeline:
        """Adapt to a target that is read block by block.

        Parameters
        ----------
        members : Members
            Members that `check_members` has passed.
        keep : callable
            Keeps calibrated rows for several passes: `in_temporary_file`, or `beside_output` with
            its options, of `postproc.shift.streaming`.
        map_blocks : MapBlocks
            Where blocks are computed.
        sizes : Sizes
            How large they are.

        Returns
        -------
        AdaptedPipeline
            As of `adapt_to`.
        """
        decision = leave_alone(members.n_classes)
        if self.policy_ is not None and members.n_rows:
            shape = (members.n_rows, members.n_classes)
            dtype = np.float32 if members.narrow else np.float64
            decision = self.policy_.decide(
                self.combined(members, sizes),
                row_cuts(*shape, sizes),
                keep=partial(keep, shape=shape, dtype=dtype),
                map_blocks=map_blocks,
            )
        return AdaptedPipeline(self, decision)

    def check_saved(self) -> None:
        """Refuse a best member that is none, and a combination without its gain."""
        check_count(self.best_, "best_", low=0, high=self.n_members_ - 1)
        if self.combiner_ is not None:
            check_choice(self.combination_, "combination_", self.candidates_)

    def combined(self, members: Members, sizes: Sizes = DEFAULT_SIZES) -> CombinedLogs:
        """Log-probabilities of the combined members, before calibration.

        Parameters
        ----------
        members : Members
            Members that `check_members` has passed.
        sizes : Sizes
            How many rows are combined at once.

        Returns
        -------
        callable
            Takes a slice of k rows and returns an array of shape (k, C), float64.
        """
        return CombinedLogs(members, self.combiner_, self.best_, sizes)

    @property
    def part_weights_(self) -> dict[str, float]:
        """Those of the combination."""
        return {} if self.combiner_ is None else self.combiner_.part_weights_

    def _check_multilabel(self) -> None:
        rule = "of classes that exclude each other for AutoPostprocessor"
        fail("members", rule, "multi-label members", "use MultilabelPostprocessor")

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        judge = Judge.of(self.metric, members.n_classes)
        options = self._check_options()
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        assert self.solo_accuracy_ is not None
        if len(y) < FEWEST_FIT_ROWS:
            warn_of_few_rows(len(y))
            self.combination_, self.combiner_ = "best", None
            self.best_ = int(np.argmax(self.solo_accuracy_))
            self.candidates_ = {}
            self.policy_ = None
        else:
            choice = choose_combination(
                members, y, judge, min_z=options["min_z"], n_folds=n_folds, seed=seed
            )
            self.combination_, self.combiner_ = choice.name, choice.model
            self.best_, self.candidates_ = choice.best, choice.candidates
            self.over_calibrated_ = choice.over_calibrated
            # The best member alone is compared with itself, not with the best of other folds.
            baseline = None if choice.model is None else choice.baseline
            self.policy_ = learn_policy(
                choice.out_of_fold, y, judge, baseline, n_folds=n_folds, seed=seed, **options
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


class AdaptedPipeline(Adapted):
    """A pipeline adapted to one target: what it does to each row is decided.

    Made by `AutoPostprocessor.adapt_to`. Like scikit-learn's `FrozenEstimator`, it ignores `fit`,
    and its clone is the object itself.

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
        The same as a paragraph.
    n_members_, n_classes_, names_, kinds_, classes_, member_weights_, solo_accuracy_
        As of `AutoPostprocessor`.
    """

    def __init__(self, pipeline: AutoPostprocessor, decision: Decision) -> None:
        super().__init__(pipeline)
        self.decision = self.decision_ = decision
        way = pipeline.combination_
        gain = None if pipeline.combiner_ is None else pipeline.candidates_[way].gain
        names, over = pipeline.names_, pipeline.over_calibrated_
        calibrated = None if over is None else (names[over.best], over.gain)
        combination = Combination(names, names[pipeline.best_], way, gain, calibrated)
        self.summary_ = explain(combination, pipeline.policy_, decision)

    def to_dict(self) -> dict[str, Any]:
        """What was decided and why, as JSON's own types; gains as fractions."""
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
        over = auto.over_calibrated_
        return {
            "metric": auto.metric,
            "combination": auto.combination_,
            "best_member": auto.names_[auto.best_],
            "candidates": candidates,
            "best_calibrated_member": None if over is None else auto.names_[over.best],
            "gain_over_calibrated": None if over is None else over.gain.gain,
            "gain_over_calibrated_ci": None if over is None else list(over.gain.interval),
            **self.decision_.to_dict(),
            "summary": self.summary_,
        }

    def _combine(self, members: Members, rows: slice) -> Array:
        return self.decision_.probabilities(self.pipeline.combined(members)(rows))
