"""Every kind of model that can be saved, fitted to few rows, and what each must predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import ensemble
import postproc
from cli.messages import is_expected
from ensemble.base import MemberEstimator
from postproc.decisions.decider import Decider
from tests.ensemble.conftest import make_members
from tests.ensemble.test_saved import MODELS, SINGLE

#: Rows and classes that models are fitted to: small models are read, and spoiled, fast.
N_ROWS, N_CLASSES = 30, 3


@dataclass(frozen=True)
class Kind:
    """A kind of model, and its task."""

    make: Callable[[], Any]
    n_classes: int = N_CLASSES
    multilabel: bool = False

    def fitted(self) -> Any:
        """A model that is fitted to logits."""
        members, y = make_members(seed=1, n_rows=N_ROWS, n_classes=self.n_classes)
        model, options = self.make(), dict[str, Any]()
        if self.multilabel:
            y = np.eye(self.n_classes, dtype=int)[y]
        if not isinstance(model, MemberEstimator):
            return model.fit(members[0], y)
        if self.multilabel:
            options["multilabel"] = True
        return model.fit(members, y, **options)

    def targets(self) -> list[Any]:
        """Logits of members to predict: like those fitted, extreme ones, and one row alone."""
        usual, _ = make_members(seed=2, n_rows=N_ROWS, n_classes=self.n_classes)
        steps = np.linspace(-1.0, 1.0, self.n_classes)
        rows = np.stack([0 * steps, 1e30 * steps, -1e3 * steps, 1e-30 * steps, 0 * steps - 50])
        hostile = [np.roll(rows, at, axis=1) for at in range(len(usual))]
        return [usual, hostile, [member[1:2] for member in hostile]]


AUTO = Kind(lambda: ensemble.AutoPostprocessor(n_rehearsals=2))
KINDS = {
    **{name: Kind(make) for name, make in {**MODELS, **SINGLE}.items()},
    "beta": Kind(postproc.BetaCalibration, 2),
    "binary": Kind(postproc.BinaryCalibration, 2),
    "quadratic": Kind(postproc.QuadraticScaling, 2),
    "venn-abers": Kind(postproc.VennAbersCalibration, 2),
    "class weights": Kind(postproc.ClassWeights),
    "thresholds": Kind(lambda: postproc.ClassWeights(metric="macro_f1")),
    "selective": Kind(lambda: postproc.SelectiveClassifier(max_error=0.3)),
    "lac": Kind(postproc.ConformalSets),
    "aps": Kind(lambda: postproc.ConformalSets(score="aps", per_class=True)),
    "label thresholds": Kind(postproc.LabelThresholds, multilabel=True),
    "labels": Kind(postproc.MultilabelCalibration, multilabel=True),
    "label shift": Kind(postproc.MultilabelShiftAdapter, multilabel=True),
    "label pool": Kind(ensemble.LabelPool, multilabel=True),
    "label auto": Kind(ensemble.MultilabelPostprocessor, multilabel=True),
    "label soft": Kind(lambda: ensemble.Voting("soft"), multilabel=True),
    "devil": Kind(lambda: ensemble.DevilsAdvocate(head="bias", epochs=2, seeds=1)),
    "greedy f1": Kind(lambda: ensemble.GreedySelection(metric="macro_f1")),
    "sinkhorn": Kind(lambda: postproc.LabelShiftAdapter(method="sinkhorn")),
    "can": Kind(lambda: postproc.LabelShiftAdapter(method="can")),
    "auto": AUTO,
}


def check_use(model: Any, kind: Kind) -> None:
    """What a loaded model predicts are classes or probabilities, or it refuses the scores."""
    if not hasattr(model, "n_features_in_") and not hasattr(model, "n_classes_"):
        return  # not fitted
    stacks = isinstance(model, MemberEstimator)
    options = {"kinds": ["logits"] * len(getattr(model, "kinds_", ()))} if stacks else {}
    for members in kind.targets():
        given = members if stacks else members[0]
        try:
            if isinstance(model, Decider):
                assert np.isin(model.predict(given), range(-1, kind.n_classes)).all()
                continue
            probs = np.asarray(model.predict_proba(given, **options))
        except (TypeError, ValueError) as error:  # of another kind, or number of columns
            if not is_expected(error):
                raise
            continue
        assert np.isfinite(probs).all()
        assert ((probs >= 0) & (probs <= 1 + 1e-6)).all()
        assert getattr(model, "multilabel_", False) or np.allclose(probs.sum(axis=1), 1, atol=1e-3)
