"""Predictions from files and into files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import formats
from postproc.files.contents import Contents
from postproc.files.labels import CLASS_FILE, load_class_names
from postproc.files.paths import PREDICTION_SUFFIXES, atomic_path, check_output, resolve_path
from postproc.files.shards import find_shards, open_shards, shard_name
from postproc.files.zarr import ZarrSource, is_zarr
from postproc.scores.arrays import as_array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import fail
from postproc.scores.kinds import Kind
from postproc.scores.predictions import Predictions
from postproc.scores.sources import as_source

PathLike = str | os.PathLike[str]

SHARD_EXAMPLE = shard_name("name", 0)


def load_predictions(
    path: PathLike,
    *,
    kind: Kind | None = None,
    classes: Sequence[str] | None = None,
    multilabel: bool = False,
    mapped: bool = True,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> Predictions:
    """Load and validate predictions from a file; `.npy` files are memory-mapped.

    Parameters
    ----------
    path : path-like
        `.npy`, `.npz` (keys scores, logits or probs; optional classes, ids), `.csv` or `.tsv`
        (header of class names, optional first column id), `.parquet`, `.safetensors` or `.pt`
        (tensors only). The suffix may be left away. Or a Zarr array, or a folder of shards
        `name-00000.npy`, `name-00001.npy` and so on, given as the folder or as folder/name; the
        scores of both stay in their files until they are read.
    kind : {"logits", "probs"}, optional
        The declared kind; without it the key of the file or the values decide.
    classes : sequence of C str, optional
        Class names; otherwise those in the file, or in `classes.txt` beside it. Columns of a file
        with names of its own are put in this order.
    multilabel : bool
        Every column is a label of its own.
    mapped : bool
        Whether the scores of a `.npy` file are a memory map. If not, they stay in the file until
        they are read, too: they can be pickled, and a file that shrinks is an error.
    map_blocks : callable
        How the rows are walked through to be checked, as in `check_scores`.

    Returns
    -------
    Predictions
        Scores of shape (n, C), their kind, and names where known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If it is damaged, or its scores or names are not valid; messages name the file.
    """
    found, contents = _open(path)
    if contents.values.ndim == 2 and contents.values.shape[0] == 0:
        fail(str(found), "an array of one row or more", "0 rows")
    if contents.values.dtype.kind in "UST":
        fail(str(found), "an array of real numbers", "text")
    if kind is not None and contents.kind is not None and kind != contents.kind:
        fail(str(found), kind, f"the key {contents.kind}")
    values = contents.values
    names: Sequence[str] | None = contents.classes
    if names is None:
        names = classes if classes is not None else _names_beside(found, values)
    else:
        beside = found.parent / CLASS_FILE
        if classes is not None:
            _check_same(names, classes, str(found))
        elif beside.is_file() and set(listed := load_class_names(beside)) == set(names):
            classes = listed
        if classes is not None and tuple(classes) != tuple(names):
            values, names = values[:, [names.index(c) for c in classes]], tuple(classes)
    checked = Predictions.check(
        as_source(values),
        kind=kind or contents.kind,
        classes=names,
        ids=contents.ids,
        name=str(found),
        multilabel=multilabel,
        narrow=contents.narrow,
        map_blocks=map_blocks,
        sizes=sizes,
    )
    if isinstance(values, np.ndarray) and mapped:
        return replace(checked, scores=np.asarray(values))
    return checked


def _open(given: PathLike) -> tuple[Path, Contents]:
    """The file, Zarr array or shards that a path names, and what is in them."""
    path, is_folder = Path(given), os.fspath(given).endswith(os.sep)
    if path.is_file():
        found = resolve_path(path, PREDICTION_SUFFIXES)
        return found, formats.read(found)
    if is_zarr(path):
        return path, Contents(ZarrSource.open(path))
    shards = find_shards(path)
    if not shards:
        if path.is_dir():
            msg = (
                f"{path}: must be a file, got a folder that is no Zarr array and holds no shards "
                f"({SHARD_EXAMPLE}, ...)"
            )
            raise ValueError(msg)
        found = resolve_path(path, PREDICTION_SUFFIXES)
        return found, formats.read(found)
    file = next((f for s in PREDICTION_SUFFIXES if (f := Path(f"{path}{s}")).is_file()), None)
    if file is not None and not is_folder:
        fitting = f"{file.name} and {shards[0].relative_to(path.parent)}"
        msg = f"{path}: both {fitting} fit this name; give the suffix, or a slash for the folder"
        raise ValueError(msg)
    return path, Contents(open_shards(path, shards))


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
        The output; its suffix is one of `.npy`, `.npz`, `.csv`, `.tsv`, `.parquet`,
        `.safetensors`, `.pt`.
    probs : array or tensor of shape (n, C)
        Probabilities.
    classes : sequence of C str, optional
        Class names.
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
    checked = Predictions.check(
        as_array(probs, "probs"),
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
        overwrite=overwrite,
    )


def save_blocks(
    path: PathLike,
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save probabilities that come in row blocks; `.npy` is written through, block by block.

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
        if target.suffix.lower() == ".npy":
            formats.write_npy_blocks(temporary, blocks, shape=shape, dtype=dtype)
        else:
            contents = Contents(
                np.concatenate([block.astype(dtype, copy=False) for block in blocks]),
                None if classes is None else tuple(classes),
                None if ids is None else np.asarray(ids).astype(np.str_),
                "probs",
            )
            try:
                formats.write(temporary, contents, suffix=target.suffix)
            except ValueError as error:
                msg = f"{target}: cannot be written: {error}"
                raise ValueError(msg) from None
    return target


def _names_beside(path: Path, values: Any) -> tuple[str, ...] | None:
    inside = path / CLASS_FILE  # of a folder of shards
    beside = inside if inside.is_file() else path.parent / CLASS_FILE
    if values.ndim != 2 or not beside.is_file():
        return None
    n_columns = values.shape[1]
    names = load_class_names(beside)
    if len(names) != n_columns:
        fail(
            str(beside),
            f"as long as {path.name} has columns ({n_columns})",
            f"{len(names)} names",
            "give the names of this file with --classes, or move it",
        )
    return names


def _check_same(in_file: Sequence[str], given: Sequence[str], name: str) -> None:
    unlike = sorted(set(in_file).symmetric_difference(given))
    if unlike:
        fail(f"class names of {name}", "those given", f"{', '.join(unlike[:3])} on one side only")
