"""`postproc decide`: labels, abstention or sets of classes from probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.options import ENGINE, Fit, Inputs, Number, Outputs, Prior, Running, given

#: Options that say how to decide, of which one is given at most, and those that belong to each.
RULES = {
    "metric": (),
    "cost": (),
    "max_error": ("confidence",),
    "coverage": (),
    "sets": ("score", "per_class"),
}

#: Values in (0, 1), but for the end that the library refuses.
SHARE = Number(low=0.0, high=1.0, open_low=True)


@dataclass(frozen=True)
class Decision:
    """How to decide; the likeliest class where nothing is given."""

    cost: Path | None = given(
        "Decide at least expected cost. A table: rows true classes, columns decisions, names in "
        "the header; one more column may be `abstain`.",
        metavar="FILE",
    )
    max_error: float | None = given(
        "Abstain from the least certain rows, so that at most this share of the others is wrong. "
        "Takes --fit.",
        type=SHARE,
    )
    confidence: float | None = given(
        "Confidence of the bound of --max-error.  [default: 0.95]", type=SHARE
    )
    coverage: float | None = given(
        "Decide this share of the rows, the most certain ones, and abstain from the others.",
        type=SHARE,
    )
    sets: float | None = given(
        "Write sets of classes that hold the true one with this probability. Takes --fit.",
        metavar="COVERAGE",
        type=SHARE,
    )
    score: Any = given(
        "Score of --sets: `lac` gives the smallest sets, `aps` larger ones for harder rows.  "
        "[default: lac]",
        type=click.Choice(["lac", "aps"]),
    )
    per_class: bool = given("--sets: reach the probability within every class.")

    def rule(self) -> str:
        """The option that says how to decide, or `labels`."""
        rules = [name for name in RULES if getattr(self, name, None) is not None]
        if len(rules) > 1:
            both = " and ".join(f"--{name.replace('_', '-')}" for name in rules)
            message = f"{both} exclude each other"
            raise click.UsageError(message)
        for name, own in RULES.items():
            for each in own:
                if getattr(self, each) and name not in rules:
                    message = f"--{each.replace('_', '-')} requires --{name.replace('_', '-')}"
                    raise click.UsageError(message)
        return rules[0] if rules else "labels"


@options.command(
    epilog="""\b
Examples:
  postproc decide test.csv -o labels.csv
  postproc decide test.csv -o submission.csv --columns-as id:PassengerId,label:Survived
  postproc decide test.npy --cost costs.csv -o labels.csv
  postproc decide test.npy --max-error 0.02 --fit val.npy --fit-labels y.npy -o labels.csv
  postproc decide test.npy --sets 0.9 --fit val.npy --fit-labels y.npy -o sets.csv
"""
)
@options.predictions_argument
@options.group(Decision)
@options.group(
    Fit,
    fit_files={"help": "Predictions of the same model for labelled rows.", "multiple": False},
    fit_labels={},
)
@options.group(
    Prior,
    prior={
        "help": "--sets: class prior of PREDS, where it is not that of --fit: a file of labels, "
        "counts or probabilities; `uniform`; numbers separated by commas; or `estimate`.",
    },
    prior_kind={},
)
@options.group(Inputs, "labels", *options.READING)
@options.group(
    Outputs,
    "overwrite",
    "save",
    "integers",
    "columns_as",
    "as_json",
    output={
        "help": "Output file; the suffix sets the format: .csv, .tsv, .jsonl and .parquet keep "
        "row ids, .txt holds one label per line, .npy integers (with --sets zeros and ones).  "
        "[default: <stem>.decide.csv in the folder of PREDS]",
    },
)
@options.group(Running, *ENGINE, "seed", "quiet")
def decide_command(
    predictions: str,
    decision: Decision,
    fit: Fit,
    prior: Prior,
    inputs: Inputs,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Turn PREDS into labels, or into sets of classes.

    By default the label of a row is its likeliest class. Rows that are abstained from are labelled
    `abstain`, or -1 among integers. The rows of --fit must be like those of PREDS and have taken
    no part in training; guarantees hold for such rows only.
    """
    from cli.run.decided import decide_file
    from cli.run.outcome import deliver
    from cli.task.runner import Runner

    runner, rule = Runner.of(inputs, outputs, running), decision.rule()
    return deliver(decide_file(predictions, rule, decision, fit, prior, runner), runner)
