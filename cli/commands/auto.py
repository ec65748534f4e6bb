"""`postproc auto`: the whole pipeline, chosen from held-out evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from ensemble import Members
    from ensemble.auto.pipeline import AutoPostprocessor
    from postproc.scores.predictions import Predictions


@click.command(
    short_help="Combine, calibrate and adapt, each only where it helps.",
    epilog="""\b
Examples:
  postproc auto test.npy --fit val.npy --fit-labels val_labels.npy
  postproc auto a.test.npy b.test.npy --fit a.val.npy --fit b.val.npy \\
      --fit-labels labels.val.npy --save pipeline.json
  postproc auto RUNDIR -o better.npy
""",
)
@click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)
@options.fit_members_options
@options.labels_option
@options.missing_class_option
@options.save_option("pipeline")
@options.input_options
@options.output_options
@options.json_option
@options.device_options
@options.seed_option
@options.engine_options
@options.quiet_option
def auto(predictions: tuple[str, ...], **given: Any) -> None:
    """Do what helps to PREDS, and leave them alone where nothing does.

    Rows with labels (--fit) decide how members are combined and calibrated, and rehearse shifts
    of the class frequencies; PREDS as a whole, without labels, show whether theirs have shifted.

    One run directory in place of files is fitted on its val split and writes its test split.
    """
    from cli.messages import print_json, warn

    summary, report = _run(predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        print_auto(summary, report)


def _run(paths: tuple[str, ...], given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import warnings

    from cli.task.doubts import fit_doubts, same_rows
    from cli.task.load import output_path
    from cli.task.members import (
        check_fit_usage,
        load_fit_members,
        load_member_labels,
        load_members,
        member_names,
        open_run,
    )
    from cli.task.order import in_class_order
    from cli.task.runner import make_runner
    from cli.task.saving import check_save, save
    from ensemble import AutoPostprocessor, align_members

    runner = make_runner(given, "auto")
    run = open_run(paths)
    check_fit_usage(paths, given, "auto", learns=True, is_run=run is not None)
    output = output_path(paths[0], given, "auto")
    check_save(given, output)
    if run is not None:
        target, labels = run.predictions("test"), run.labels("test", mapped=True)
        fit, y = run.predictions("val"), run.labels("val")
    else:
        names = member_names(paths)
        target, labels = load_members(paths, names, given, runner=runner), None
        fit = load_fit_members(given["fit_files"], names, given, target)
        y = load_member_labels(given["fit_labels"], fit)
    if given["labels"] is not None:
        labels = load_member_labels(given["labels"], target, mapped=True)
    members = align_members(target, missing_class=given["missing_class"])
    labels = in_class_order(labels, target, members.classes)
    like = {"missing_class": given["missing_class"], "classes": members.classes}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        aligned = align_members(fit, **like)
        pipeline = AutoPostprocessor(seed=given["seed"])
        y = in_class_order(y, fit, members.classes)
        pipeline.fit(aligned, y)
    notes = same_rows(paths, given["fit_files"]) + fit_doubts(aligned, y, members)
    notes += [str(warning.message) for warning in caught]
    summary, report = adapt_files(
        pipeline,
        members,
        target,
        labels,
        output,
        runner,
        method="auto",
        notes=notes,
        inputs=fit,
    )
    return {**summary, "saved": save(pipeline, given)}, report


def adapt_files(
    pipeline: AutoPostprocessor,
    members: Members,
    target: list[Predictions],
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
    *,
    method: str,
    notes: list[str],
    inputs: Sequence[Predictions] = (),
) -> tuple[dict[str, Any], Any]:
    """Adapt a fitted pipeline to the members as a whole and write what comes out.

    `inputs` are files that the pipeline was fitted to, for the signature of the job.
    """
    import warnings
    from dataclasses import replace

    from cli.commands.ensemble import combine_files
    from ensemble.streaming import streamed

    checked = streamed(pipeline.check_members(members), runner.given.get("device", "cpu"))
    keep = runner.keeping(output, [*checked, *inputs])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = pipeline.adapt(checked, keep, **runner.blocks)
    said = [*notes, *(str(warning.message) for warning in caught)]
    summary, report = combine_files(
        adapted,
        members,
        target,
        labels,
        output,
        replace(runner, given={**runner.given, "save": None}),
        method=method,
        notes=said,
        inputs=inputs,
    )
    stacker = getattr(pipeline.combiner_, "stacker_weight_", None)
    return {**summary, "stacker_weight": stacker, "decision": adapted.to_dict()}, report


def print_auto(summary: dict[str, Any], report: Any) -> None:
    """Show the members and the report, and say in a paragraph what was done and why."""
    from cli.commands.ensemble import print_ensemble

    click.echo(summary["decision"]["summary"])
    click.echo("")
    print_ensemble(summary, report)
