"""Predictions from files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.class_names import class_names
from postproc.files.contents import Contents
from postproc.files.paths import (
    LABEL_SUFFIXES,
    NAMED_SUFFIXES,
    PREDICTION_SUFFIXES,
    check_table,
    file_and_column,
    resolve_path,
)
from postproc.files.reading import Reading, ReadingWarning
from postproc.files.shards import find_shards, open_shards, shard_name
from postproc.files.stacks import check_stack
from postproc.files.zarr import ZarrSource, is_zarr
from postproc.scores.binary import OneColumn, as_column, is_one_column, other_class
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.detection import PERCENT_NOTE, examine
from postproc.scores.kinds import Kind
from postproc.scores.names import first_few
from postproc.scores.one_hot import from_labels
from postproc.scores.predictions import Predictions
from postproc.scores.rounding import SUM_TOLERANCE_FLOAT16
from postproc.scores.row_subsets import keep_rows
from postproc.scores.sources import as_source
from postproc.scores.tables.suspects import SAMPLE_ROWS, odd_columns

PathLike = str | os.PathLike[str]

SHARD_EXAMPLE = shard_name("name", 0)

#: Most that a sum may be off without a word: five decimals or more.
MOST_SILENT = 1e-4


def load_predictions(
    path: PathLike,
    *,
    kind: Kind | None = None,
    classes: Sequence[str] | None = None,
    multilabel: bool = False,
    reading: Reading | None = None,
    mapped: bool = True,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> Predictions:
    """Load and validate predictions from a file; `.npy` files are memory-mapped.

    Parameters
    ----------
    path : path-like
        `.npy`; `.npz`, `.safetensors` or `.pt`/`.pth` (tensors only, or a list of batches) with the
        key scores, logits, probs, predictions, probabilities or log_probs and optional classes and
        ids; a table with a column a class and optional ids: `.csv` or `.tsv` (also `.gz`),
        `.parquet` or `.jsonl` (or with one column of lists), of which `FILE:COLUMN` is one column,
        and `FILE:-COLUMN` the same as the score of the other class, 1 - p or -z.
        The suffix may be omitted. Or a Zarr array, or a folder of shards `name-00000.npy`,
        `name-00001.npy` and so on, given as the folder or as folder/name; the scores of both stay
        in their files until they are read.
    kind : {"logits", "probs", "votes"}, optional
        The declared kind; without it the key of the file or the values decide.
    classes : sequence of C str, optional
        Class names; otherwise those in the file, or in `classes.txt` beside it. Columns of a file
        with names of its own are put in this order.
    multilabel : bool
        Every column is a label of its own.
    reading : Reading, optional
        Which columns or which key to read, and what to do with rows that were never predicted;
        `kind` and `multilabel` may be given here, too.
    mapped : bool
        Whether the scores of a `.npy` file are a memory map. If not, they stay in the file until
        they are read, too: they can be pickled, and a file that shrinks is an error.
    map_blocks : callable
        How the rows are walked through to be checked, as in `check_scores`.
    sizes : Sizes
        How large the blocks are.

    Returns
    -------
    Predictions
        Scores of shape (n, C), their kind, and names where known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If it is damaged, a column may hold anything but scores, or its scores or names are not
        valid; messages name the file.

    Warns
    -----
    ReadingWarning
        If a prefix of class names or rows were dropped, or rows renormalized.
    """
    options = _options(reading, kind, multilabel)
    how = {"map_blocks": map_blocks, "sizes": sizes}
    (loaded,) = _load(path, options, classes, stacked=False, mapped=mapped, how=how)
    return loaded


def load_members(
    path: PathLike,
    *,
    kind: Kind | None = None,
    classes: Sequence[str] | None = None,
    multilabel: bool = False,
    reading: Reading | None = None,
    mapped: bool = True,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> list[Predictions]:
    """Load all members of an (m, n, C) array, or the one of an (n, C) array.

    Parameters
    ----------
    path, kind, classes, multilabel, reading, mapped, map_blocks, sizes
        As for `load_predictions`. Every member has a kind of its own unless one is declared.

    Returns
    -------
    list of m Predictions
        The members, called `path[0]`, `path[1]` and so on.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `load_predictions`.
    """
    options = _options(reading, kind, multilabel)
    how = {"map_blocks": map_blocks, "sizes": sizes}
    return _load(path, options, classes, stacked=True, mapped=mapped, how=how)


def _load(
    path: PathLike,
    reading: Reading,
    classes: Sequence[str] | None,
    *,
    stacked: bool,
    mapped: bool,
    how: Mapping[str, Any],
) -> list[Predictions]:
    """Load a file, and if it may be `stacked` all members of an (m, n, C) array."""
    file, column = file_and_column(path)
    if column is not None:
        reading = replace(reading, columns=(column,))
    found, contents = _open(file, replace(reading, classes=tuple(classes or ())))
    if contents.values.ndim == 3 and len(contents.values) > 1:
        contents = check_stack(contents, str(found), multilabel=reading.multilabel)
    notes = _Notes(str(found), list(contents.notes))
    if column is not None:
        check_table(found, column)
        notes.name += f":{column}"
    if reading.predicted_labels and _holds_labels(contents, reading):
        loaded = [from_labels(np.ravel(contents.values), ids=contents.ids, name=notes.name)]
    elif not stacked or contents.values.ndim != 3:
        loaded = [_checked(found, contents, reading, classes, notes, mapped=mapped, how=how)]
    else:
        if not len(contents.values):
            fail(str(found), "a stack of one member or more", "none")
        loaded = []
        for number, scores in enumerate(contents.values):
            notes.name = f"{found}[{number}]"
            member = replace(contents, values=scores)
            loaded.append(_checked(found, member, reading, classes, notes, mapped=mapped, how=how))
    notes.say()
    return loaded


def _holds_labels(contents: Contents, reading: Reading) -> bool:
    """Whether an array holds one name or whole number a row, and nothing declares it scores."""
    values = contents.values
    if contents.is_labels:
        return True
    one_column = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    declared = reading.kind is not None or contents.kind is not None or reading.multilabel
    if not one_column or declared or contents.is_table or not values.size:
        return False
    if values.dtype.kind == "f":
        return bool(np.isfinite(values[:]).all() and (values[:] % 1 == 0).all())
    return values.dtype.kind in "USiub"


@dataclass
class _Notes:
    """What is done aloud to a file, and what messages call it."""

    name: str
    notes: list[str]

    def say(self) -> None:
        """Warn of it once all is done."""
        for note in dict.fromkeys(self.notes):
            warnings.warn(coded("read", f"{self.name}: {note}"), ReadingWarning, stacklevel=4)


def _options(reading: Reading | None, kind: Kind | None, multilabel: bool) -> Reading:
    options = reading or Reading()
    return replace(options, kind=kind or options.kind, multilabel=multilabel or options.multilabel)


def _checked(
    found: Path,
    contents: Contents,
    reading: Reading,
    classes: Sequence[str] | None,
    notes: _Notes,
    *,
    mapped: bool,
    how: Mapping[str, Any],
) -> Predictions:
    """Validate what a file holds, its rows walked through as `how` says; adds to the notes."""
    values, kind = contents.values, reading.kind
    if values.ndim in (1, 2) and not len(values):
        fail(notes.name, "an array of one row or more", "0 rows")
    if values.dtype.kind in "UST":
        fail(notes.name, "an array of real numbers", "text")
    if kind is not None and contents.kind is not None and kind != contents.kind:
        fail(notes.name, kind, f"the key {contents.kind}")
    column = None
    if not reading.multilabel and is_one_column(values):
        column, contents = _one_column(contents)
        values = contents.values
    names, order = class_names(found, contents, classes, notes.name, notes.notes)
    if order is not None:
        values = values[:, order]
        if isinstance(values, np.ndarray):  # sums depend on the layout in memory
            values = np.ascontiguousarray(values)
    source, verdict = examine(
        as_source(values),
        kind=kind or contents.kind,
        name=notes.name,
        multilabel=reading.multilabel,
        narrow=contents.narrow,
        rounded=contents.is_table,
        skip_unpredicted=reading.skip_unpredicted,
        any_scale=reading.any_scale and bool(reading.columns),
        **how,
    )
    if verdict.kind == "logits" and not (kind or contents.kind or reading.multilabel or column):
        _check_logits(source, notes.name)
    if contents.reverse:
        if column is None:
            fail(notes.name, "one column of two classes to be read in reverse", "labels")
        source = other_class(source, verdict.kind)
    scores = source
    if verdict.percent is not None:
        notes.notes.append(PERCENT_NOTE.format(*verdict.percent))
        values = source
    if isinstance(values, np.ndarray) and mapped:
        scores = np.asarray(values if column is None else source)
    checked = Predictions.named(
        scores,
        verdict.kind,
        classes=names,
        ids=contents.ids,
        name=notes.name,
        repeated_ids=reading.repeated_ids,
        multilabel=reading.multilabel,
        column=column,
        positive=reading.positive,
    )
    if verdict.n_off and verdict.largest_off > MOST_SILENT:
        notes.notes.append(
            f"{verdict.n_off} of {checked.n_rows} rows do not sum to 1, by up to "
            f"{verdict.largest_off:.2g}; each is divided by its sum"
        )
    checked = replace(checked, id_heading=contents.id_heading)
    return _without(checked, verdict.unpredicted, notes)


def _one_column(contents: Contents) -> tuple[OneColumn, Contents]:
    """How a single column came, and its contents as (n, 1), without its heading."""
    values, classes = contents.values, contents.classes
    heading = classes[0] if classes is not None and len(classes) == 1 else None
    column = OneColumn(heading, flat=values.ndim == 1)
    kept = None if heading is not None else classes
    return column, replace(contents, values=as_column(values), classes=kept)


def _check_logits(scores: Any, name: str) -> None:
    """Refuse columns without which all rows sum to 1, and negative log-probabilities."""
    sample = np.asarray(scores[:SAMPLE_ROWS], dtype=np.float64)
    odd = odd_columns(sample)
    if sample.min() >= 0 and (abs(np.exp(-sample).sum(axis=1) - 1) <= SUM_TOLERANCE_FLOAT16).all():
        got = "rows of negative log-probabilities, in which lower is likelier"
        mend = 'save -scores, or declare kind="logits" (--logits)'
        fail(name, "scores in which higher is likelier", got, mend)
    if len(scores) > 1 and odd:
        listed = ", ".join(map(str, odd))
        got = f"an array whose rows sum to 1 without column {listed}"
        fail(name, "scores in every column", got, 'save the scores alone, or declare kind="logits"')


def _without(predictions: Predictions, rows: NDArray[np.int64], notes: _Notes) -> Predictions:
    """Leave out rows by number."""
    if not len(rows):
        return predictions
    predicted = np.ones(predictions.n_rows, np.bool_)
    predicted[rows] = False
    numbers = first_few(rows.tolist())
    where = "" if predictions.ids is not None else f"; without ids, outputs lack the rows {numbers}"
    notes.notes.append(
        f"{len(rows)} of {predictions.n_rows} rows were never predicted and are left out, of "
        f"outputs too{where}"
    )
    return keep_rows(predictions, predicted)


def _open(given: PathLike, reading: Reading) -> tuple[Path, Contents]:
    """The file, Zarr array or shards that a path names, and what is in them."""
    path, is_folder = Path(given), os.fspath(given).endswith(os.sep)
    suffixes = LABEL_SUFFIXES if reading.predicted_labels else PREDICTION_SUFFIXES
    if path.is_file():
        found = resolve_path(path, NAMED_SUFFIXES)
        return found, formats.read(found, reading)
    if is_zarr(path):
        return path, Contents(ZarrSource.open(path))
    shards = find_shards(path)
    if not shards:
        if path.is_dir():
            msg = (
                f"{path}: must be a file, got a folder that is no Zarr array and holds no shards "
                f"({SHARD_EXAMPLE}, part-000.npy, batch3.npy, ...)"
            )
            raise ValueError(msg)
        found = resolve_path(path, suffixes)
        return found, formats.read(found, reading)
    file = next((f for s in PREDICTION_SUFFIXES if (f := Path(f"{path}{s}")).is_file()), None)
    if file is not None and not is_folder:
        fitting = f"{file.name} and {shards[0].relative_to(path.parent)}"
        msg = f"{path}: both {fitting} fit this name; give the suffix, or a slash for the folder"
        raise ValueError(msg)
    return path, Contents(open_shards(path, shards))
