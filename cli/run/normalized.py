"""Predictions adjusted by CAN: loaded, written block by block, and what that did."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from cli.messages import echo, print_table
from cli.options import Prior
from cli.run.outcome import Outcome, size_of
from cli.task.load import in_order_of, load, load_judging_labels
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from postproc.can.bounds import Condensed
from postproc.can.options import CANOptions
from postproc.can.streaming.adjust import AdjustRows
from postproc.can.streaming.fit import fit_can
from postproc.can.streaming.rows import ProbabilityRows
from postproc.can.streaming.tally import Tally
from postproc.reports.tables import percent, points
from postproc.scores.sources import as_source


def adjust_file(
    path: str,
    prior: Prior,
    options: CANOptions,
    runner: Runner,
    *,
    reference: str | None = None,
    all_rows: bool = False,
) -> Outcome:
    """Adjust the ambiguous rows of a file, or all rows by all of the reference, and write them."""
    device, map_blocks = runner.running.device, runner.map_blocks
    target = load(path, runner)
    multilabel = target.multilabel
    output = output_path(target.name, runner)
    n_classes = 2 if multilabel else target.n_classes
    vector: Any = prior.load(target)
    labels = load_judging_labels(target, target, runner)
    if labels is not None:  # of labels of a row, class 0 is "has the label"
        labels = (1 - labels if multilabel else labels).reshape(-1, 1)
    source, files = target, [target]
    if reference is not None:
        other = load(reference, runner)
        source = in_order_of(other, target, quiet=runner.running.quiet)
        files.append(source)
    confident = ProbabilityRows(source, multilabel, device, runner.sizes)
    chosen = replace(options, threshold=inf) if all_rows else options
    model = fit_can(confident, vector, chosen, map_blocks, seed=runner.running.seed)
    if all_rows:
        model = replace(model, options=replace(model.options, threshold=0.0))
    rows = ProbabilityRows(target, multilabel, device, runner.sizes)
    adjust = AdjustRows(rows, model, as_source(labels)).prepared(map_blocks)
    names = ["positive", "negative"] if multilabel else target.classes
    warnings = list(model.risks(names)) + lost_ids(target.ids, output)
    tally = Tally(n_classes)
    for counts in runner.write(adjust, adjust.cuts(), output_like(output, target), inputs=files):
        tally.merge(counts)
    mismatch = model.mismatch(tally.moments.mean, tally.moments.standard_error)
    summary = {
        **size_of(target),
        "confident": tally["rows"] - tally["ambiguous"],
        "ambiguous": tally["ambiguous"],
        "changed": tally["changed"],
        "reference_rows": model.n_confident,
        "condensed": isinstance(model.reference, Condensed),
        "output": str(output),
        "warnings": warnings + ([mismatch] if mismatch else []),
        "report": None if labels is None else tally.report(),
    }
    return Outcome(summary, _show)


def _show(summary: dict[str, Any]) -> None:
    """Print counts and, with labels, accuracy before and after."""
    echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}: "
        f"{summary['confident']} confident, {summary['ambiguous']} ambiguous, "
        f"{summary['changed']} changed class"
    )
    report = summary["report"]
    if report is None:
        return
    rows = []
    for name, group in report["accuracy"].items():
        if group["rows"]:
            before, after = group["before"], group["after"]
            change = points(after - before)
            rows.append([name, str(group["rows"]), percent(before), percent(after), change])
        else:
            rows.append([name, "0", "-", "-", "-"])
    print_table(["accuracy, %", "rows", "before", "after", "gain"], rows)
    low, high = report["gain_ci"]
    echo(
        f"{report['fixed']} rows fixed, {report['broken']} broken; gain "
        f"{points(report['gain'])} points, 95 % interval {points(low)} to {points(high)}; "
        f"exact McNemar p = {report['p_value']:.3g}"
    )
