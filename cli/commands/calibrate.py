"""`postproc calibrate`: probabilities that mean what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from postproc import calibrators

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.engines import Runner
    from postproc.calibration import Calibrator
    from postproc.predictions import Predictions

METHODS = tuple(calibrators.METHODS)

#: What progress calls the passes of a report.
PASSES = ("checking the output", "measuring")


@click.command(
    short_help="Calibrate probabilities on labelled rows.",
    epilog="""\b
Examples:
  postproc calibrate test.npy --fit val.npy --fit-labels val_labels.npy
  postproc calibrate test.npy --fit val.npy --fit-labels y.txt --method temperature --json
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
        _print(summary, report)


def _run(path: str, given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from cli import inputs
    from cli.engines import make_runner
    from cli.inputs import make_output, output_path
    from postproc.adapt_stream import CalibratedRows

    runner = make_runner(given, "calibrate")
    target, fit, y = load_fit_and_target(path, given, runner)
    output = output_path(target.name, given, "calibrate")
    labels = load_target_labels(target, given)
    scaling, warnings = fit_calibrator(given["method"], fit, y, given["seed"])
    whole = make_output(
        output,
        (target.n_rows, target.n_classes),
        target.output_dtype,
        classes=target.classes,
        ids=target.ids,
        like=target.scores,
    )
    part = CalibratedRows(target, scaling.model_, given["device"])
    for _ in runner.write(part, target.cuts(), whole, inputs=[target, fit]):
        pass
    warnings += inputs.lost_ids(target.ids, output)
    report = before_and_after("calibrated", target, output, labels, runner)
    summary = {
        "method": given["method"],
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "fit_rows": fit.n_rows,
        "improved": scaling.improved_,
        "temperature": scaling.temperature_,
        "log_loss_before": scaling.identity_log_loss_,
        "log_loss_after": scaling.held_out_log_loss_,
        "output": str(output),
        "warnings": warnings,
        "report": None if report is None else report.to_dict(),
    }
    return summary, report


def load_fit_and_target(
    path: str, given: dict[str, Any], runner: Runner | None = None
) -> tuple[Predictions, Predictions, NDArray[Any]]:
    """Load the target, the labelled predictions of the same model, and their labels.

    With a runner the target is read block by block.
    """
    from cli.inputs import load
    from postproc.checks import fail
    from postproc.files import load_labels

    target = load(path, given, runner=runner)
    fit = load(given["fit_file"], given, like=target)
    if fit.kind != target.kind:
        mend = "declare --logits or --probs if both are of one kind"
        fail(target.name, f"{fit.kind} like {fit.name}", target.kind, mend)
    classes = fit.classes if fit.classes is not None else target.classes
    y = load_labels(
        given["fit_labels"],
        n_classes=fit.n_classes,
        n_rows=fit.n_rows,
        classes=classes,
        ids=fit.ids,
    )
    return target, fit, y


def load_target_labels(target: Predictions, given: dict[str, Any]) -> NDArray[Any] | None:
    """Load the true labels of the target where they are given."""
    from postproc.files import load_labels

    if given["labels"] is None:
        return None
    return load_labels(
        given["labels"],
        n_classes=target.n_classes,
        n_rows=target.n_rows,
        classes=target.classes,
        ids=target.ids,
    )


def fit_calibrator(
    method: str, fit: Predictions, y: NDArray[Any], seed: int
) -> tuple[Calibrator, list[str]]:
    """Fit one of METHODS; also the warnings that it gave."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scaling = calibrators.make_calibrator(method, kind=fit.kind, random_state=seed)
        scaling.fit(fit.scores, y)
    return scaling, [str(warning.message) for warning in caught]


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
    from postproc.report import accuracy_report

    checking, measuring = (map, map) if runner is None else map(runner.walk, PASSES)
    after = load_predictions(
        output, kind="probs", classes=target.classes, mapped=False, walk=checking
    )
    models = {"as given": target, name: after}
    return accuracy_report(
        models, labels, baseline="as given", classes=target.classes, walk=measuring
    )


def _print(summary: dict[str, Any], report: Any) -> None:
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
    click.echo(f"written: {summary['output']}")
