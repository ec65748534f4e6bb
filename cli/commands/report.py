"""`postproc report`: what models are worth, and whether a gain is real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from ensemble.diversity import Diversity
    from postproc.files.rundir import RunDirectory
    from postproc.reports.report import AccuracyReport
    from postproc.reports.tables import Table
    from postproc.scores.predictions import Predictions


@click.command(
    short_help="Compare predictions with labels and say whether a gain is real.",
    epilog="""\b
Examples:
  postproc report before.npy after.npy --labels test_labels.npy
  postproc report a.npy b.npy c.npy --labels y.txt --baseline b --per-class
  postproc report a.npy b.npy --labels y.txt --html report.html --json
""",
)
@click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)
@click.option(
    "--labels",
    metavar="FILE",
    help="True labels of the rows.  [required; those of the test split for a run directory]",
)
@click.option(
    "--baseline",
    metavar="NAME",
    help="The file, or its name in the table, that others are compared with.  [default: the first]",
)
@click.option(
    "--per-class", is_flag=True, help="Add every class, and the confusions that changed most."
)
@click.option("--diversity", is_flag=True, help="Add how unlike the mistakes of each pair are.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown tables.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, as fractions.")
@options.json_option
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write a page with tables and plots, too."
)
@click.option("--title", default="Accuracy report", show_default=True, help="Title of the page.")
@click.option("--overwrite", is_flag=True, help="Replace a page that exists.")
@options.input_options
@options.engine_option
@options.quiet_option
def report(predictions: tuple[str, ...], **given: Any) -> None:
    """Compare PREDS on the same labelled rows; the first file is the baseline.

    Accuracy, top-5, macro-F1, log-loss, Brier score and calibration error of each; against the
    baseline the rows fixed and broken, the gain with its interval for paired proportions, and
    the exact McNemar test, corrected by Holm for the number of files compared.

    One run directory in place of files stands for the predictions of its test split.
    """
    from cli.messages import warn
    from cli.task.doubts import report_doubts
    from cli.task.members import open_run
    from cli.task.runner import make_runner
    from postproc.reports.report import accuracy_report

    run = open_run(predictions)
    _check(predictions, given, is_run=run is not None)
    runner = make_runner(given, "report")
    models, labels = load_models(predictions, run, given, runner)
    classes = next((m.classes for m in models.values() if m.classes is not None), None)
    found = accuracy_report(models, labels, classes=classes, **runner.blocks)
    doubts = report_doubts(found)
    warn(doubts, quiet=given["quiet"])
    unlike = None
    if given["diversity"]:
        from ensemble import align_members, pairwise_diversity

        members = align_members(list(models.values()), classes=classes)
        unlike = pairwise_diversity(members, labels)
    if given["html"] is not None:
        _write_page(found, given)
    _print(found, unlike, doubts, given)


def _check(paths: Sequence[str], given: dict[str, Any], *, is_run: bool) -> None:
    """Check what can be checked before anything is loaded."""
    flags = [f"--{name.replace('_', '-')}" for name in ("per_class", "diversity") if given[name]]
    formats = [f"--{name}" for name in ("json", "csv", "markdown") if given[f"as_{name}"]]
    unlike = formats if len(formats) > 1 else [*formats, *flags] if given["as_csv"] else []
    if len(unlike) > 1:
        message = f"{unlike[0]} and {unlike[1]} exclude each other"
        raise click.UsageError(message)
    if not is_run:
        if given["labels"] is None:
            message = "Missing option '--labels': a report needs the true labels."
            raise click.UsageError(message)
        if given["diversity"] and len(paths) == 1:
            message = "--diversity needs two files or more"
            raise click.UsageError(message)
    elif given["classes"] is not None or given["is_logits"] is not None:
        message = "a run directory tells classes and kinds itself; leave out --classes and --logits"
        raise click.UsageError(message)
    if given["html"] is not None:
        from cli.task.apart import check_apart
        from postproc.files import check_output

        check_output(given["html"], overwrite=given["overwrite"], suffixes=(".html", ".htm"))
        check_apart(given["html"], given, option="--html")


def load_models(
    paths: Sequence[str], run: RunDirectory | None, given: dict[str, Any], runner: Runner
) -> tuple[dict[str, Predictions], NDArray[Any]]:
    """Load predictions, the baseline's first, and labels in the order of its rows."""
    from cli.task.members import load_member_labels, load_members, member_names

    labels = None
    if run is not None:
        names, loaded = list(run.models), [one.streamed() for one in run.predictions("test")]
        labels = run.labels("test", mapped=True) if given["labels"] is None else None
        if labels is None and given["labels"] is None:
            message = f"Missing option '--labels': {run.path} has no labels of its test split."
            raise click.UsageError(message)
    else:
        names = member_names(paths)
        loaded = load_members(paths, names, given, runner=runner)
    first = _baseline(given["baseline"], names, paths)
    loaded.insert(0, loaded.pop(first))
    if labels is None:
        labels = load_member_labels(given["labels"], loaded, mapped=True)
    return {model.name: model for model in loaded}, labels


def _baseline(wanted: str | None, names: Sequence[str], paths: Sequence[str]) -> int:
    if wanted is None:
        return 0
    for known in (names, paths):
        if wanted in known:
            return known.index(wanted)
    message = f"must be one of {', '.join(names)}, got {wanted}"
    raise click.BadParameter(message, param_hint="--baseline")


def _write_page(found: AccuracyReport, given: dict[str, Any]) -> None:
    from cli.messages import note_written
    from postproc.files import atomic_path

    page = found.to_html(title=given["title"])
    with atomic_path(given["html"], overwrite=given["overwrite"]) as path:
        path.write_text(page, encoding="utf-8")
    note_written(given["html"])


def _print(
    found: AccuracyReport, unlike: Diversity | None, doubts: list[str], given: dict[str, Any]
) -> None:
    from cli.messages import print_json

    if given["as_json"]:
        result = {**found.to_dict(per_class=given["per_class"]), "warnings": doubts}
        print_json(result if unlike is None else {**result, "diversity": unlike.to_dict()})
        return
    if given["as_csv"]:
        click.echo(found.to_csv(), nl=False)
        return
    from postproc.reports.tables import tables
    from postproc.reports.text import to_markdown

    shown = tables(found, per_class=given["per_class"])
    if unlike is not None:
        shown.append(_diversity_table(unlike))
    if given["as_markdown"]:
        click.echo(to_markdown(shown), nl=False)
    elif not given["quiet"]:
        _print_tables(shown)
        if given["html"] is not None:
            click.echo(f"written: {given['html']}")


def _diversity_table(unlike: Diversity) -> Table:
    """One line a pair of models."""
    from itertools import combinations

    from postproc.reports.tables import NOTHING, Cell, Table, percent

    rows = []
    for a, b in combinations(range(len(unlike.names)), 2):
        shares = (unlike.difference, unlike.disagreement, unlike.double_fault)
        q = float(unlike.q_statistic[a, b])
        rows.append(
            (
                *(Cell(unlike.names[m], unlike.names[m]) for m in (a, b)),
                *(Cell(percent(values[a, b]), float(values[a, b])) for values in shares),
                Cell(f"{q:+z.3f}", q) if q == q else Cell(NOTHING, None),
            )
        )
    return Table(
        "Diversity",
        ("model", "and", "differ", "one right", "both wrong", "Q"),
        tuple(rows),
        "Rows in per cent: the two predict different classes; exactly one is right (disagreement); "
        "both are wrong (double fault). Q is 0 where mistakes are independent, 1 where they fall "
        "on the same rows.",
        n_texts=2,
    )


def _print_tables(shown: Sequence[Table]) -> None:
    import sys

    from postproc.reports.text import renderable, to_text

    if not sys.stdout.isatty():
        click.echo(to_text(shown, width=100), nl=False)
        return
    from rich.console import Console

    Console(highlight=False).print(renderable(shown))
