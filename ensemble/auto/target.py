"""What pipelines have in common that are adapted to a target as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Self

from ensemble.base import Ensemble, Kinds, MemberEstimator
from postproc.scores.arrays import Array
from postproc.scores.codes import coded
from postproc.scores.frames.arguments import takes_frames

#: With fewer rows, not even one number, the temperature, can be checked on held-out rows.
FEWEST_FIT_ROWS = 20


class Pipeline(MemberEstimator):
    """Base of pipelines. A subclass has `_fit`, and `adapt_to`, which decides on a target."""

    def adapt_to(self, members: Iterable[Any], *, kinds: Kinds = None) -> Adapted:
        """Decide what to do to a target, from all of its rows."""
        raise NotImplementedError

    @takes_frames("members", returns="scores")
    def predict_proba(self, members: Iterable[Any], *, kinds: Kinds = None) -> Array:
        """Adapt to a target and return its probabilities, (n, C).

        Each row depends on all rows of the target, unlike those of an `Ensemble`. Parameters,
        results and errors are those of `Ensemble.predict_proba`.
        """
        checked = self.check_members(members, kinds=kinds)
        return self.adapt_to(checked).predict_proba(checked)


class Adapted(Ensemble):
    """Base of pipelines that are adapted to a target. A subclass has `_combine`.

    Like scikit-learn's `FrozenEstimator`, it ignores `fit`, and its clone is the object itself.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.n_members_, self.n_classes_ = pipeline.n_members_, pipeline.n_classes_
        self.names_, self.kinds_ = pipeline.names_, pipeline.kinds_
        self.class_names_, self.multilabel_ = pipeline.class_names_, pipeline.multilabel_
        self.solo_accuracy_ = pipeline.solo_accuracy_
        self.member_weights_ = pipeline.member_weights_

    def fit(self, members: Iterable[Any], y: Any = None, **ignored: Any) -> Self:
        """Return the pipeline unchanged: it is fitted, and its decision is for one target."""
        return self

    @property
    def part_weights_(self) -> dict[str, float]:
        """Those of the pipeline."""
        return dict(self.pipeline.part_weights_)

    def __sklearn_clone__(self) -> Self:
        return self


def warn_of_few_rows(n_rows: int) -> None:
    """Warn that so few labelled rows teach nothing."""
    msg = (
        f"{n_rows} labelled rows are too few to learn from (fewer than {FEWEST_FIT_ROWS}); "
        "predictions are unchanged"
    )
    warnings.warn(coded("few-rows", msg), UserWarning, stacklevel=5)
