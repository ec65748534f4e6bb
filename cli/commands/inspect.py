"""`postproc inspect`: what prediction files hold, and what in them looks suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from postproc.files.inspection import Inspection

#: Width of the longest bar of a histogram, in characters.
BAR_WIDTH = 40
#: Classes in the table of mean predictions; --json has all.
CLASSES_SHOWN = 10


@click.command(
    short_help="Show what prediction files hold.",
    epilog="""\b
Examples:
  postproc inspect preds.npy
  postproc inspect a.npy b.csv --prior train_labels --json
""",
)
@click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)
@click.option(
    "--prior", metavar="SRC", help="A class prior to hold the mean prediction against; as in can."
)
@click.option(
    "--prior-kind",
    type=click.Choice(["labels", "counts", "vector"]),
    help="What the file of the prior holds.  [default: seen from its length and values]",
)
@options.input_options
@options.engine_option
@options.json_option
def inspect(predictions: tuple[str, ...], prior: str | None, **given: Any) -> None:
    """Show shape, kind, entropy, confidence and mean prediction of PREDS.

    Says what looks suspicious: logits that look like probabilities, scores softmaxed twice, ties,
    rows all alike, classes never predicted.
    """
    from cli.messages import print_json
    from cli.task.load import load, n_shards
    from cli.task.runner import make_runner
    from postproc.files import load_prior
    from postproc.files.inspection import inspect_predictions

    runner = make_runner(given, "inspect")
    found = []
    for path in predictions:
        loaded = load(path, given, runner=runner)
        vector = None
        if prior is not None:
            vector = load_prior(
                prior,
                n_classes=loaded.n_classes,
                classes=loaded.classes,
                kind=given["prior_kind"],
            )
        inspection = inspect_predictions(
            loaded,
            prior=vector,
            declared=given["is_logits"] is not None,
            **runner.blocks,
        )
        found.append((inspection, n_shards(loaded)))
    if given["as_json"]:
        shown = [{**inspection.to_dict(), "shards": shards} for inspection, shards in found]
        print_json({"predictions": shown})
        return
    for inspection, shards in found:
        _print(inspection, shards)


def _print(inspection: Inspection, shards: int | None) -> None:
    from cli.messages import print_table
    from cli.task.load import shards_text
    from postproc.scores.confidence import DEFAULT_TOP_K

    click.secho(inspection.name, bold=True)
    click.echo(
        f"{inspection.rows} rows x {inspection.classes} classes, {inspection.kind}, "
        f"{inspection.dtype}" + ("" if shards is None else f", in {shards_text(shards)}")
    )
    k = min(DEFAULT_TOP_K, inspection.classes)
    _print_histogram(
        f"top-{k} entropy (mean {inspection.mean_entropy:.3f})", inspection.entropy_histogram
    )
    _print_histogram(
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
        row = [inspection.class_names[j], f"{100 * mean[j]:.2f}", str(inspection.predicted[j])]
        rows.append(row if prior is None else [*row, f"{100 * prior[j]:.2f}"])
    print_table(heading, rows)
    if len(order) > CLASSES_SHOWN:
        click.echo(f"  and {len(order) - CLASSES_SHOWN} more classes (--json shows all)")
    if inspection.prior_distance is not None:
        click.echo(f"total variation between the two: {inspection.prior_distance:.3f}")
    for suspicion in inspection.suspicions:
        click.secho(f"Suspicious: {suspicion}", fg="yellow")
    click.echo()


def _print_histogram(title: str, counts: Sequence[int]) -> None:
    click.echo(f"\n{title}")
    longest = max(counts)
    for number, count in enumerate(counts):
        low, high = number / len(counts), (number + 1) / len(counts)
        bar = "█" * round(BAR_WIDTH * count / longest) or ("▏" if count else "")
        click.echo(f"  {low:.1f}-{high:.1f} {bar:<{BAR_WIDTH}} {count}")
