"""Calibrators and adapters: fitted to one file, applied to another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import echo, noting, print_table
from cli.options import Fit, Inputs, Outputs, Running
from cli.run.cross_fitted import cross_fit
from cli.run.outcome import Outcome, deliver, save, size_of
from cli.task.doubts import fit_doubts, report_doubts, same_rows
from cli.task.judging import groups_of
from cli.task.load import Report, compare, load, load_fit, load_judging_labels
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from ensemble import Members
from postproc.calibration.by_name import name_of
from postproc.calibration.calibrator import Calibrator
from postproc.calibration.multilabel import MultilabelCalibration
from postproc.reports.tables import p_text, percent
from postproc.scores.arrays import as_numpy
from postproc.scores.predictions import Predictions
from postproc.shift.adapter import Adaptation, LabelShiftAdapter
from postproc.shift.multilabel import LabelPriors, MultilabelShiftAdapter
from postproc.shift.prior import PriorEstimate
from postproc.shift.streaming import AdaptedRows, CalibratedRows

Estimator = Calibrator | MultilabelCalibration | LabelShiftAdapter | MultilabelShiftAdapter

#: Classes that the table of the prior shows.
SHOWN = 10

#: What is said to be fitted to labels that do not exclude each other.
LABEL_MAPS = "one map a label"


def fit_and_write(
    make: Callable[[Predictions], Estimator],
    path: str,
    fit: Fit,
    inputs: Inputs,
    outputs: Outputs,
    running: Running,
    *,
    groups: str | None = None,
) -> dict[str, Any]:
    """Fit the estimator that `make` gives for the fit rows, apply it to a file, and say so.

    `groups` is the file of those of the target's rows.
    """
    runner = Runner.of(inputs, outputs, running)
    target = load(path, runner)
    rows, y = load_fit(target, fit, runner)
    output = output_path(target.name, runner)
    labels = load_judging_labels(target, target, runner)
    estimator = make(rows)
    of_target, of_fit = (
        None if path is None else groups_of(path, own, runner)
        for path, own in ((groups, target), (fit.fit_groups, rows))
    )
    how = {"groups": of_fit} if isinstance(estimator, LabelShiftAdapter) else {}
    said: list[str] = []
    with noting(said):
        estimator.fit(rows.scores, y, classes=rows.classes, **how)
    notes = [*fit_doubts([rows], y), *said, *same_rows([target], [rows])]
    held = cross_fit(estimator, Members((rows,)), y, of_fit, runner)
    notes += [] if held is None else held.warnings
    outcome = apply_to_file(
        estimator, target, labels, output, runner, notes=notes, fitted=[rows], groups=of_target
    )
    if held is not None:
        models = {"as given": rows, "calibrated": held.write(runner)}
        report = compare(models, y, rows.classes, runner, baseline="as given", groups=held.groups)
        outcome = replace(outcome, held_out=report)
    return deliver(outcome, runner)


def apply_to_file(
    estimator: Estimator,
    target: Predictions,
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
    *,
    notes: Sequence[str] = (),
    fitted: Sequence[Predictions] = (),
    groups: NDArray[Any] | None = None,
) -> Outcome:
    """Apply a fitted estimator block by block; `fitted` are the files that it was fitted to."""
    rows = CalibratedRows(target, estimator.model_, runner.running.device)
    cuts, whole, files = target.cuts(runner.sizes), output_like(output, target), [target, *fitted]
    said = [*notes]
    with noting(said):
        if isinstance(estimator, LabelShiftAdapter):
            keep = runner.keeping(output, files)
            shape = (target.n_rows, target.n_classes)
            with keep(rows, cuts, shape=shape, dtype=whole.dtype) as read:
                found = estimator.adapt(read, runner.map_blocks, groups)
            part = AdaptedRows(rows, found.factors, found.can)
            counts = list(runner.write(part, cuts, whole, inputs=files))
            changed = sum(count["changed"] for count in counts)
            summary = _summarize_adapted(estimator, target, found)
            n_groups = None if groups is None else int(groups.max()) + 1
            summary |= {"changed": changed, "groups": n_groups}
            name, show = "adapted", _show_adapted
        elif isinstance(estimator, MultilabelShiftAdapter):
            priors = estimator.adapt(as_numpy(rows.probabilities(slice(0, target.n_rows))))
            rows = replace(rows, model=priors.maps)
            deque(runner.write(rows, cuts, whole, inputs=files), maxlen=0)
            summary = _summarize_labels(estimator, target, priors)
            name, show = "adapted", _show_labels
        else:
            deque(runner.write(rows, cuts, whole, inputs=files), maxlen=0)
            summary = _summarize_calibrated(estimator, target)
            name, show = "calibrated", _show_calibrated
    saved = save(estimator, runner, fitted)
    report = _before_and_after(name, target, output, labels, runner)
    summary |= {
        "output": str(output),
        "saved": saved,
        "warnings": said + lost_ids(target.ids, output) + report_doubts(report),
        "report": None if report is None else report.to_dict(),
    }
    return Outcome(summary, show, report)


def _before_and_after(
    name: str, target: Predictions, output: Path, labels: NDArray[Any] | None, runner: Runner
) -> Report | None:
    """Report on the written file beside the target; None without labels."""
    if labels is None:
        return None
    after = runner.load_written(output_like(output, target), target)
    models = {"as given": target, name: after}
    return compare(models, labels, target.classes, runner, baseline="as given")


def _summarize_calibrated(
    scaling: Calibrator | MultilabelCalibration, target: Predictions
) -> dict[str, Any]:
    strength = getattr(scaling, "strength_", None)
    return {
        "method": LABEL_MAPS if target.multilabel else name_of(scaling),
        **size_of(target),
        "fit_rows": scaling.n_rows_,
        "improved": scaling.improved_,
        "temperature": scaling.temperature_,
        "weights": getattr(scaling, "shares_", None),
        "strength": strength if strength != np.inf else None,  # the labels share one map
        "log_loss_before": scaling.identity_log_loss_,
        "log_loss_after": scaling.held_out_log_loss_,
    }


def _show_calibrated(summary: dict[str, Any]) -> None:
    """Print what was fitted and whether it is used."""
    columns = "labels" if summary["method"] == LABEL_MAPS else "classes"
    echo(
        f"{summary['rows']} rows x {summary['classes']} {columns}, {summary['kind']}; "
        f"{summary['method']} fitted to {summary['fit_rows']} rows"
    )
    kept = f"calibrated, temperature {summary['temperature']:.3f}"
    if summary["weights"] is not None:
        parts = sorted(summary["weights"].items(), key=lambda part: -part[1])
        kept = "calibrated by " + ", ".join(f"{name} ({weight:.2f})" for name, weight in parts)
    if columns == "labels":
        strength = summary["strength"]
        kept += " in all labels" + (
            ", one map for all"
            if strength is None
            else f", each shrunk to that by {strength:g} rows"
        )
    echo(
        f"held-out log-loss {summary['log_loss_before']:.4f} before, "
        f"{summary['log_loss_after']:.4f} after: "
        + (kept if summary["improved"] else "no improvement, probabilities are left unchanged")
    )


def _summarize_adapted(
    adapter: LabelShiftAdapter, target: Predictions, found: Adaptation
) -> dict[str, Any]:
    prior = found.prior
    return {
        "method": adapter.method,
        "calibration": adapter.calibration,
        **size_of(target),
        "fit_rows": adapter.moments_.n_rows,
        "p_value": found.test.p_value,
        "shift_ratio": found.test.ratio,
        "explained": None if found.fit is None else found.fit.explained,
        "misfit_ratio": None if found.fit is None else found.fit.ratio,
        "class_names": [target.class_name(j) for j in range(target.n_classes)],
        "source_prior": adapter.moments_.mean.tolist(),
        "prior": prior.prior.tolist(),
        "prior_std": prior.std.tolist(),
        "positive_share": positive_share(target, adapter.moments_.mean, prior),
        "iterations": prior.n_iter,
        "converged": prior.converged,
        "strength": prior.strength,
    }


def positive_share(
    target: Predictions, source: NDArray[Any], found: PriorEstimate
) -> dict[str, Any] | None:
    """Share of the positive class of two, with its interval; None for more classes."""
    if target.task != "binary":
        return None
    at = target.positive_column
    own = target.class_name(at) if target.classes is not None else f"class {at}"
    return {
        "name": target.positive or own,
        "source": float(source[at]),
        "target": float(found.prior[at]),
        "ci": [float(end[at]) for end in found.interval],
    }


def _show_adapted(summary: dict[str, Any]) -> None:
    """Print the evidence of a shift and the estimated prior."""
    echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}; "
        f"{summary['method']} after calibration by {summary['calibration']} on "
        f"{summary['fit_rows']} rows; {summary['changed']} changed class"
    )
    units = f" of {summary['groups']:,} groups" if summary["groups"] else ""
    echo(
        f"test for label shift{units}: p = {summary['p_value']:.3g}, "
        f"{summary['shift_ratio']:.2f} times the sampling noise"
    )
    said = "assumed: rows of one class look alike in the fit rows and in the target"
    if summary["explained"] is not None and summary["p_value"] < 0.05:
        said += f"; class frequencies explain {100 * summary['explained']:.0f} % of the shift"
    echo(said)
    share, assumed = summary["positive_share"], summary["strength"] > summary["rows"]
    if share is not None:
        low, high = share["ci"]
        echo(
            f"share of {share['name']} in the fit rows, by their mean calibrated prediction: "
            f"{percent(share['source'])} %"
        )
        within = f"95 % interval {percent(low)} to {percent(high)}"
        echo(
            f"share of {share['name']} in the target: {percent(share['target'])} %, "
            + ("mostly assumed to be that of the fit rows" if assumed else within)
        )
    else:
        shares = (summary[key] for key in ("source_prior", "prior", "prior_std"))
        pairs = list(zip(summary["class_names"], *shares, strict=True))
        moved = sorted(pairs, key=lambda pair: -abs(pair[2] - pair[1]))[:SHOWN]
        target = "target (mostly assumed)" if assumed else "target"
        columns = ["class prior, %", "source (mean prediction)", target, "standard error"]
        rows = [[n, percent(s), percent(q), percent(e)] for n, s, q, e in moved]
        if assumed:  # the errors are those of an estimate from the target alone
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        title = "Classes with the largest change" if len(pairs) > SHOWN else ""
        print_table(columns, rows, title=title)
    if assumed:
        echo(
            "no shift is clear, so the target keeps nearly the class prior of the fit rows; "
            "--method em estimates it from the target alone"
        )


def _summarize_labels(
    adapter: MultilabelShiftAdapter, target: Predictions, found: LabelPriors
) -> dict[str, Any]:
    names = [target.class_name(j) for j in range(target.n_classes)]
    columns = found.source, found.share, *found.interval, found.p_value, found.adapted
    return {
        "method": adapter.method,
        **size_of(target),
        "fit_rows": adapter.n_rows_,
        "labels": [
            {
                "label": name,
                "source": source,
                "share": share,
                "ci": [low, high],
                "p_holm": p,
                "adapted": adapted,
            }
            for name, source, share, low, high, p, adapted in zip(
                names, *(column.tolist() for column in columns), strict=True
            )
        ],
    }


def _show_labels(summary: dict[str, Any]) -> None:
    """Print the prior of each label, and whether it is adapted."""
    labels = summary["labels"]
    n_adapted = sum(label["adapted"] for label in labels)
    echo(
        f"{summary['rows']} rows x {summary['classes']} labels, {summary['kind']}; "
        f"{summary['method']} after calibration on {summary['fit_rows']} rows; {n_adapted} of "
        f"{len(labels)} labels have shifted and are adapted"
    )
    moved = sorted(labels, key=lambda label: label["p_holm"])[:SHOWN]
    rows = [
        [
            label["label"],
            percent(label["source"]),
            percent(label["share"]),
            " to ".join(map(percent, label["ci"])),
            p_text(label["p_holm"]),
            "yes" if label["adapted"] else "no",
        ]
        for label in moved
    ]
    title = "Labels with the clearest shift" if len(labels) > SHOWN else ""
    columns = ["share of label, %", "fit rows", "target", "95 % interval", "p (Holm)", "adapted"]
    print_table(columns, rows, title=title)
