"""`postproc adapt`: probabilities under the class frequencies of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.commands.calibrate import METHODS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from postproc.scores.predictions import Predictions
    from postproc.shift.adapter import LabelShiftAdapter

#: Classes that the table of the prior shows.
SHOWN = 10


@click.command(
    short_help="Adapt probabilities to a shift of the class frequencies.",
    epilog="""\b
Examples:
  postproc adapt test.npy --fit val.npy --fit-labels val_labels.npy
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method bbse --hard --json
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method sinkhorn --strength 0.5
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --save adapter.json
""",
)
@options.predictions_argument
@options.fit_options
@click.option(
    "--method",
    type=click.Choice(["em", "map", "bbse", "sinkhorn", "can"]),
    default="map",
    show_default=True,
    help="em, map and bbse estimate the class prior and re-weight by it; sinkhorn and can take "
    "that of map.",
)
@click.option(
    "--calibration",
    type=click.Choice([*METHODS, "none"]),
    default="matrix",
    show_default=True,
    help="How predictions are calibrated first.",
)
@click.option(
    "--soft/--hard",
    default=True,
    show_default=True,
    help="What bbse counts: probabilities, or predicted classes.",
)
@click.option(
    "--strength",
    type=options.Number(low=0.0, high=1.0),
    default=1.0,
    show_default=True,
    help="How far sinkhorn pulls the mean prediction to the prior, 0 to 1.",
)
@options.labels_option
@options.save_option("adapter")
@options.input_options
@options.output_options
@options.json_option
@options.device_options
@options.seed_option
@options.engine_options
@options.quiet_option
def adapt(predictions: str, **given: Any) -> None:
    """Calibrate PREDS and adapt them to their own class frequencies, which are estimated.

    Meant for a target whose classes are distributed otherwise than those of --fit (label shift).
    The p-value says whether that can be told at all. Where it is large, or where you would rather
    be told what pays, use postproc auto.

    What --save keeps is what --fit taught: postproc apply estimates the prior of its PREDS anew.
    """
    from cli.messages import print_json, warn

    summary, report = _run(predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        print_adapt(summary, report)


def _run(path: str, given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from cli.commands.calibrate import fitted, load_fit_and_target, load_target_labels
    from cli.task.doubts import same_rows
    from cli.task.load import output_path
    from cli.task.runner import make_runner
    from cli.task.saving import check_save, save
    from postproc.shift.adapter import LabelShiftAdapter

    runner = make_runner(given, "adapt")
    target, fit, y = load_fit_and_target(path, given, runner)
    output = output_path(target.name, given, "adapt")
    check_save(given, output)
    labels = load_target_labels(target, given, target.classes)
    options = {name: given[name] for name in ("method", "calibration", "soft", "strength")}
    adapter = LabelShiftAdapter(**options, kind=fit.kind, random_state=given["seed"])
    adapter, notes = fitted(adapter, fit, y)
    notes += same_rows([path], [given["fit_file"]])
    summary, report = adapt_file(adapter, target, labels, output, runner, notes=notes, inputs=[fit])
    return {**summary, "saved": save(adapter, given)}, report


def adapt_file(
    adapter: LabelShiftAdapter,
    target: Predictions,
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
    *,
    notes: list[str],
    inputs: Sequence[Predictions] = (),
) -> tuple[dict[str, Any], Any]:
    """Adapt the target to its own prior, block by block into the output, and report on it.

    `inputs` are files that the adapter was fitted to, for the signature of the job.
    """
    import warnings

    from cli.commands.calibrate import before_and_after
    from cli.task.doubts import report_doubts
    from cli.task.load import lost_ids, output_like
    from postproc.shift.streaming import AdaptedRows, CalibratedRows

    rows = CalibratedRows(target, adapter.model_, runner.given.get("device", "cpu"))
    files, cuts, whole = [target, *inputs], target.cuts(runner.sizes), output_like(output, target)
    with (
        warnings.catch_warnings(record=True) as caught,
        runner.keeping(output, files)(rows, cuts, shape=whole.shape, dtype=whole.dtype) as read,
    ):
        warnings.simplefilter("always")
        found = adapter.adapt(read, runner.map_blocks)
    part = AdaptedRows(rows, found.factors, found.can)
    counts = list(runner.write(part, cuts, whole, inputs=files))
    report = before_and_after("adapted", target, output, labels, runner)
    said = [*notes, *(str(warning.message) for warning in caught)]
    prior = found.prior
    summary = {
        "method": adapter.method,
        "calibration": adapter.calibration,
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "fit_rows": adapter.moments_.n_rows,
        "p_value": found.test.p_value,
        "shift_ratio": found.test.ratio,
        "class_names": [target.class_name(j) for j in range(target.n_classes)],
        "source_prior": adapter.moments_.mean.tolist(),
        "prior": prior.prior.tolist(),
        "prior_std": prior.std.tolist(),
        "iterations": prior.n_iter,
        "converged": prior.converged,
        "strength": prior.strength,
        "changed": sum(count["changed"] for count in counts),
        "output": str(output),
        "saved": None,
        "warnings": said + lost_ids(target.ids, output) + report_doubts(report),
        "report": None if report is None else report.to_dict(),
    }
    return summary, report


def print_adapt(summary: dict[str, Any], report: Any) -> None:
    """Show the evidence of a shift, the estimated prior, the report, and where the result lies."""
    from cli.messages import percent, print_table
    from cli.task.saving import print_saved

    click.echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}; "
        f"{summary['method']} after calibration by {summary['calibration']} on "
        f"{summary['fit_rows']} rows; {summary['changed']} changed class"
    )
    click.echo(
        f"test of unshifted class frequencies: p = {summary['p_value']:.3g}, "
        f"{summary['shift_ratio']:.2f} times the sampling noise"
    )
    shares = (summary[key] for key in ("source_prior", "prior", "prior_std"))
    pairs = list(zip(summary["class_names"], *shares, strict=True))
    moved = sorted(pairs, key=lambda pair: -abs(pair[2] - pair[1]))[:SHOWN]
    rows = [[n, percent(s), percent(q), percent(e)] for n, s, q, e in moved]
    title = "Classes that moved most" if len(pairs) > SHOWN else None
    columns = ["class prior, %", "source (mean prediction)", "target", "standard error"]
    print_table(columns, rows, title=title)
    if report is not None:
        click.echo(report.to_text(), nl=False)
    print_saved(summary)
    click.echo(f"written: {summary['output']}")
