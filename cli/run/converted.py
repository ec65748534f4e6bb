"""Predictions in another format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.messages import echo
from cli.run.outcome import Outcome, size_of
from cli.task.load import load
from cli.task.output import lost_ids, output_like, output_path
from cli.task.runner import Runner
from postproc.files import load_class_names, save_blocks
from postproc.files.decided import headings_of, save_labels
from postproc.files.labels import load_ids
from postproc.files.llm import Converted, read_lm_eval, read_logprobs
from postproc.scores.arrays import undo_softmax
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.names import check_unique, first_few
from postproc.scores.predictions import Predictions


def convert_file(
    path: str,
    runner: Runner,
    *,
    layout: str | None,
    ids: Path | None,
    how: dict[str, Any],
    undo: bool,
) -> Outcome:
    """Read a file in a layout, and write it, perhaps with other ids."""
    output, labels_out = output_path(path, runner), runner.outputs.labels_out
    how = how | {"labelled": labels_out is not None}
    said: list[str] = []
    if layout == "lm-eval":
        read = read_lm_eval(path, **how)
        n_few = int(np.isinf(read.predictions.scores).any(axis=1).sum())
        if n_few:
            of = f"{n_few} of {read.predictions.n_rows} questions have fewer"
            told = f"{of} choices than others; what they lack is -inf, a probability of 0"
            said.append(coded("read", told))
    elif layout == "logprobs":
        names = runner.inputs.classes
        read = read_logprobs(
            path, classes=None if names is None else load_class_names(names), **how
        )
        if names is None:
            tokens = first_few(read.predictions.classes or (), 10)
            told = f"every token that occurs is a class: {tokens}; --classes gives a file of the"
            said.append(coded("answers", f"{told} answers alone"))
    else:
        how = {"mapped": True, "long": layout == "long", "repeated_ids": ids is not None}
        read = Converted(load(path, runner, **how), None)
    found, labels = read
    if ids is not None:
        own, heading = _ids_of(ids, found)
        found = replace(found, ids=own, id_heading=heading)
    if found.kind == "votes":
        found = replace(found, scores=found.probabilities(), kind="probs")
    if undo:
        found = replace(found, scores=undo_softmax(np.asarray(found.scores)), kind="probs")
    scores, like = np.asarray(found.scores), output_like(output, found)
    classes, id_heading = like.classes, found.id_heading
    if runner.outputs.columns_as and labels_out is None:
        columns = classes or tuple(map(str, range(found.n_classes)))
        header = headings_of(columns, runner.outputs.layout(found, None))
        classes = tuple(header[name] for name in columns)
        id_heading = header.get("id", id_heading)
    if like.only is not None:
        scores = scores[:, like.only, None]
    save_blocks(
        output,
        [scores],
        shape=scores.shape,
        dtype=scores.dtype,
        classes=classes,
        ids=found.ids,
        kind=found.kind,
        flat=like.flat,
        id_heading=id_heading,
        overwrite=runner.outputs.overwrite,
    )
    if labels_out is not None and labels is not None:
        written = runner.outputs.layout(found, found.classes)
        save_labels(labels_out, [labels], len(labels), written)
    summary = {
        **size_of(found),
        "output": str(output),
        "warnings": said + lost_ids(found.ids, output),
    }
    return Outcome(summary, _show)


def _ids_of(path: Path, found: Predictions) -> tuple[NDArray[np.str_], str]:
    """The ids in a file, one for each row, and their heading."""
    ids, heading = load_ids(path)
    if len(ids) != found.n_rows:
        fail(f"ids of {path}", f"one for each of the {found.n_rows} rows of {found.name}", len(ids))
    check_unique(ids.tolist(), f"ids of {path}")
    return ids, heading


def _show(summary: dict[str, Any]) -> None:
    """Print what was written."""
    echo(f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}")
