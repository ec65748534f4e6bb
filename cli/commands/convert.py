"""`postproc convert`: any layout in, any format out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import options
from cli.messages import refuse
from cli.options import Inputs, Outputs, Running
from cli.parameter_types import PATH, Choice


@options.command(
    epilog="""\b
Examples:
  postproc convert preds.csv --columns 'prob_*' --label-column truth \\
      -o preds.npz
  postproc convert samples.jsonl --layout lm-eval --normalize bytes \\
      -o preds.npz --labels-out answers.txt
  postproc convert answers.jsonl --layout logprobs --classes choices.txt \\
      -o preds.npz
  postproc convert long.csv --layout long --label-column class \\
      -o preds.npz
  postproc convert twice.npy --undo-softmax -o once.npy
  postproc convert val.npy --classes names.txt --ids train.csv -o val.csv
"""
)
@options.predictions_argument
@options.group(Inputs, *options.READING)
@options.option(
    "--layout",
    type=Choice(["lm-eval", "logprobs", "long"]),
    group=options.INPUT,
    help="Layout of a .jsonl file: sample logs of lm-evaluation-harness, or top-k "
    "log-probabilities of tokens; or of a table: a line for each row and class.  [default: a "
    "table or array of scores]",
)
@options.option(
    "--ids",
    type=PATH,
    group=options.INPUT,
    help="File of the ids of the rows, in their order: one id per line, or a table with a column "
    "of ids.  [default: those of PREDS]",
)
@options.option(
    "--normalize",
    type=Choice(["none", "characters", "bytes", "tokens"]),
    default="none",
    help="lm-eval: divide log-likelihoods by the length of the choice in characters (acc_norm of "
    "the harness), in bytes, or in tokens, for which each record needs counts in a field `tokens` "
    "that the harness does not write.",
)
@options.option(
    "--missing",
    type=Choice(["spread", "zero"]),
    default="spread",
    help="logprobs: what an answer gets that a row does not list, an equal share of the rest or "
    "zero.",
)
@options.option("--undo-softmax", is_flag=True, help="Undo one softmax too many, exactly.")
@options.group(
    Outputs,
    "output",
    "overwrite",
    "as_json",
    "integers",
    "columns_as",
    labels_out={"help": "File for the labels that a log of a language model holds."},
)
@options.group(Running, "quiet")
def convert_command(
    predictions: str,
    inputs: Inputs,
    layout: str | None,
    ids: Path | None,
    normalize: Any,
    missing: Any,
    undo_softmax: bool,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Write PREDS in another format, as the kind of scores that they are.

    The suffix of the output sets its format. Class names and row ids go along; an array gets them
    from --classes and --ids.
    """
    from cli.run.converted import convert_file
    from cli.run.outcome import deliver
    from cli.task.runner import Runner

    if outputs.labels_out is not None and layout not in ("lm-eval", "logprobs"):
        refuse("--labels-out is for --layout lm-eval and logprobs")
    runner = Runner.of(inputs, outputs, running)
    how = {"normalize": normalize} if layout == "lm-eval" else {"missing": missing}
    done = convert_file(predictions, runner, layout=layout, ids=ids, how=how, undo=undo_softmax)
    return deliver(done, runner)
