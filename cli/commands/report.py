"""`postproc report`: how good models are, and whether a gain is real."""

from __future__ import annotations

from cli import options
from cli.messages import refuse
from cli.options import ENGINE, Inputs, Judging, Outputs, Running
from cli.run.shown import Shown


@options.command(
    epilog="""\b
Examples:
  postproc report before.npy after.npy --labels test_labels.npy
  postproc report a.npy b.npy c.npy --labels y.txt --baseline b --per-class
  postproc report a.npy b.npy --labels y.txt --html report.html --json
  postproc report a.npy b.npy --labels y.txt --metric macro_f1,auc,log_loss \\
      --groups patients.txt
  postproc report toxic.csv --labels tags.csv --multilabel --per-class
"""
)
@options.members_argument
@options.group(
    Inputs,
    *options.READING,
    common_rows={},
    labels={
        "help": "True labels of the rows.  [required, but for a run directory with labels of its "
        "test split]"
    },
)
@options.option(
    "--baseline",
    metavar="NAME",
    help="The model that others are compared with: a file, or its name in the table.  [default: "
    "the first]",
)
@options.group(Judging)
@options.group(Shown)
@options.group(Outputs, "overwrite", "as_json")
@options.group(Running, *ENGINE, "quiet")
def report_command(
    predictions: tuple[str, ...],
    inputs: Inputs,
    baseline: str | None,
    judging: Judging,
    shown: Shown,
    outputs: Outputs,
    running: Running,
) -> None:
    """Compare PREDS on the same labelled rows; the first file is the baseline.

    Shows accuracy, top-5 accuracy, macro-F1, log-loss, Brier score and calibration error of each
    model and, against the baseline, the rows fixed and broken, the gain with its interval for
    paired proportions, and the exact McNemar test with Holm's correction for several models.

    --metric shows other metrics with intervals and gains, too. Gains are positive where better.
    --groups says which rows belong together, --row-weights what each row counts.

    With --multilabel: micro- and macro-F1, mean average precision, Hamming loss, subset accuracy
    and log-loss, of labels decided at 1/2. The file of --labels has columns of 0 and 1, or lists
    of names such as `a;b`.

    Files of predicted labels, with or without ids, are compared by accuracy, macro-F1 and the
    paired tests. Instead of files, PREDS may be one run directory: its test split is compared.
    """
    from cli.run.compared import compare_files
    from cli.task.members import open_run
    from cli.task.runner import Runner

    run = open_run(predictions)
    if run is None and inputs.labels is None:
        refuse("Missing option '--labels': a report needs the true labels.")
    if run is not None and (inputs.classes is not None or inputs.reading.kind is not None):
        refuse("a run directory knows its classes and kinds; omit --classes and --logits")
    shown.check(outputs)
    runner = Runner.of(inputs, outputs, running)
    compare_files(predictions, run, baseline, judging, shown, runner)
