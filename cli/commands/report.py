"""`postproc report`: how good models are, and whether a gain is real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from cli import options
from cli.messages import echo
from cli.options import ENGINE, Inputs, Judging, Outputs, Running, given

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.load import Report
    from cli.task.runner import Runner
    from ensemble.diversity import Diversity
    from postproc.files.rundir import RunDirectory
    from postproc.scores.predictions import Predictions


@dataclass(frozen=True)
class Shown:
    """What a report contains, and in which form it is printed and written."""

    GROUP: ClassVar = options.OUTPUT

    per_class: bool = given("Add metrics of each class, and the confusions that changed most.")
    diversity: bool = given("Add how much the mistakes of each pair of models differ.")
    as_markdown: bool = given("Print Markdown.", "--markdown")
    as_csv: bool = given("Print CSV, with fractions.", "--csv")
    html: Path | None = given("Also write a page with tables and plots to this file.")
    title: str = given("Title of the page.", default="Accuracy report")

    def check(self, outputs: Outputs) -> None:
        """Refuse options that exclude each other, and pages that cannot be written."""
        printed = {"--json": outputs.as_json, "--csv": self.as_csv, "--markdown": self.as_markdown}
        unlike = [name for name, wanted in printed.items() if wanted]
        if self.as_csv and len(unlike) == 1:
            more = {"--per-class": self.per_class, "--diversity": self.diversity}
            unlike += [name for name, wanted in more.items() if wanted]
        if len(unlike) > 1:
            message = f"{unlike[0]} and {unlike[1]} exclude each other"
            raise click.UsageError(message)
        if self.html is not None:
            from cli.task.output import check_apart
            from postproc.files import check_output

            check_output(self.html, overwrite=outputs.overwrite, suffixes=(".html", ".htm"))
            check_apart(self.html, option="--html")


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
    from cli.messages import warn
    from cli.task.doubts import report_doubts
    from cli.task.judging import judging_of
    from cli.task.load import compare
    from cli.task.members import open_run
    from cli.task.runner import Runner

    run = open_run(predictions)
    _check_inputs(predictions, inputs, shown, is_run=run is not None)
    shown.check(outputs)
    runner = Runner.of(inputs, outputs, running)
    models, labels = _load(predictions, run, baseline, runner)
    classes = next((m.classes for m in models.values() if m.classes is not None), None)
    how = judging_of(judging, [*models.values()], classes, runner)
    found = compare(models, labels, classes, runner, **how)
    doubts = report_doubts(found)
    warn(doubts, quiet=running.quiet)
    diversity = None
    if shown.diversity:
        if len(models) == 1:
            message = "--diversity needs two models or more"
            raise click.UsageError(message)
        from ensemble import align_members, pairwise_diversity

        diversity = pairwise_diversity(align_members([*models.values()], classes=classes), labels)
    if shown.html is not None:
        _write_page(found, shown.html, shown.title, overwrite=outputs.overwrite)
    _print(found, diversity, doubts, shown, runner)


def _check_inputs(paths: Sequence[str], inputs: Inputs, shown: Shown, *, is_run: bool) -> None:
    """Check what can be checked before anything is loaded."""
    message = ""
    if is_run and (inputs.classes is not None or inputs.reading.kind is not None):
        message = "a run directory knows its classes and kinds; omit --classes and --logits"
    elif not is_run and inputs.labels is None:
        message = "Missing option '--labels': a report needs the true labels."
    if message:
        raise click.UsageError(message)


def _load(
    paths: Sequence[str], run: RunDirectory | None, baseline: str | None, runner: Runner
) -> tuple[dict[str, Predictions], NDArray[Any]]:
    """Load predictions, the baseline's first, and labels in the order of its rows."""
    from cli.task.members import load_target, load_target_labels, member_names

    names = member_names(paths) if run is None else list(run.models)
    target = load_target(paths, names, run, runner, predicted_labels=True)
    loaded = [one.streamed() for one in target]
    loaded.insert(0, loaded.pop(_position(baseline, [one.name for one in loaded], paths)))
    labels = load_target_labels(loaded, run, runner)
    if labels is None:
        message = f"Missing option '--labels': {paths[0]} has no labels of its test split."
        raise click.UsageError(message)
    return {model.name: model for model in loaded}, labels


def _position(baseline: str | None, names: Sequence[str], paths: Sequence[str]) -> int:
    if baseline is None:
        return 0
    for known in (names, paths):
        if baseline in known and len(known) == len(names):
            return known.index(baseline)
    message = f"must be one of {', '.join(names)}, got {baseline}"
    raise click.BadParameter(message, param_hint="--baseline")


def _write_page(found: Report, path: Path, title: str, *, overwrite: bool) -> None:
    from cli.messages import note_written
    from postproc.files import atomic_path

    page = found.to_html(title=title)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")
    note_written(path)


def _print(
    found: Report,
    diversity: Diversity | None,
    doubts: list[str],
    shown: Shown,
    runner: Runner,
) -> None:
    """Print JSON, CSV, Markdown or tables."""
    from cli.messages import print_json, print_report_tables
    from postproc.reports.text import to_markdown

    if runner.outputs.as_json:
        result = {**found.to_dict(per_class=shown.per_class), "warnings": doubts}
        print_json(result if diversity is None else {**result, "diversity": diversity.to_dict()})
        return
    if shown.as_csv:
        echo(found.to_csv(), nl=False)
        return
    contents = found.tables(per_class=shown.per_class)
    if diversity is not None:
        contents.append(diversity.to_table())
    if shown.as_markdown:
        echo(to_markdown(contents), nl=False)
    elif not runner.running.quiet:
        print_report_tables(contents, width=100)
        if shown.html is not None:
            echo(f"written: {shown.html}")
