"""Class frequencies of a shifted target: EMQ and BBSE of QuaPy, Sinkhorn of POT."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from benchmarks.peers.tasks import Floats, Ints, Task
from postproc import (
    BiasCorrectedTemperatureScaling,
    bbse_prior,
    draw_target,
    em_prior,
    joint_normalization,
    map_prior,
    reweight,
)

#: Shifts of the class frequencies, and how many targets of how many rows are drawn of each.
SHIFTS = ("none", "dirichlet:0.5", "longtail:50")
DRAWS, ROWS = 3, 2000


class Given(ClassifierMixin, BaseEstimator):
    """A classifier for QuaPy whose features are its probabilities."""

    def __init__(self, n_classes: int) -> None:
        self.classes_ = np.arange(n_classes)

    def fit(self, probs: Floats, y: Ints) -> Given:
        """Nothing is left to fit."""
        return self

    def predict_proba(self, probs: Floats) -> Floats:
        """The features themselves."""
        return probs


class Case:
    """Calibrated probabilities of fit rows, out of fold, with labels, and of one target."""

    def __init__(self, fit: Floats, labels: Ints, target: Floats) -> None:
        self.fit, self.labels, self.target = fit, labels, target
        self.source = fit.mean(axis=0)


def _ours(prior: Callable[[Case], Any]) -> Callable[[Case], Floats]:
    def run(case: Case) -> Floats:
        return np.asarray(reweight(case.target, case.source, prior(case).prior))

    return run


def _quapy(kind: str, **options: Any) -> Callable[[Case], Floats]:
    def run(case: Case) -> Floats:
        from quapy.method import aggregative

        model = getattr(aggregative, kind)(
            Given(case.fit.shape[1]), fit_classifier=False, val_split=None, **options
        )
        model.aggregation_fit(case.fit, case.labels)
        return np.asarray(reweight(case.target, case.source, model.aggregate(case.target)))

    return run


def _pot(case: Case) -> Floats:
    import ot

    costs = -np.log(np.maximum(case.target, 1e-300))
    rows = np.full(len(costs), 1.0 / len(costs))
    plan = ot.sinkhorn(rows, case.source, costs, reg=1.0, stopThr=1e-8)
    return plan / plan.sum(axis=1, keepdims=True)


METHODS: Mapping[str, Callable[[Case], Floats]] = {
    "calibrated": lambda case: case.target,
    "postproc em": _ours(lambda case: em_prior(case.target, case.source)),
    "QuaPy EMQ": _quapy("EMQ", exact_train_prev=False),
    "postproc map": _ours(lambda case: map_prior(case.target, case.source, fit_probs=case.fit)),
    "postproc bbse": _ours(lambda case: bbse_prior(case.target, case.fit, case.labels)),
    "QuaPy BBSEsoft": _quapy("BBSEsoft"),
    "postproc sinkhorn": lambda case: joint_normalization(case.target, case.source),
    "POT sinkhorn": _pot,
}


def table(tasks: Iterable[Task], seed: int) -> str:
    """Points of accuracy over calibrated predictions, and seconds, by shift and method."""
    gains: dict[str, dict[str, list[float]]] = {name: {} for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    missing = set()
    for task in tasks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scaling = BiasCorrectedTemperatureScaling(kind="logits").fit(task.fit, task.fit_labels)
        fit, test = np.exp(scaling.out_of_fold_), np.exp(scaling.predict_log_proba(task.test))
        for shift in SHIFTS:
            for draw in range(seed, seed + DRAWS):
                rows = draw_target(task.test_labels, shift, ROWS, draw, fit.shape[1])
                case, truth = Case(fit, task.fit_labels, test[rows]), task.test_labels[rows]
                before = np.mean(case.target.argmax(axis=1) == truth)
                for name, method in METHODS.items():
                    if name in missing:
                        continue
                    start = time.process_time()
                    try:
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            after = method(case).argmax(axis=1)
                    except ImportError as error:
                        print(f"{name} is left out: {error}\n")
                        missing.add(name)
                        continue
                    seconds[name].append(time.process_time() - start)
                    found = 100 * (np.mean(after == truth) - before)
                    gains[name].setdefault(shift, []).append(float(found))
    lines = [
        "| method | " + " | ".join(SHIFTS) + " | worst | seconds |",
        "| --- |" + " ---: |" * (len(SHIFTS) + 2),
    ]
    for name, of in gains.items():
        if name not in missing:
            cells = [f"{np.mean(of[shift]):+.2f}" for shift in SHIFTS]
            worst = min(map(min, of.values()))
            took = f"{np.mean(seconds[name]):.3f}"
            lines.append(f"| {name} | {' | '.join(cells)} | {worst:+.2f} | {took} |")
    return "\n".join(lines)
