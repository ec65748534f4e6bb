"""`postproc calibrate`: probabilities that mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import options
from cli.messages import refuse
from cli.options import Fit, Inputs, Outputs, Running
from cli.parameter_types import Choice
from postproc.calibration.by_name import METHODS

if TYPE_CHECKING:
    from postproc.scores.predictions import Predictions


@options.command(
    epilog="""\b
Examples:
  postproc calibrate test.npy --fit val.npy --fit-labels val_labels.npy
  postproc calibrate test.npy --fit val.npy --fit-labels y.txt \\
      --method temperature --json
  postproc calibrate test.npy --fit val.npy --fit-labels y.txt \\
      --save calibrator.json
"""
)
@options.predictions_argument
@options.fit_options
@options.group(Inputs, "labels", *options.READING)
@options.option(
    "--method",
    metavar="METHOD",
    type=Choice(list(METHODS)),
    help="temperature; bcts, bias-corrected; structured or matrix, residual matrix scaling; "
    "pooled, matrix scaling with a discriminant and a kernel regression. Of two classes: beta, "
    "quadratic, venn-abers, or binary, the mean of these weighted by their held-out log-loss.  "
    "[default: binary for two classes, else pooled]",
)
@options.group(Outputs, *options.FITTED_OUT)
@options.group(Running)
def calibrate_command(
    predictions: str,
    fit: Fit,
    inputs: Inputs,
    method: str | None,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Calibrate PREDS with a map fitted to other, labelled rows.

    With --multilabel each label gets a slope and an offset, shrunk to those that all labels share.

    The map is used only if it lowers the log-loss on held-out rows of --fit. Otherwise PREDS are
    written unchanged, as probabilities.
    """
    from cli.run.one_file import fit_and_write
    from postproc.calibration.by_name import default_method, make_calibrator
    from postproc.calibration.multilabel import MultilabelCalibration

    fit.check_groups(outputs)

    def make(rows: Predictions) -> Any:
        if rows.multilabel:
            if method is not None:
                refuse(f"--method {method} is for classes that exclude each other; omit it")
            return MultilabelCalibration(kind=rows.kind, random_state=running.seed)
        name = method or default_method(rows.n_classes)
        return make_calibrator(name, kind=rows.kind, random_state=running.seed)

    return fit_and_write(make, predictions, fit, inputs, outputs, running)
