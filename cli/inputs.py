"""From arguments to loaded files: the way every command takes in and puts out predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.engines import Runner
    from postproc.predictions import Predictions
    from postproc.resume import Output


def load(
    path: str,
    given: dict[str, Any],
    *,
    multilabel: bool = False,
    like: Predictions | None = None,
    runner: Runner | None = None,
) -> Predictions:
    """Load predictions with the shared input options; `like` asks for the same classes.

    With a runner the scores of a `.npy` file are read block by block, not mapped, and checked
    with progress.
    """
    from dataclasses import replace

    import numpy as np

    from postproc.alignment import matching_order
    from postproc.checks import fail
    from postproc.files import load_class_names, load_predictions
    from postproc.files.sources import Source

    kinds = {True: "logits", False: "probs", None: None}
    classes = load_class_names(given["classes"]) if given.get("classes") is not None else None
    loaded = load_predictions(
        path,
        kind=kinds[given.get("is_logits")],  # type: ignore[arg-type]  # one of the two, or None
        classes=classes,
        multilabel=multilabel,
        mapped=runner is None,
        walk=map if runner is None else runner.walk(f"checking {Path(path).name}"),
    )
    if like is not None and loaded.n_classes != like.n_classes:
        wanted = f"an array of {like.n_classes} classes like {like.name}"
        fail(loaded.name, wanted, f"{loaded.n_classes} columns")
    if like is not None and like.classes is not None and loaded.classes is not None:
        order = matching_order(loaded.classes, like.classes, f"class names of {loaded.name}")
        if order is not None:
            scores = loaded.scores
            moved = scores.columns(order) if isinstance(scores, Source) else scores[:, order]
            loaded = replace(loaded, scores=np.asarray(moved) if runner is None else moved)
    return loaded


def output_path(source: str, given: dict[str, Any], command: str) -> Path:
    """The output that was named, or <stem>.<command>.npy in the source's folder; checked.

    An output that was named with a slash at its end, a folder, is told by having none of the
    suffixes of files.
    """
    from cli.options import FolderPath
    from postproc.files import check_output
    from postproc.files.paths import PREDICTION_SUFFIXES
    from postproc.resume import check_target

    target = given["output"]
    if isinstance(target, FolderPath):
        if target.path.suffix.lower() in (*PREDICTION_SUFFIXES, ".zarr"):
            message = f"must not end with a slash where it has the suffix of a file, {target.path}"
            raise click.BadParameter(message, param_hint="--output")
        check_target(target.path, overwrite=given["overwrite"])
        return target.path
    if target is None:
        # A run directory such as "." has no stem before it is resolved.
        path = Path(source).resolve() if Path(source).is_dir() else Path(source)
        target = path.with_name(f"{path.stem}.{command}.npy")
    if target.suffix.lower() == ".zarr":
        check_target(target, overwrite=given["overwrite"])
        return Path(target)
    return check_output(target, overwrite=given["overwrite"], suffixes=PREDICTION_SUFFIXES)


def make_output(
    path: Path,
    shape: tuple[int, int],
    dtype: Any,
    *,
    classes: tuple[str, ...] | None,
    ids: NDArray[Any] | None,
    like: Any,
) -> Output:
    """What is written; shards are cut as those of the input `like` where it has any."""
    from postproc.files.shards import ShardSource
    from postproc.resume import Output

    edges: tuple[int, ...] = ()
    if isinstance(like, ShardSource):
        edges = tuple(int(edge) for edge in like.edges)
    return Output(path, shape, dtype, classes, ids, edges)


def lost_ids(ids: NDArray[Any] | None, output: Path) -> list[str]:
    """Say where the format of the output keeps no row ids."""
    from postproc.files.paths import PREDICTION_SUFFIXES

    keeps = output.suffix.lower() in PREDICTION_SUFFIXES and output.suffix.lower() != ".npy"
    if ids is None or keeps:
        return []
    return [f"{output.name} keeps no row ids; name an output with -o x.npz, .csv, ..."]
