"""`postproc can`: alternating normalization of one prediction file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.can_model import CANModel, CANOptions
    from postproc.predictions import Predictions


@click.command(
    short_help="Adjust doubtful rows by alternating normalization.",
    epilog="""\b
Examples:
  postproc can preds.npy --prior train_labels
  postproc can test.npy --prior uniform --reference val.npy --threshold 0.7 -o better.npz
  postproc can test.npy --prior 120,30,50 --labels test_labels.txt --json
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
    type=options.Number(low=0.0, open_low=True),
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
@options.device_option
@options.seed_option
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
    from cli.inputs import device_mover, load, output_path
    from postproc.can_model import CANModel
    from postproc.files import load_labels, load_multilabels, load_prior, save_blocks

    multilabel = given["multilabel"]
    target = load(path, given, multilabel=multilabel)
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
        labels = 1 - positive  # class 0 is "has the label"
    elif given["labels"] is not None:
        labels = load_labels(
            given["labels"],
            n_classes=n_classes,
            n_rows=target.n_rows,
            classes=target.classes,
            ids=target.ids,
        )
    reference = target
    if given["reference"] is not None:
        reference = load(given["reference"], given, multilabel=multilabel, like=target)
    to_device = device_mover(given["device"])
    model = CANModel.fit(
        (to_device(block) for block in _rows(reference, multilabel)),
        prior,
        _options(given),
        seed=given["seed"],
    )
    names = ["positive", "negative"] if multilabel else target.classes
    warnings = list(model.risks(names))
    tally = _Tally(labels, n_classes)
    blocks = (tally.adjust(model, to_device(block)) for block in _rows(target, multilabel))
    if multilabel:
        blocks = (block[:, 0].reshape(-1, target.n_classes) for block in blocks)
    keeps_names = output.suffix.lower() != ".npy"
    if target.ids is not None and not keeps_names:
        warnings.append(f"{output.name} keeps no row ids; name an output with -o x.npz, .csv, ...")
    save_blocks(
        output,
        blocks,
        shape=(target.n_rows, target.n_classes),
        dtype=target.output_dtype,
        classes=target.classes,
        ids=target.ids,
        overwrite=given["overwrite"],
    )
    mismatch = model.mismatch(tally.moments)
    return {
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "confident": tally.rows - tally.ambiguous,
        "ambiguous": tally.ambiguous,
        "changed": tally.changed,
        "reference_rows": model.n_confident,
        "output": str(output),
        "warnings": warnings + ([mismatch] if mismatch else []),
        "report": tally.report(),
    }


def _options(given: dict[str, Any]) -> CANOptions:
    """The preset or configuration, changed by what was given on the command line."""
    from dataclasses import replace

    from postproc.can_model import PRESETS
    from postproc.configuration import load_can_options

    if given["preset"] is not None and given["config"] is not None:
        message = "--preset and --config exclude each other"
        raise click.UsageError(message)
    base = PRESETS[given["preset"] or "blog"]
    if given["config"] is not None:
        base = load_can_options(given["config"])
    names = ("alpha", "iterations", "top_k", "threshold", "smoothing")
    return replace(base, **{name: given[name] for name in names if given[name] is not None})


def _rows(predictions: Predictions, multilabel: bool) -> Iterator[NDArray[Any]]:
    """Blocks of probabilities; with `multilabel` two-class rows, one for each label."""
    from postproc.kinds import two_class_rows

    for rows in predictions.blocks():
        if multilabel:
            yield two_class_rows(predictions.scores[rows], predictions.kind)
        else:
            yield predictions.probabilities(rows)


class _Tally:
    """Counts of what was adjusted and, where labels are known, of what that did."""

    def __init__(self, labels: NDArray[Any] | None, n_classes: int) -> None:
        from postproc.can_model import Moments

        self.labels = None if labels is None else labels.reshape(-1)
        self.rows = self.ambiguous = self.changed = 0
        self.fixed = self.broken = 0
        self.right_confident = self.right_before = self.right_after = 0
        self.moments = Moments(n_classes)

    def adjust(self, model: CANModel, probs: Any) -> NDArray[Any]:
        """Adjust a block, counting; blocks come in the order of the rows."""
        from postproc.arrays import as_numpy

        adjusted, ambiguous = (as_numpy(part) for part in model.adjust(probs))
        probs = as_numpy(probs)
        before, after = probs.argmax(axis=1), adjusted.argmax(axis=1)
        if self.labels is not None:
            truth = self.labels[self.rows : self.rows + len(probs)]
            was_right, is_right = before == truth, after == truth
            self.fixed += int((~was_right & is_right).sum())
            self.broken += int((was_right & ~is_right).sum())
            self.right_confident += int(was_right[~ambiguous].sum())
            self.right_before += int(was_right[ambiguous].sum())
            self.right_after += int(is_right[ambiguous].sum())
        self.rows += len(probs)
        self.ambiguous += int(ambiguous.sum())
        self.changed += int((before != after).sum())
        self.moments.add(probs)
        return adjusted

    def report(self) -> dict[str, Any] | None:
        """Accuracy before and after, of all, confident and ambiguous rows; None without labels."""
        if self.labels is None:
            return None
        from postproc.comparison import Comparison

        compared = Comparison(self.rows, self.fixed, self.broken)
        confident = self.rows - self.ambiguous
        groups = {
            "all": (
                self.rows,
                self.right_confident + self.right_before,
                self.right_confident + self.right_after,
            ),
            "confident": (confident, self.right_confident, self.right_confident),
            "ambiguous": (self.ambiguous, self.right_before, self.right_after),
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
            "fixed": self.fixed,
            "broken": self.broken,
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
