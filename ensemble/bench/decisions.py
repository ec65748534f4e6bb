"""Decisions measured over draws: whether guarantees hold, what they cost, what class weights gain.

A draw takes fit rows from all rows of a task, with replacement, and a target from the rows that are
left, under a shift. Members take turns.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.bench.tasks import Task, TaskData, load_task
from postproc.decisions.abstention import largest_coverage
from postproc.decisions.rules import probabilities_of
from postproc.decisions.sets import (
    SCORES,
    Score,
    class_scores,
    class_weights_of,
    conformal_thresholds,
    own_scores,
    sets_up_to,
)
from postproc.decisions.thresholds import ClassWeights
from postproc.evaluation.paired import CONFIDENCE
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

#: A class counts for the coverage per class with so many fit rows.
ENOUGH_ROWS = 50


def measure_decisions(
    tasks: Sequence[Task],
    *,
    shifts: Sequence[str],
    draws: int,
    rows: int,
    seed: int,
    costly: int = 20,
) -> Iterator[dict[str, Any]]:
    """Means over the draws of each task, shift and decision, as JSON types.

    What fits for long (class weights, an estimated prior) is measured on `costly` draws.
    """
    for task in tasks:
        pools = Pools(load_task(task), rows, seed)
        for shift in shifts:
            values: dict[str, list[dict[str, float]]] = defaultdict(list)
            for draw in range(max(draws, costly)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # on single draws, whose values are shown
                    if draw < draws:
                        for name, value in _guarantees(pools.case(shift, draw)):
                            values[name].append(value)
                    if draw < costly:
                        for name, value in _fitted(pools, shift, draw):
                            values[name].append(value)
            for name, each in values.items():
                first = {"task": task.name, "shift": shift, "decision": name}
                yield {**first, "draws": len(each), **_means(each)}


class Member:
    """All rows of one member, with what follows from each row by itself."""

    def __init__(self, probs: Floats, labels: Ints) -> None:
        self.probs = probs
        self.likeliest = probs.argmax(axis=1)
        self.confidence = probs.max(axis=1)
        self.wrong = self.likeliest != labels
        self.scores = {score: class_scores(probs, score) for score in SCORES}


@dataclass(frozen=True)
class Case:
    """Fit rows and target rows of one member in one draw, as row numbers."""

    member: Member
    labels: Ints  # of all rows
    fit: Ints
    target: Ints


class Pools:
    """All rows of a task, and draws of them."""

    def __init__(self, data: TaskData, rows: int, seed: int) -> None:
        self.labels = np.concatenate([data.fit_labels, data.labels])
        self.rows, self.seed = rows, seed
        self.members = [
            Member(np.concatenate([probabilities_of(fit), probabilities_of(test)]), self.labels)
            for fit, test in zip(data.fit, data.test, strict=True)
        ]

    def case(self, shift: str, draw: int, *, shifted_fit: bool = False) -> Case:
        """One draw; with `shifted_fit` the fit rows come from the same shift as the target."""
        member, y = self.members[draw % len(self.members)], self.labels
        n_rows, n_classes = member.probs.shape
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
        return Case(member, y, fit, target)


def _guarantees(case: Case) -> Iterator[tuple[str, dict[str, float]]]:
    for max_error in MAX_ERRORS:
        yield f"error {max_error:g}", _abstention(case, max_error)
    for score in SCORES:
        for per_class in (False, True):
            name = f"{score} per class" if per_class else score
            yield name, _sets(case, score, per_class=per_class)


def _fitted(pools: Pools, shift: str, draw: int) -> Iterator[tuple[str, dict[str, float]]]:
    if shift != "none":
        case = pools.case(shift, draw)
        probs, labels = case.member.probs, case.labels
        adapter = LabelShiftAdapter(calibration="bcts", kind="probs")
        adapter.fit(probs[case.fit], labels[case.fit])
        prior = adapter.adapt_to(probs[case.target]).prior.prior
        yield "lac weighted", _sets(case, "lac", prior=prior)
        n_classes = probs.shape[1]
        true = np.bincount(labels[case.target], minlength=n_classes) / len(case.target)
        yield "lac weighted, prior known", _sets(case, "lac", prior=true)
    own = pools.case(shift, draw, shifted_fit=True)
    for name in METRICS:
        yield name, _gain(name, own)


def _abstention(case: Case, max_error: float) -> dict[str, float]:
    """Share of accepted rows, their error, and whether it is too high here and among all rows."""
    member, fit, target = case.member, case.fit, case.target
    found = largest_coverage(member.confidence[fit], member.wrong[fit], max_error, CONFIDENCE)
    accepted = member.confidence > found.threshold
    error = _share(member.wrong[target], accepted[target])
    return {
        "accepted": float(accepted[target].mean()),
        "error": error,
        "broken": float(_share(member.wrong, accepted) > max_error),
        "broken_on_target": float(error > max_error),
        "empty": float(found.rows == 0),
    }


def _sets(
    case: Case, score: Score, *, per_class: bool = False, prior: Floats | None = None
) -> dict[str, float]:
    """Coverage and size of sets, and the coverage of the classes with enough fit rows."""
    scores, likeliest = case.member.scores[score], case.member.likeliest
    y, labels = case.labels[case.fit], case.labels[case.target]
    counts = np.bincount(y, minlength=scores.shape[1])
    weights = np.ones(len(counts))
    if prior is not None:
        weights = class_weights_of(prior, counts)
    thresholds = conformal_thresholds(
        own_scores(scores[case.fit], likeliest[case.fit], y, score),
        y,
        COVERAGE,
        weights=weights,
        per_class=per_class,
    )
    members, _ = sets_up_to(scores[case.target], thresholds, likeliest[case.target], score)
    hit = members[np.arange(len(labels)), labels]
    found = {"covered": float(hit.mean()), "size": float(members.sum(axis=1).mean())}
    enough = [j for j in np.flatnonzero(counts >= ENOUGH_ROWS) if (labels == j).any()]
    if enough:
        found["covered_per_class"] = float(np.mean([hit[labels == j].mean() for j in enough]))
    return found


def _gain(name: str, case: Case) -> dict[str, float]:
    """What class weights gain in a metric on the target, and whether they were used."""
    probs, labels = case.member.probs, case.labels
    found = ClassWeights(metric=name, kind="probs").fit(probs[case.fit], labels[case.fit])
    metric, truth = find_metric(name), labels[case.target]
    decided = (found.predict(probs[case.target]), case.member.likeliest[case.target])
    after, before = (metric.measure_decided(truth, each, probs.shape[1]).value for each in decided)
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
