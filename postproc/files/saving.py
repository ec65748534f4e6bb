"""Predictions into files, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.contents import Contents
from postproc.files.paths import PREDICTION_SUFFIXES, atomic_path, check_output, suffix_of
from postproc.scores.arrays import as_array, as_numpy
from postproc.scores.binary import as_column
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions

#: Formats that hold arrays of any shape.
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth")

PathLike = str | os.PathLike[str]


@takes_frames("probs")
def save_predictions(
    path: PathLike,
    probs: Any,
    *,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save probabilities in the format of the suffix, whole or not at all.

    `.npy` holds the array alone; the other formats keep class names and ids.

    Parameters
    ----------
    path : path-like
        The output; its suffix is one of `.npy`, `.npz`, `.csv`, `.tsv` (also `.gz`), `.jsonl`,
        `.parquet`, `.safetensors`, `.pt`, `.pth`.
    probs : array or tensor of shape (n, C), or (n,) of the positive class
        Probabilities.
    classes : sequence of C str, optional
        Class names; of one column, its name.
    ids : sequence of n str, optional
        Row names.
    overwrite : bool
        Replace a file that exists.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError
        If the output exists, or its folder does not or is read-only.
    TypeError, ValueError
        If the suffix is unknown, the values are no probabilities, there are more or fewer names
        than columns, or ids than rows, or one occurs twice.
    """
    # Outputs of multi-label methods are probabilities whose rows need not sum to 1.
    given = as_array(probs, "probs")
    checked = Predictions.check(
        as_column(given),
        kind="probs",
        classes=classes,
        ids=ids,
        name="probs",
        multilabel=True,
    )
    values = as_numpy(checked.scores)
    return save_blocks(
        path,
        [values],
        shape=(values.shape[0], values.shape[1]),
        dtype=values.dtype,
        classes=checked.classes,
        ids=checked.ids,
        flat=given.ndim == 1,
        overwrite=overwrite,
    )


def flattened(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """One column (n, 1) as (n,) in formats that hold arrays; in tables it stays a column."""
    return values[:, 0] if suffix_of(path) in ARRAY_SUFFIXES else values


def save_blocks(
    path: PathLike,
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    kind: Kind = "probs",
    flat: bool = False,
    id_heading: str = "id",
    overwrite: bool = False,
) -> Path:
    """Save scores that come in row blocks; `.npy` is written through, block by block.

    Parameters
    ----------
    path, classes, ids, overwrite
        As for `save_predictions`.
    blocks : iterable of ndarray of shape (rows, C)
        The rows in order.
    shape : (n, C)
        Of the whole.
    dtype : dtype
        Of the output.
    kind : {"probs", "logits"}
        What the scores are, for formats that keep it.
    flat : bool
        Whether one column is saved as an array of shape (n,), where the format holds arrays.
    id_heading : str
        What a table calls the column of ids.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError, ValueError
        As `save_predictions`.
    """
    target = check_output(path, overwrite=overwrite, suffixes=PREDICTION_SUFFIXES)
    formats.check_writer(target)
    with atomic_path(target, overwrite=overwrite) as temporary:
        if suffix_of(target) == ".npy":
            whole = shape[:1] if flat else shape
            formats.write_npy_blocks(temporary, blocks, shape=whole, dtype=dtype)
        else:
            values = np.concatenate([block.astype(dtype, copy=False) for block in blocks])
            contents = Contents(
                flattened(values, target) if flat else values,
                None if classes is None else tuple(classes),
                None if ids is None else np.asarray(ids).astype(np.str_),
                kind,
                id_heading=id_heading,
            )
            try:
                formats.write(temporary, contents, suffix=suffix_of(target))
            except ValueError as error:
                msg = f"{target}: cannot be written: {error}"
                raise ValueError(msg) from None
    return target
