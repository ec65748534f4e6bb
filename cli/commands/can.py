"""`postproc can`: alternating normalization of one prediction file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.can.options import CANOptions


@click.command(
    short_help="Adjust doubtful rows by alternating normalization.",
    epilog="""\b
Examples:
  postproc can preds.npy --prior train_labels
  postproc can test.npy --prior uniform --reference val.npy --threshold 0.7 -o better.npz
  postproc can test.npy --prior 120,30,50 --labels test_labels.txt --json
  postproc can shards/ --prior train_labels -o better/ --resume
""",
)
@options.predictions_argument
@click.option(
    "--prior",
    required=True,
    metavar="SRC",
    help="Class prior of the target: a file of labels, counts or a vector; `uniform`; or numbers "
    "with commas between them.",
)
@click.option(
    "--prior-kind",
    type=click.Choice(["labels", "counts", "vector"]),
    help="What the file of the prior holds.  [default: seen from its length and values]",
)
@click.option(
    "--reference",
    metavar="FILE",
    help="Predictions whose confident rows are normalized against.  [default: PREDS]",
)
@click.option(
    "--alpha",
    type=options.Number(low=0.0, high=1000.0, open_low=True),
    help="Exponent of each iteration, above 0.  [default: 1]",
)
@click.option("--iterations", type=options.Count(1), help="Number of iterations.  [default: 1]")
@click.option(
    "--top-k",
    type=options.Count(2, words=("max",)),
    help="Entries that the entropy of a row looks at, or `max` for the largest over all k.  "
    "[default: 3, or C where that is smaller]",
)
@click.option(
    "--threshold",
    type=options.Number(low=0.0, high=1.0),
    help="Rows with an entropy at or above it are adjusted.  [default: 0.9]",
)
@click.option(
    "--smoothing",
    type=options.Number(low=0.0),
    help="One-hot pseudo-rows a class added to the reference.  [default: 0]",
)
@click.option(
    "--reference-size",
    type=options.Count(1, words=("exact", "auto")),
    help="Reference rows beyond which several iterations work with class-by-class matrices in "
    "their place, for the same classes in less time; `auto` is 20 a class.  [default: exact]",
)
@click.option(
    "--multilabel", is_flag=True, help="Every column is a label, a two-class problem of its own."
)
@click.option(
    "--preset",
    type=click.Choice(["blog", "paper-code"]),
    help="Published settings that the options above change.  [default: blog]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A configuration in JSON, in place of a preset.",
)
@options.labels_option
@options.input_options
@options.output_options
@options.json_option
@options.device_options
@options.seed_option
@options.engine_options
@options.quiet_option
def can(predictions: str, **given: Any) -> None:
    """Adjust the doubtful rows of PREDS by alternating normalization (CAN).

    Rows whose top-k entropy reaches the threshold are normalized, each for itself, against the
    confident rows and the class prior. All other rows pass through as probabilities.

    Jia et al., Findings of EMNLP 2021, arXiv:2109.13449.
    """
    from cli.messages import print_json, warn

    summary = adjust_file(predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        _print(summary)


def adjust_file(path: str, given: dict[str, Any]) -> dict[str, Any]:
    """Adjust a file and write the result; `given` holds the parameters of the command."""
    from cli.task.load import load, lost_ids, output_like, output_path
    from cli.task.order import in_order_of
    from cli.task.runner import make_runner
    from postproc.can.bounds import Condensed
    from postproc.can.streaming.adjust import AdjustRows
    from postproc.can.streaming.fit import fit_can
    from postproc.can.streaming.rows import ProbabilityRows
    from postproc.files import load_labels, load_multilabels, load_prior
    from postproc.scores.sources import as_source

    runner = make_runner(given, "can")
    multilabel = given["multilabel"]
    target = load(path, given, multilabel=multilabel, runner=runner)
    output = output_path(target.name, given, "can")
    n_classes = 2 if multilabel else target.n_classes
    prior = load_prior(
        given["prior"],
        n_classes=n_classes,
        classes=target.classes,
        kind=given["prior_kind"],
        multilabel=multilabel,
    )
    labels: NDArray[Any] | None = None
    if given["labels"] is not None and multilabel:
        shape = (target.n_rows, target.n_classes)
        positive = load_multilabels(
            given["labels"], shape=shape, classes=target.classes, ids=target.ids
        )
        labels = (1 - positive).reshape(-1, 1)  # class 0 is "has the label"
    elif given["labels"] is not None:
        labels = load_labels(
            given["labels"],
            n_classes=n_classes,
            n_rows=target.n_rows,
            classes=target.classes,
            ids=target.ids,
            mapped=True,
        )[:, None]
    reference = target
    if given["reference"] is not None:
        other = load(given["reference"], given, multilabel=multilabel, runner=runner)
        reference = in_order_of(other, target, quiet=given["quiet"])
    model = fit_can(
        ProbabilityRows(reference, multilabel, given["device"], runner.sizes),
        prior,
        _options(given),
        runner.map_blocks,
        seed=given["seed"],
    )
    rows = ProbabilityRows(target, multilabel, given["device"], runner.sizes)
    adjust = AdjustRows(rows, model, as_source(labels)).prepared(runner.map_blocks)
    names = ["positive", "negative"] if multilabel else target.classes
    warnings = list(model.risks(names)) + lost_ids(target.ids, output)
    tally = _Tally(n_classes, labelled=labels is not None)
    for counts in runner.write(
        adjust,
        adjust.cuts(),
        output_like(output, target),
        inputs=[target] if reference is target else [target, reference],
    ):
        tally.merge(counts)
    mismatch = model.mismatch(tally.moments)
    return {
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "confident": tally["rows"] - tally["ambiguous"],
        "ambiguous": tally["ambiguous"],
        "changed": tally["changed"],
        "reference_rows": model.n_confident,
        "condensed": isinstance(model.reference, Condensed),
        "output": str(output),
        "warnings": warnings + ([mismatch] if mismatch else []),
        "report": tally.report(),
    }


def _options(given: dict[str, Any]) -> CANOptions:
    """The preset or configuration, changed by what was given on the command line."""
    from dataclasses import replace

    from postproc.can.options import PRESETS, load_can_options

    if given["preset"] is not None and given["config"] is not None:
        message = "--preset and --config exclude each other"
        raise click.UsageError(message)
    base = PRESETS[given["preset"] or "blog"]
    if given["config"] is not None:
        base = load_can_options(given["config"])
    names = ("alpha", "iterations", "top_k", "threshold", "smoothing", "reference_size")
    return replace(base, **{name: given[name] for name in names if given[name] is not None})


class _Tally:
    """Counts of what was adjusted and, where labels are known, of what that did."""

    def __init__(self, n_classes: int, *, labelled: bool) -> None:
        from postproc.can.model import Moments

        self.labelled = labelled
        self.counts: dict[str, int] = {}
        self.moments = Moments(n_classes)

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    def merge(self, counts: dict[str, Any]) -> None:
        """Add the counts of a block, as `AdjustRows` gives them."""
        sums, squares = counts.pop("sums"), counts.pop("squares")
        self.moments.merge(counts["rows"], sums, squares)
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def report(self) -> dict[str, Any] | None:
        """Accuracy before and after, of all, confident and ambiguous rows; None without labels."""
        if not self.labelled:
            return None
        from postproc.evaluation.paired import Comparison

        compared = Comparison(self["rows"], self["fixed"], self["broken"])
        confident = self["rows"] - self["ambiguous"]
        groups = {
            "all": (
                self["rows"],
                self["right_confident"] + self["right_before"],
                self["right_confident"] + self["right_after"],
            ),
            "confident": (confident, self["right_confident"], self["right_confident"]),
            "ambiguous": (self["ambiguous"], self["right_before"], self["right_after"]),
        }
        return {
            "accuracy": {
                name: {
                    "rows": rows,
                    "before": before / rows if rows else None,
                    "after": after / rows if rows else None,
                }
                for name, (rows, before, after) in groups.items()
            },
            "gain": compared.gain,
            "gain_ci": list(compared.gain_ci),
            "fixed": compared.fixed,
            "broken": compared.broken,
            "p_value": compared.p_value,
        }


def _print(summary: dict[str, Any]) -> None:
    from cli.messages import percent, points, print_table

    click.echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}: "
        f"{summary['confident']} confident, {summary['ambiguous']} ambiguous, "
        f"{summary['changed']} changed class"
    )
    report = summary["report"]
    if report is not None:
        rows = []
        for name, group in report["accuracy"].items():
            if group["rows"]:
                before, after = group["before"], group["after"]
                change = points(after - before)
                rows.append([name, str(group["rows"]), percent(before), percent(after), change])
            else:
                rows.append([name, "0", "-", "-", "-"])
        print_table(["accuracy, %", "rows", "before", "after", "gain"], rows)
        low, high = report["gain_ci"]
        click.echo(
            f"{report['fixed']} rows fixed, {report['broken']} broken; gain "
            f"{points(report['gain'])} points, 95 % interval {points(low)} to {points(high)}; "
            f"exact McNemar p = {report['p_value']:.3g}"
        )
    click.echo(f"written: {summary['output']}")
