"""Decisions measured over draws: whether guarantees hold, what they cost, what class weights gain.

A draw takes fit rows from all rows of a task, with replacement, and a target from the rows that are
left, under a shift. Members take turns.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.bench.tasks import Task, TaskData, load_task
from postproc.decisions.abstention import SelectiveClassifier
from postproc.decisions.rules import probabilities_of
from postproc.decisions.sets import ConformalSets
from postproc.decisions.thresholds import ClassWeights
from postproc.evaluation.registry import find_metric
from postproc.shift.adapter import LabelShiftAdapter
from postproc.shift.draws import draw_target

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Fit rows of a draw, at most; half of all rows where there are fewer.
FIT_ROWS = 1000

#: What is measured.
MAX_ERRORS = (0.05, 0.1)
COVERAGE = 0.9
METRICS = ("macro_f1", "balanced_accuracy")

#: What fits for long is measured on every so many draws.
COSTLY = 10

#: A class counts for the coverage per class with so many fit rows.
ENOUGH_ROWS = 50


@dataclass(frozen=True)
class Case:
    """Fit rows, target rows and all rows of one member in one draw: probabilities and labels."""

    fit: Floats
    fit_labels: Ints
    target: Floats
    labels: Ints
    pool: Floats
    pool_labels: Ints


def measure_decisions(
    tasks: Sequence[Task],
    *,
    shifts: Sequence[str],
    draws: int,
    rows: int,
    seed: int,
    progress: Callable[[int], None] = lambda number: None,
) -> list[dict[str, Any]]:
    """Means over the draws of each task, shift and decision, as JSON types."""
    found = []
    for task in tasks:
        pools = Pools(load_task(task), rows, seed)
        for shift in shifts:
            values: dict[str, list[dict[str, float]]] = defaultdict(list)
            for draw in range(draws):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # on single draws, whose values are shown
                    for decision, value in _measure(pools, shift, draw):
                        values[decision].append(value)
                progress(1)
            for decision, each in values.items():
                first = {"task": task.name, "shift": shift, "decision": decision}
                found.append({**first, "draws": len(each), **_means(each)})
    return found


class Pools:
    """All rows of a task, and draws of them."""

    def __init__(self, data: TaskData, rows: int, seed: int) -> None:
        self.labels = np.concatenate([data.fit_labels, data.labels])
        self.probs = [
            np.concatenate([probabilities_of(fit), probabilities_of(test)])
            for fit, test in zip(data.fit, data.test, strict=True)
        ]
        self.rows, self.seed = rows, seed

    def case(self, shift: str, draw: int, *, shifted_fit: bool = False) -> Case:
        """One draw; with `shifted_fit` the fit rows come from the same shift as the target."""
        probs, y = self.probs[draw % len(self.probs)], self.labels
        n_rows, n_classes = probs.shape
        rng = np.random.default_rng([self.seed, draw])
        size = min(FIT_ROWS, n_rows // 2)
        if shifted_fit:
            half = rng.permutation(n_rows)[: n_rows // 2]
            fit = half[draw_target(y[half], shift, size, draw, n_classes)]
            rest = np.setdiff1d(np.arange(n_rows), half)
        else:
            fit = rng.integers(n_rows, size=size)
            rest = np.setdiff1d(np.arange(n_rows), fit)
        target = rest[draw_target(y[rest], shift, self.rows, draw, n_classes)]
        return Case(probs[fit], y[fit], probs[target], y[target], probs, y)


def _measure(pools: Pools, shift: str, draw: int) -> Iterator[tuple[str, dict[str, float]]]:
    case = pools.case(shift, draw)
    for max_error in MAX_ERRORS:
        yield f"error {max_error:g}", _abstention(case, max_error)
    for score in ("lac", "aps"):
        for per_class in (False, True):
            sets = ConformalSets(coverage=COVERAGE, score=score, per_class=per_class, kind="probs")
            yield f"{score}{' per class' if per_class else ''}", _sets(sets, case)
    if draw % COSTLY:
        return
    if shift != "none":
        adapter = LabelShiftAdapter(calibration="bcts", kind="probs")
        adapter.fit(case.fit, case.fit_labels)
        prior = adapter.adapt_to(case.target).prior.prior
        yield "lac weighted", _sets(ConformalSets(prior=prior, kind="probs"), case)
    own = pools.case(shift, draw, shifted_fit=True)
    for name in METRICS:
        yield name, _gain(name, own)


def _abstention(case: Case, max_error: float) -> dict[str, float]:
    """Share of accepted rows, their error, and whether it is too high here and among all rows."""
    found = SelectiveClassifier(max_error=max_error, kind="probs").fit(case.fit, case.fit_labels)
    decided = found.predict(case.target)
    accepted = decided >= 0
    error = _share(decided != case.labels, accepted)
    everywhere = found.predict(case.pool)
    true_error = _share(everywhere != case.pool_labels, everywhere >= 0)
    return {
        "accepted": float(accepted.mean()),
        "error": error,
        "broken": float(true_error > max_error),
        "broken_on_target": float(error > max_error),
        "empty": float(found.threshold_ == np.inf),
    }


def _sets(sets: ConformalSets, case: Case) -> dict[str, float]:
    """Coverage and size of sets, and the coverage of the classes with enough fit rows."""
    members = sets.fit(case.fit, case.fit_labels).predict_set(case.target)
    hit = members[np.arange(len(case.labels)), case.labels]
    n_classes = case.fit.shape[1]
    enough = np.bincount(case.fit_labels, minlength=n_classes) >= ENOUGH_ROWS
    classes = [hit[case.labels == j].mean() for j in np.flatnonzero(enough) if j in case.labels]
    found = {"covered": float(hit.mean()), "size": float(members.sum(axis=1).mean())}
    return found | ({"covered_per_class": float(np.mean(classes))} if classes else {})


def _gain(name: str, case: Case) -> dict[str, float]:
    """What class weights gain in a metric on the target, and whether they were used."""
    found = ClassWeights(metric=name, kind="probs").fit(case.fit, case.fit_labels)
    metric, n_classes = find_metric(name), case.fit.shape[1]
    after, before = (
        metric.measure_decided(case.labels, decided, n_classes).value
        for decided in (found.predict(case.target), case.target.argmax(axis=1))
    )
    return {"gain": after - before, "used": float(found.improved_)}


def _share(flags: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    """Share of flags among some rows; 0 where there are none."""
    return float(flags[of].mean()) if of.any() else 0.0


def _means(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over draws, and the standard error of a gain."""
    names = dict.fromkeys(name for value in values for name in value)
    found = {
        name: float(np.mean([value[name] for value in values if name in value])) for name in names
    }
    if "gain" in found and len(values) > 1:
        gains = [value["gain"] for value in values]
        found["gain_error"] = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    return found
