"""`postproc inspect`: what prediction files contain, and what in them looks suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import options
from cli.messages import echo
from cli.options import ENGINE, Inputs, Outputs, Prior, Running

if TYPE_CHECKING:
    from postproc.files.inspection import Inspection
    from postproc.files.outline import Outline

#: Width of the longest bar of a histogram, in characters.
BAR_WIDTH = 40
#: Classes in the table of mean predictions; --json has all.
CLASSES_SHOWN = 10
#: Columns that are shown of a table that is not read.
COLUMNS_SHOWN = 30


@options.command(
    epilog="""\b
Examples:
  postproc inspect preds.npy
  postproc inspect a.npy b.csv --prior train_labels --json
"""
)
@options.members_argument
@options.group(Prior)
@options.group(Inputs, *options.READING)
@options.group(Outputs, "as_json")
@options.group(Running, *ENGINE)
def inspect_command(
    predictions: tuple[str, ...], prior: Prior, inputs: Inputs, outputs: Outputs, running: Running
) -> None:
    """Show shape, kind, entropy, confidence and mean prediction of PREDS.

    With --prior, the mean prediction is compared with it. Points out what looks suspicious: logits
    that look like probabilities, scores softmaxed twice, ties, identical rows, classes that are
    never predicted. Of files that cannot be read as predictions, it shows what their columns or
    numbers look like.
    """
    from cli.messages import heard, is_expected, print_json, said_of
    from cli.task.load import load_each, n_shards
    from cli.task.runner import Runner
    from postproc.files.inspection import inspect_predictions
    from postproc.files.outline import outline_of

    runner = Runner.of(inputs, outputs, running)
    found: list[tuple[Inspection, int | None, list[str]]] = []
    unread: list[tuple[Outline, ValueError]] = []
    for path in predictions:
        notes: list[str] = []
        try:  # the inspection says it all
            each = load_each(path, runner, quiet=True, said=notes)
        except ValueError as error:
            outlined = outline_of(path, inputs.reading)
            if outputs.as_json or outlined is None or not is_expected(error):
                raise
            unread.append((outlined, error))
            continue
        for loaded in each:
            inspection = inspect_predictions(
                loaded,
                prior=prior.load(loaded),
                declared=inputs.reading.kind is not None,
                **runner.blocks,
            )
            found.append((inspection, n_shards(loaded), notes))
            notes = []  # said once for all members of a file
    if outputs.as_json:
        shown = [
            {
                **inspection.to_dict(),
                "suspicions": heard(inspection.suspicions),
                "shards": shards,
                "notes": heard(notes),
            }
            for inspection, shards, notes in found
        ]
        print_json({"predictions": shown})
        return
    for measured in found:
        _show(*measured)
    for outlined, fault in unread:
        _show_outline(outlined)
        if fault is unread[-1][1]:
            raise fault
        echo(f"Error: {said_of(fault)}", err=True)


def _show_outline(outlined: Outline) -> None:
    """Show what a file holds that is not read as predictions."""
    from cli.messages import print_table

    echo(outlined.name, bold=True)
    echo(outlined.summary)
    if outlined.columns:
        print_table(("column", "holds", "first values"), outlined.columns[:COLUMNS_SHOWN])
    if len(outlined.columns) > COLUMNS_SHOWN:
        echo(f"  and {len(outlined.columns) - COLUMNS_SHOWN} more columns")


def _show(inspection: Inspection, shards: int | None, notes: Sequence[str]) -> None:
    from cli.messages import heard, print_table
    from cli.task.load import shards_text
    from postproc.reports.tables import percent
    from postproc.scores.confidence import DEFAULT_TOP_K

    echo(inspection.name, bold=True)
    columns = "labels" if inspection.multilabel else "classes"
    echo(
        f"{inspection.rows} rows x {inspection.classes} {columns}, {inspection.kind}, "
        f"{inspection.dtype}" + ("" if shards is None else f", in {shards_text(shards)}")
    )
    for note in heard(notes):
        echo(f"note: {note.removeprefix(f'{inspection.name}: ')}")
    k = 2 if inspection.multilabel else min(DEFAULT_TOP_K, inspection.classes)
    _show_histogram(
        f"top-{k} entropy (mean {inspection.mean_entropy:.3f})", inspection.entropy_histogram
    )
    _show_histogram(
        f"confidence (mean {inspection.mean_confidence:.3f})", inspection.confidence_histogram
    )
    mean, prior = inspection.mean_prediction, inspection.prior
    if prior is None:
        order = sorted(range(len(mean)), key=lambda j: -mean[j])
        heading = ["most predicted", "mean prediction, %", "rows"]
    else:
        order = sorted(range(len(mean)), key=lambda j: -abs(mean[j] - prior[j]))
        heading = ["furthest from the prior", "mean prediction, %", "rows", "prior, %"]
    rows = []
    for j in order[:CLASSES_SHOWN]:
        row = [inspection.class_names[j], percent(mean[j]), str(inspection.predicted[j])]
        rows.append(row if prior is None else [*row, percent(prior[j])])
    print_table(heading, rows)
    if len(order) > CLASSES_SHOWN:
        echo(f"  and {len(order) - CLASSES_SHOWN} more classes (--json shows all)")
    if inspection.prior_distance is not None:
        echo(f"total variation distance from the prior: {inspection.prior_distance:.3f}")
    for suspicion in heard(inspection.suspicions):
        echo(f"Suspicious: {suspicion}", fg="yellow")
    echo()


def _show_histogram(title: str, counts: Sequence[int]) -> None:
    echo(f"\n{title}")
    longest = max(counts)
    for number, count in enumerate(counts):
        low, high = number / len(counts), (number + 1) / len(counts)
        bar = "█" * round(BAR_WIDTH * count / longest) or ("▏" if count else "")
        echo(f"  {low:.1f}-{high:.1f} {bar:<{BAR_WIDTH}} {count}")
