"""Combined predictions: fitted, written block by block, and compared with the members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import echo, noting, print_table
from cli.options import Fit
from cli.run.cross_fitted import cross_fit
from cli.run.devil import contestants_of, devil_lines, devil_summary
from cli.run.heads import head_lines, head_summary
from cli.run.outcome import Outcome, deliver, save
from cli.task.doubts import fit_doubts, report_doubts, same_rows
from cli.task.load import Report, compare
from cli.task.members import Task, load_task
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from ensemble import AutoPostprocessor, Members, MultilabelPostprocessor
from ensemble.base import Ensemble, MemberEstimator
from ensemble.streaming import CombineRows, MemberSource, member_cuts, streamed
from postproc.evaluation.registry import find_metric
from postproc.reports.tables import percent
from postproc.scores.codes import coded
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.sources import Picked, as_source


def fit_and_combine(
    make: Callable[[Members], MemberEstimator],
    method: str,
    paths: Sequence[str],
    fit: Fit,
    runner: Runner,
    *,
    learns: bool,
    fitted: Callable[[Any], None] = lambda combiner: None,
) -> dict[str, Any]:
    """Load, fit, combine and report; `fitted` is called with the fitted combiner."""
    output = output_path(paths[0], runner)
    is_hard = method == "hard"
    task = load_task(paths, fit, runner, learns=learns, predicted_labels=is_hard)
    notes = same_rows(task.members, task.fit_members or ())
    with noting(notes):
        combiner = make(task.members)
        if task.fit_members is None:
            combiner.fit(task.members)
        else:
            notes += fit_doubts(task.fit_members, task.fit_labels, task.members)
            combiner.fit(task.fit_members, task.fit_labels)
    fitted(combiner)
    if (method, task.members.n_classes) == ("rank", 2) and getattr(combiner, "over", "") != "rows":
        said = (
            "the ranks of two classes are plain votes; --over rows averages the ranks of the rows"
        )
        notes.append(coded("no-change", said))
    what = Combination(combiner, method, task, output, runner)
    members = task.fit_members
    held = None
    if members is not None:
        held = cross_fit(combiner, members, task.fit_labels, task.fit_groups, runner)
    if members is None or held is None:
        return deliver(write_combined(what, notes), runner)
    outcome = write_combined(what, [*notes, *held.warnings])
    outcome.summary["warnings"] += _one_adapted(outcome.summary)
    solo, made = combiner.solo_accuracy_, held.write(runner)
    report = _report(what, members, task.fit_loaded, held.labels, solo, made, groups=held.groups)
    return deliver(replace(outcome, held_out=report), runner)


def _one_adapted(summary: dict[str, Any]) -> list[str]:
    """Warn if a pipeline has adapted PREDS to a label shift, which the fit rows do not have."""
    decision = summary.get("decision", {})
    shifted = any(label["adapted"] for label in decision.get("shifted", ()))
    if decision.get("action") != "adapt" and not shifted:
        return []
    said = (
        "PREDS are adapted to label shift, and the out-of-fold predictions of --oof are not: what "
        "is fitted to these does not hold for PREDS"
    )
    return [coded("unlike-scores", said)]


@dataclass(frozen=True)
class Combination:
    """What is combined, by what, and where it goes."""

    model: Any  # a fitted ensemble or pipeline, which --save keeps
    method: str
    task: Task
    output: Path
    runner: Runner


def write_combined(what: Combination, notes: Sequence[str] = ()) -> Outcome:
    """Write what a fitted model makes of the members; a pipeline is adapted to them first."""
    model, runner = what.model, what.runner
    if isinstance(model, MultilabelPostprocessor):
        labels = model.adapt(model.check_members(what.task.members), runner.sizes)
        outcome = _write(what, labels, notes)
        return replace(outcome, summary={**outcome.summary, "decision": labels.to_dict()})
    if not isinstance(model, AutoPostprocessor):
        return _write(what, model, notes)
    checked = streamed(model.check_members(what.task.members), runner.running.device)
    keep = runner.keeping(what.output, [*checked, *what.task.fit_loaded])
    said = [*notes]
    with noting(said):
        adapted = model.adapt(checked, keep, **runner.blocks)
    outcome = _write(what, adapted, said)
    return replace(outcome, summary={**outcome.summary, "decision": adapted.to_dict()})


def _write(what: Combination, combiner: Ensemble, notes: Sequence[str]) -> Outcome:
    """Combine members block by block, perhaps by a pipeline that is adapted to them."""
    task, output, runner = what.task, what.output, what.runner
    labels = task.labels
    members = streamed(combiner.check_members(task.members), runner.running.device)
    shape = (members.n_rows, members.n_classes)
    dtype = np.dtype(np.float32 if members.narrow else np.float64)
    whole = replace(output_like(output, members[0]), dtype=dtype)
    solo, judged_on = combiner.solo_accuracy_, "fit"
    judged = labels if solo is None else None
    truth = None if judged is None else as_source(judged.reshape(len(judged), -1))
    part = CombineRows(combiner.seen(members), members, truth, runner.sizes)
    right = np.zeros(len(members))
    files = [*members, *task.fit_loaded]
    cuts = member_cuts(members, runner.sizes)
    for counts in runner.write(part, cuts, whole, inputs=files):
        right += counts.get("right", 0)
    if judged is not None:
        solo, judged_on = right / max(1, judged.size), "target"
    said = [*notes]
    for name, lacking in members.missing.items():
        told = f"{name} lacks {first_few(lacking)}; classes that it lacks get probability zero"
        said.append(coded("lacking-classes", told))
    said += lost_ids(members.ids, output)
    saved, report = save(what.model, runner, task.fit_members or ()), None
    if labels is not None:
        with noting([]):  # the fit has told of these members
            contestants = contestants_of(combiner, members)
        made = runner.load_written(whole, members[0])
        report = _report(what, members, task.loaded, labels, solo, made, contestants)
        said += report_doubts(report)
    summary = {
        "method": what.method,
        "task": members[0].task,
        "rows": shape[0],
        "classes": shape[1],
        "members": [
            {
                "name": name,
                "kind": "labels" if members[m].labels_only else kind,
                "weight": float(combiner.member_weights_[m]),
                "accuracy": None if solo is None else float(solo[m]),
            }
            for m, (name, kind) in enumerate(zip(members.names, members.kinds, strict=True))
        ],
        "parts": [
            {"name": name, "weight": weight}
            for name, weight in combiner.part_weights_.items()
            if weight > 0
        ],
        "stacker_weight": combiner.part_weights_.get("stacker"),
        "judged_on": None if solo is None else judged_on,
        "output": str(output),
        "saved": saved,
        "missing_classes": {name: list(lacking) for name, lacking in members.missing.items()},
        "warnings": said,
        "report": None if report is None else report.to_dict(),
    }
    summary |= head_summary(combiner)
    devil = devil_summary(combiner, members, labels)
    if devil is not None:
        summary["devil"] = devil
    lines = [*([] if devil is None else devil_lines(devil)), *head_lines(summary)]
    return Outcome(summary, _show, report, lines)


def _report(
    what: Combination,
    members: Members,
    loaded: Sequence[Predictions],
    labels: NDArray[Any],
    solo: NDArray[Any] | None,
    made: Predictions,
    contestants: Mapping[str, Any] = MappingProxyType({}),
    groups: NDArray[Any] | None = None,
) -> Report:
    """Compare what was made with the members; the baseline is the best of them."""
    models: dict[str, Any] = {}
    for member, own in zip(members, loaded, strict=True):
        models[member.name] = (
            replace(member, scores=MemberSource(member), kind="probs", classes=None, ids=None)
            if isinstance(member.scores, Picked)
            else replace(own, scores=member.scores)
        )
    best = members.names[0] if solo is None else members.names[int(solo.argmax())]
    judging: dict[str, Any] = {"groups": groups}
    model = what.model
    metric = getattr(model, "metric", "accuracy")
    if metric != "accuracy" and not members.multilabel:  # whose report has six metrics anyway
        judging["metrics"] = [find_metric(metric)]
        if isinstance(model, AutoPostprocessor):
            best = members.names[model.best_]
    models |= contestants
    name = what.method if what.method not in models else f"{what.method} (ensemble)"
    models[name] = made
    return compare(models, labels, members.classes, what.runner, baseline=best, **judging)


def _show(summary: dict[str, Any]) -> None:
    """Print what a pipeline decided, and each member's weight and accuracy."""
    if "decision" in summary:
        echo(summary["decision"]["summary"])
        echo("")
    n_members, is_multilabel = len(summary["members"]), summary["task"] == "multilabel"
    echo(
        f"{summary['method']} of {n_members} member{'s' if n_members > 1 else ''}: "
        f"{summary['rows']} rows x {summary['classes']} {'labels' if is_multilabel else 'classes'}"
    )
    judged = summary["judged_on"]
    rows = [
        [
            member["name"],
            member["kind"],
            f"{member['weight']:.3f}",
            *([] if judged is None else [percent(member["accuracy"])]),
        ]
        for member in summary["members"]
    ]
    split = {"fit": "on the fit split, %", "target": "on these rows, %"}
    what = "labels right" if is_multilabel else "accuracy"
    heading = [] if judged is None else [f"{what} {split[judged]}"]
    rows += [
        [f"({part['name']} on all)", "", f"{part['weight']:.3f}", *("-" for _ in heading)]
        for part in summary["parts"]
    ]
    print_table(["member", "kind", "weight", *heading], rows)
