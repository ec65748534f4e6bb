"""`postproc auto`: the whole pipeline, chosen from held-out evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cli import options
from cli.options import METHOD, METRIC_NAMES, Fit, Inputs, MetricName, Outputs, Running, given


@dataclass(frozen=True)
class Aim:
    """What the pipeline is to improve."""

    GROUP: ClassVar = METHOD

    metric: Any = given(
        f"What every step must improve: {METRIC_NAMES}.", type=MetricName(), default="accuracy"
    )


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
@options.group(Aim)
@options.group(Inputs)
@options.group(Outputs)
@options.group(Running)
def auto_command(
    predictions: tuple[str, ...],
    fit: Fit,
    aim: Aim,
    inputs: Inputs,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Improve PREDS where held-out rows show that it helps, and leave them unchanged otherwise.

    The labelled rows of --fit decide how to combine and calibrate the members, and are resampled
    to rehearse label shifts. PREDS as a whole, without labels, show whether their own class prior
    has shifted.

    Instead of files, PREDS may be one run directory: its val split is fitted to and its test split
    is improved.
    """
    from cli.run.combined import fit_and_combine
    from cli.task.members import check_fit_usage
    from cli.task.runner import Runner
    from ensemble import AutoPostprocessor

    runner = Runner.of(inputs, outputs, running)
    check_fit_usage(predictions, fit, "auto", learns=True)

    def make() -> Any:
        return AutoPostprocessor(metric=aim.metric, seed=running.seed)

    return fit_and_combine(make, "auto", predictions, fit, runner, learns=True)
