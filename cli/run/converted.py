"""Predictions in another format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import echo
from cli.run.outcome import Outcome
from cli.task.load import load
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from postproc.files import atomic_path, check_output, load_class_names, save_blocks
from postproc.files.llm import Converted, read_lm_eval, read_logprobs
from postproc.scores.arrays import undo_softmax
from postproc.scores.checks import fail
from postproc.scores.predictions import Predictions


def convert_file(
    path: str,
    runner: Runner,
    *,
    layout: str | None,
    how: dict[str, Any],
    undo: bool,
    labels_out: Path | None,
) -> Outcome:
    """Read a file in a layout and write it."""
    output = output_path(path, runner)
    if labels_out is not None:
        check_output(labels_out, overwrite=runner.outputs.overwrite)
    if layout == "lm-eval":
        read = read_lm_eval(path, **how)
    elif layout == "logprobs":
        names = runner.inputs.classes
        read = read_logprobs(
            path, classes=None if names is None else load_class_names(names), **how
        )
    else:
        read = Converted(load(path, runner, mapped=True), None)
    found, labels = read
    if found.kind == "votes":
        found = replace(found, scores=found.probabilities(), kind="probs")
    if undo:
        found = replace(found, scores=undo_softmax(np.asarray(found.scores)), kind="probs")
    if labels_out is not None and labels is None:
        fail(path, "a file with a label in every record", "none for some")
    scores, like = np.asarray(found.scores), output_like(output, found)
    if like.only is not None:
        scores = scores[:, like.only, None]
    save_blocks(
        output,
        [scores],
        shape=scores.shape,
        dtype=scores.dtype,
        classes=like.classes,
        ids=found.ids,
        kind=found.kind,
        flat=like.flat,
        overwrite=runner.outputs.overwrite,
    )
    if labels_out is not None and labels is not None:
        _write_labels(labels_out, labels, found, overwrite=runner.outputs.overwrite)
    summary = {
        "rows": found.n_rows,
        "classes": found.n_classes,
        "kind": found.kind,
        "output": str(output),
        "labels": None if labels_out is None else str(labels_out),
        "warnings": lost_ids(found.ids, output),
    }
    return Outcome(summary, _show)


def _write_labels(
    path: Path, labels: NDArray[np.int64], found: Predictions, *, overwrite: bool
) -> None:
    """Write labels, a class name or number per line."""
    names = [found.class_name(label) for label in labels]
    with atomic_path(path, overwrite=overwrite) as aside:
        aside.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _show(summary: dict[str, Any]) -> None:
    """Print what was written."""
    echo(f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}")
    if summary["labels"] is not None:
        echo(f"labels: {summary['labels']}")
