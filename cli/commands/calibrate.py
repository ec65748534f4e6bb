"""`postproc calibrate`: probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import options
from postproc.calibration import by_name as calibrators

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from postproc.calibration.temperature import Calibrator
    from postproc.scores.predictions import Predictions
    from postproc.shift.adapter import LabelShiftAdapter

Fittable = TypeVar("Fittable", bound="Calibrator | LabelShiftAdapter")

METHODS = tuple(calibrators.METHODS)


@click.command(
    short_help="Calibrate probabilities on labelled rows.",
    epilog="""\b
Examples:
  postproc calibrate test.npy --fit val.npy --fit-labels val_labels.npy
  postproc calibrate test.npy --fit val.npy --fit-labels y.txt --method temperature --json
  postproc calibrate test.npy --fit val.npy --fit-labels y.txt --save calibrator.json
""",
)
@options.predictions_argument
@options.fit_options
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="matrix",
    show_default=True,
    help="One temperature; that and a bias for each class; or residual matrix scaling.",
)
@options.labels_option
@options.save_option("calibrator")
@options.input_options
@options.output_options
@options.json_option
@options.device_options
@options.seed_option
@options.engine_options
@options.quiet_option
def calibrate(predictions: str, **given: Any) -> None:
    """Calibrate PREDS by a map that was fitted to other rows with labels.

    The map is kept only where it lowers log-loss on held-out rows of --fit; else PREDS pass
    through as probabilities.
    """
    from cli.messages import print_json, warn

    summary, report = _run(predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        print_calibrate(summary, report)


def _run(path: str, given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from cli.task.doubts import same_rows
    from cli.task.load import output_path
    from cli.task.runner import make_runner
    from cli.task.saving import check_save, save

    runner = make_runner(given, "calibrate")
    target, fit, y = load_fit_and_target(path, given, runner)
    output = output_path(target.name, given, "calibrate")
    check_save(given, output)
    labels = load_target_labels(target, given, target.classes)
    scaling, notes = fitted(_make(given, fit), fit, y)
    notes += same_rows([path], [given["fit_file"]])
    summary, report = calibrate_file(
        scaling, target, labels, output, runner, notes=notes, inputs=[fit]
    )
    return {**summary, "saved": save(scaling, given)}, report


def _make(given: dict[str, Any], fit: Predictions) -> Calibrator:
    return calibrators.make_calibrator(given["method"], kind=fit.kind, random_state=given["seed"])


def calibrate_file(
    scaling: Calibrator,
    target: Predictions,
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
    *,
    notes: list[str],
    inputs: Sequence[Predictions] = (),
) -> tuple[dict[str, Any], Any]:
    """Calibrate the target block by block into the output, and report on it.

    `inputs` are files that the calibrator was fitted to, for the signature of the job.
    """
    from cli.task.doubts import report_doubts
    from cli.task.load import lost_ids, output_like
    from postproc.shift.streaming import CalibratedRows

    whole = output_like(output, target)
    part = CalibratedRows(target, scaling.model_, runner.given.get("device", "cpu"))
    for _ in runner.write(part, target.cuts(runner.sizes), whole, inputs=[target, *inputs]):
        pass
    report = before_and_after("calibrated", target, output, labels, runner)
    summary = {
        "method": calibrators.name_of(scaling),
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "fit_rows": scaling.n_rows_,
        "improved": scaling.improved_,
        "temperature": scaling.temperature_,
        "log_loss_before": scaling.identity_log_loss_,
        "log_loss_after": scaling.held_out_log_loss_,
        "output": str(output),
        "saved": None,
        "warnings": notes + lost_ids(target.ids, output) + report_doubts(report),
        "report": None if report is None else report.to_dict(),
    }
    return summary, report


def load_fit_and_target(
    path: str, given: dict[str, Any], runner: Runner | None = None
) -> tuple[Predictions, Predictions, NDArray[Any]]:
    """Load the target, the labelled predictions of the same model, and their labels.

    With a runner the target is read block by block. Columns and labels of the fit rows are in the
    order of the target's classes.
    """
    from cli.task.load import load
    from cli.task.order import in_order_of
    from postproc.scores.checks import fail

    target = load(path, given, runner=runner)
    own = load(given["fit_file"], given)
    fit = in_order_of(own, target, quiet=given["quiet"])
    if fit.kind != target.kind:
        mend = "declare --logits or --probs if both are of one kind"
        fail(target.name, f"{fit.kind} like {fit.name}", target.kind, mend)
    return target, fit, _load_labels(given["fit_labels"], own, fit.classes)


def load_target_labels(
    own: Predictions, given: dict[str, Any], classes: Sequence[str] | None
) -> NDArray[Any] | None:
    """Load the true labels of the target where they are given, in the order of `classes`."""
    if given["labels"] is None:
        return None
    return _load_labels(given["labels"], own, classes, mapped=True)


def _load_labels(
    path: str, own: Predictions, classes: Sequence[str] | None, *, mapped: bool = False
) -> NDArray[Any]:
    from cli.task.order import in_class_order
    from postproc.files import load_labels

    names = own.classes if own.classes is not None else classes
    y = load_labels(
        path,
        n_classes=own.n_classes,
        n_rows=own.n_rows,
        classes=names,
        ids=own.ids,
        mapped=mapped,
    )
    ordered: NDArray[Any] = in_class_order(y, [own], classes)
    return ordered


def fitted(estimator: Fittable, fit: Predictions, y: NDArray[Any]) -> tuple[Fittable, list[str]]:
    """Fit to labelled rows; also what speaks against them, and the warnings that it gave."""
    import warnings

    from cli.task.doubts import fit_doubts

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(fit.scores, y, classes=fit.classes)
    doubts = fit_doubts([fit], y)
    return estimator, [*doubts, *(str(warning.message) for warning in caught)]


def before_and_after(
    name: str,
    target: Predictions,
    output: Path,
    labels: NDArray[Any] | None,
    runner: Runner | None = None,
) -> Any:
    """Report on the written file beside the target; None without labels."""
    if labels is None:
        return None
    from postproc import load_predictions
    from postproc.reports.report import accuracy_report

    blocks = {} if runner is None else runner.blocks
    after = load_predictions(output, kind="probs", classes=target.classes, mapped=False, **blocks)
    models = {"as given": target, name: after}
    return accuracy_report(models, labels, baseline="as given", classes=target.classes, **blocks)


def print_calibrate(summary: dict[str, Any], report: Any) -> None:
    """Say what was fitted and whether it was kept, show the report, and where the result lies."""
    from cli.task.saving import print_saved

    click.echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}; "
        f"{summary['method']} fitted to {summary['fit_rows']} rows"
    )
    click.echo(
        f"held-out log-loss {summary['log_loss_before']:.4f} before, "
        f"{summary['log_loss_after']:.4f} after: "
        + (
            f"kept, temperature {summary['temperature']:.3f}"
            if summary["improved"]
            else "not kept, probabilities stay as they were"
        )
    )
    if report is not None:
        click.echo(report.to_text(), nl=False)
    print_saved(summary)
    click.echo(f"written: {summary['output']}")
