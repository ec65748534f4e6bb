"""Decisions on a file: labels, abstention or sets, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import note_written, noting
from cli.options import Fit, Prior
from cli.run.decision_tally import Tally, decision_doubts, fitted_summary, show_decisions
from cli.run.outcome import Outcome, save, size_of
from cli.task.doubts import fit_doubts, same_rows, unlike_doubts
from cli.task.load import load, load_fit, load_judging_labels
from cli.task.output import decision_path, lost_ids
from cli.task.runner import Runner
from postproc.decisions.costs import CostCheck, LeastCost, check_costs
from postproc.decisions.decider import Decider
from postproc.decisions.label_thresholds import LabelThresholds
from postproc.decisions.rules import ABSTAINED, DecideRows, Rule, probabilities_of
from postproc.decisions.sets import ConformalSets
from postproc.decisions.thresholds import ClassWeights
from postproc.evaluation.registry import find_metric
from postproc.files.costs import load_costs
from postproc.files.decided import save_labels, save_multilabels, save_sets
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Source

#: Makes an unfitted estimator from the kind of scores and the class prior of the target.
Make = Callable[[Kind, NDArray[Any] | None], Decider]


def decide_file(
    path: str,
    rule: str,
    make: Make | None,
    fit: Fit,
    prior: Prior,
    cost: Path | None,
    runner: Runner,
) -> Outcome:
    """Fit what `make` gives, or take costs; decide a file and write the decisions."""
    target = load(path, runner)
    output = decision_path(target.name, runner, sets=rule == "sets" or target.multilabel)
    rows, y = None, None
    if fit.fit_files:
        rows, y = load_fit(target, fit, runner)
    labels = load_judging_labels(target, target, runner)
    if cost is not None and labels is not None and (labels >= target.n_classes).any():
        fail("labels", "those of the classes, as the table of costs has no others", "some others")
    notes = []
    if rows is not None and y is not None:
        notes += [*fit_doubts([rows], y), *unlike_doubts(rows, y, target)]
    notes += [] if rows is None else same_rows([target], [rows], "fit to other labelled rows")
    decider, costs, check = None, None, None
    if cost is not None:
        table = load_costs(cost, n_classes=target.n_classes, classes=target.classes)
        costs = LeastCost(check_costs(table, target.n_classes, str(cost)))
        if rows is not None and y is not None:
            check = CostCheck.of(costs, probabilities_of(rows), y)
            notes += [check.doubt] if check.doubt else []
    if make is not None:
        with noting(notes):
            given = _prior_of(prior, target, rows, y, output, runner)
            decider = make(target.kind, given)
            like = target if rows is None else rows
            decider.fit(np.asarray(like.scores), y, classes=target.classes)
    fitted = [] if rows is None else [rows]
    saved = None if decider is None else save(decider, runner, fitted)
    outcome = write_decisions(decider, costs, target, labels, output, runner)
    outcome.summary["warnings"] = notes + outcome.summary["warnings"]
    outcome.summary["saved"] = saved
    if check is not None:
        outcome.summary["promise"] = {**asdict(check), "holds": check.doubt is None}
    return outcome


def _prior_of(
    prior: Prior,
    target: Predictions,
    rows: Predictions | None,
    y: NDArray[Any] | None,
    output: Path,
    runner: Runner,
) -> NDArray[Any] | None:
    """The class prior of the target: None where it is that of the fit rows, given or estimated."""
    if prior.prior != "estimate":
        return prior.load(target)
    from postproc.shift.adapter import LabelShiftAdapter
    from postproc.shift.streaming import CalibratedRows

    assert rows is not None
    seed = runner.running.seed
    adapter = LabelShiftAdapter(calibration="bcts", kind=rows.kind, random_state=seed)
    adapter.fit(np.asarray(rows.scores), y, classes=rows.classes)
    shape, dtype = (target.n_rows, target.n_classes), target.output_dtype
    calibrated = CalibratedRows(target, adapter.model_)
    keep = runner.keeping(output, [target, rows])
    with keep(calibrated, target.cuts(runner.sizes), shape=shape, dtype=dtype) as read:
        return adapter.adapt(read, runner.map_blocks).prior.prior


def write_decisions(
    decider: Decider | None,
    costs: LeastCost | None,
    target: Predictions,
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
) -> Outcome:
    """Decide a target block by block, write the decisions, and judge them if there are labels."""
    rule: Rule | None = costs if decider is None else decider.rule_
    tally = Tally(target, labels, costs)
    part, cuts = DecideRows(target, rule), target.cuts(runner.sizes)

    def blocks() -> Iterator[NDArray[Any]]:
        results = runner.map_blocks(part, cuts, f"writing {output.name}")
        for rows, (block, counts) in zip(cuts, results, strict=True):
            tally.add(rows, block, counts)
            yield block
        if isinstance(target.scores, Source):
            target.scores.verify()

    layout = runner.outputs.layout(target, target.classes)
    if runner.outputs.probability:
        layout = replace(layout, probability=partial(_shown_probability, target))
    if target.multilabel or isinstance(decider, ConformalSets):
        save_many = save_multilabels if target.multilabel else save_sets
        save_many(output, blocks(), (target.n_rows, target.n_classes), layout)
    else:
        save_labels(output, blocks(), target.n_rows, layout)
    note_written(output)
    judged = tally.judged(target.n_rows)
    if isinstance(decider, ClassWeights | LabelThresholds) and judged:
        judged |= _gain(decider, tally, target, runner)
    decision = "labels" if costs is None else "cost"
    if decider is not None:
        decision = type(decider).__name__
    summary = {
        "decision": decision,
        **size_of(target),
        "task": target.task,
        **fitted_summary(decider),
        **tally.summary(target.n_rows),
        "judged": judged or None,
        "output": str(output),
        "warnings": decision_doubts(decider, target)
        + lost_ids(target.ids, output, "-o x.csv, .jsonl or .parquet"),
    }
    return Outcome(summary, show_decisions)


def _shown_probability(
    target: Predictions, rows: slice, labels: NDArray[Any]
) -> NDArray[np.float64]:
    """Probability of the positive class of two, else of the label, or of the likeliest class."""
    probs = probabilities_of(target, rows)
    if target.task == "binary":
        return probs[:, target.positive_column]
    shown = np.where(labels == ABSTAINED, probs.argmax(axis=1), labels)
    return np.asarray(probs[np.arange(len(probs)), shown])


def _gain(
    decider: ClassWeights | LabelThresholds, tally: Tally, target: Predictions, runner: Runner
) -> dict[str, Any]:
    """The metric of the labels and what the weights or thresholds gain in it."""
    part, cuts = DecideRows(target), target.cuts(runner.sizes)
    plain = [block for block, _ in runner.map_blocks(part, cuts, "judging")]
    y, n_classes = np.asarray(tally.labels).astype(np.int64), target.n_classes
    if not target.multilabel:
        n_classes = max(n_classes, int(y.max()) + 1)
    metric = find_metric(decider.metric)
    found, before = (
        metric.measure_decided(y, np.concatenate(decided), n_classes)
        for decided in (tally.decided, plain)
    )
    gain = metric.gain(found, before)
    return {"value": found.value, "gain": gain.value, "gain_ci": list(gain.interval)}
