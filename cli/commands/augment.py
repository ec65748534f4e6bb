"""`postproc augment`: variants of texts for test-time augmentation."""

from __future__ import annotations

from typing import Any

import click

from cli import options
from cli.messages import refuse
from cli.options import Inputs, Outputs, Running
from cli.parameter_types import FILE, Choice, Count


@options.command(
    epilog="""\b
Examples:
  postproc augment texts.csv -k 8 -o variants.csv
  postproc augment tweets.tsv --text-column body --with-original \\
      -o variants.tsv
  postproc augment texts.csv --method roles --fit train.csv -o variants.csv
Then predict the variants with your own model, keep their ids, and make one
row of each text:
  postproc pool predictions.csv -o pooled.csv
"""
)
@click.argument("texts", metavar="TEXTS", type=FILE)
@options.option(
    "--text-column",
    metavar="NAME",
    group=options.INPUT,
    help="Column that holds the texts.  [default: `text`, or the only one beside the ids]",
)
@options.group(
    Inputs,
    id_column={
        "help": "Column that holds the ids.  [default: detected from its name; without one, rows "
        "are numbered from 0]"
    },
    label_column={
        "help": "roles: column that holds the labels.  [default: detected from its name]"
    },
)
@options.option(
    "--method",
    type=Choice(["aeda", "roles"]),
    default="aeda",
    help="How texts are varied: aeda puts punctuation marks before some words; roles replaces, "
    "deletes, inserts and selects words by what they tell of labels.",
)
@options.option(
    "--fit",
    metavar="FILE",
    group=options.INPUT,
    help="roles: table of labelled texts that the roles of words are learned from; labels of TEXTS "
    "are not used.  [default: TEXTS with its labels, to make texts to train on]",
)
@options.option("-k", type=Count(1), default=8, help="Number of variants of each text.")
@options.option("--with-original", is_flag=True, help="Write each text itself, too, before them.")
@options.group(
    Outputs,
    "overwrite",
    "as_json",
    output={
        "help": "Output file, .csv or .tsv.  [default: <stem>.augment.csv in the folder of TEXTS]"
    },
)
@options.group(Running, "seed", "quiet")
def augment_command(
    texts: str,
    text_column: str | None,
    inputs: Inputs,
    method: str,
    fit: str | None,
    k: int,
    with_original: bool,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Write variants of each text of the table TEXTS, for your own model to predict.

    Each row of TEXTS becomes K rows with the same id; postproc pool makes one row of their
    predictions. Other columns are copied.
    """
    from cli.run.augmented import augment_file
    from cli.run.outcome import deliver
    from cli.task.runner import Runner

    if method != "roles" and (fit is not None or inputs.label_column is not None):
        refuse(f"{method} learns from no labels; omit --fit and --label-column")
    runner = Runner.of(inputs, outputs, running)
    outcome = augment_file(
        texts,
        runner,
        text_column=text_column,
        method=method,
        fit=fit,
        k=k,
        with_original=with_original,
    )
    return deliver(outcome, runner)
