"""`postproc auto`: the whole pipeline, chosen from held-out evidence."""

from __future__ import annotations

from typing import Any

from cli import options
from cli.options import Fit, Inputs, Outputs, Running
from cli.parameter_types import METRIC_NAMES, MetricName


@options.command(
    epilog="""\b
Examples:
  postproc auto test.npy --fit val.npy --fit-labels val_labels.npy
  postproc auto a.test.npy b.test.npy --fit a.val.npy --fit b.val.npy \\
      --fit-labels labels.val.npy --save pipeline.json
  postproc auto RUNDIR -o better.npy
  postproc auto RUNDIR --metric log_loss
"""
)
@options.members_argument
@options.group(Fit)
@options.group(Inputs)
@options.option(
    "--metric",
    type=MetricName(),
    metavar="NAME",
    help=f"What every step must improve: {METRIC_NAMES}; with --multilabel, hamming_loss, too.  "
    "[default: accuracy; with --multilabel: log_loss]",
)
@options.group(Outputs, *options.FITTED_OUT)
@options.group(Running)
def auto_command(
    predictions: tuple[str, ...],
    fit: Fit,
    inputs: Inputs,
    metric: str | None,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Improve PREDS where held-out rows show that it helps, and leave them unchanged otherwise.

    The labelled rows of --fit decide how to combine and calibrate the members, and are resampled
    to rehearse label shifts. PREDS as a whole, without labels, show whether their own class prior
    has shifted.

    Of labels that do not exclude each other (--multilabel), each is calibrated, or has weights of
    its own in a log pool, and is adapted to its share in PREDS where that would gain.

    Instead of files, PREDS may be one run directory: its val split is fitted to and its test split
    is improved.
    """
    from cli.run.combined import fit_and_combine
    from cli.task.members import check_fit_usage
    from cli.task.runner import Runner
    from ensemble import AutoPostprocessor, MultilabelPostprocessor

    runner = Runner.of(inputs, outputs, running)
    fit.check_groups(outputs)
    check_fit_usage(predictions, fit, "auto", learns=True)

    def make(members: Any) -> Any:
        if members.multilabel:
            return MultilabelPostprocessor(metric=metric or "log_loss", seed=running.seed)
        return AutoPostprocessor(metric=metric or "accuracy", seed=running.seed)

    return fit_and_combine(make, "auto", predictions, fit, runner, learns=True)
