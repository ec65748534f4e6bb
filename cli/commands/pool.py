"""`postproc pool`: rows that share an id become one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import options
from cli.options import ENGINE, Inputs, Outputs, Running
from cli.parameter_types import PATH, Choice


@options.command(
    epilog="""\b
Examples:
  postproc pool tta.csv -o pooled.csv
  postproc pool patches.npy --by patient_ids.txt --rule log -o patients.npz
  postproc pool fold0.csv fold1.csv fold2.csv \\
      --order sample_submission_ids.txt -o all.csv
"""
)
@options.members_argument
@options.group(Inputs, *options.READING)
@options.option(
    "--by",
    type=PATH,
    group=options.INPUT,
    help="File with one id per row of PREDS, one per line, if they have none.",
)
@options.option(
    "--rule",
    type=Choice(["soft", "log", "median", "max", "hard"]),
    default="soft",
    help="How rows are pooled: mean of probabilities, mean of log-probabilities, median, maximum, "
    "or share of the votes.",
)
@options.option(
    "--order",
    type=PATH,
    group=options.OUTPUT,
    help="File with one id per line: the order of the output.  [default: order of appearance]",
)
@options.group(Outputs, "output", "overwrite", "as_json")
@options.group(Running, *ENGINE, "resume", "quiet")
def pool_command(
    predictions: tuple[str, ...],
    inputs: Inputs,
    by: Path | None,
    rule: Any,
    order: Path | None,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Make one row of all rows of PREDS that share an id.

    For test-time augmentation, patches or chunks of one example, and files of folds, which are put
    together. Rows of all files are taken together; ids that occur once pass through.
    """
    from cli.run.outcome import deliver
    from cli.run.pooled import pool_files
    from cli.task.runner import Runner

    runner = Runner.of(inputs, outputs, running)
    return deliver(pool_files(predictions, runner, by=by, rule=rule, order=order), runner)
