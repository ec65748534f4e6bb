"""From arguments to loaded files: the way every command takes in and puts out predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from postproc.jobs.outputs import Output
    from postproc.scores.predictions import Predictions


def load(
    path: str,
    given: dict[str, Any],
    *,
    multilabel: bool = False,
    runner: Runner | None = None,
) -> Predictions:
    """Load predictions with the shared input options.

    With a runner the scores of a `.npy` file are read block by block, not mapped, and checked
    with progress. Of shards it is said how many there are: that the last are missing shows in
    nothing else. Logits that look like probabilities are a warning.
    """
    from cli.messages import warn
    from postproc.files import load_class_names, load_predictions
    from postproc.files.doubts import kind_doubts

    kinds = {True: "logits", False: "probs", None: None}
    classes = load_class_names(given["classes"]) if given.get("classes") is not None else None
    loaded = load_predictions(
        path,
        kind=kinds[given.get("is_logits")],  # type: ignore[arg-type]  # one of the two, or None
        classes=classes,
        multilabel=multilabel,
        mapped=runner is None,
        **({} if runner is None else runner.blocks),
    )
    shards = n_shards(loaded)
    if shards is not None and not given.get("quiet", True):
        click.echo(f"{path}: {shards_text(shards)}, {loaded.n_rows:,} rows", err=True)
    if not given.get("quiet", True) and not multilabel:
        warn(kind_doubts(loaded, declared=given.get("is_logits") is not None))
    return loaded


def n_shards(loaded: Predictions) -> int | None:
    """Number of shards that scores are read from; None where they are no shards."""
    from postproc.scores.sources import Source

    edges = loaded.scores.edges if isinstance(loaded.scores, Source) else ()
    return len(edges) - 1 if edges else None


def shards_text(number: int) -> str:
    """A number of shards in words."""
    return f"{number:,} shard{'' if number == 1 else 's'}"


def output_path(source: str, given: dict[str, Any], command: str) -> Path:
    """The output that was named, or <stem>.<command>.npy in the source's folder; checked.

    An output that was named with a slash at its end, a folder, is told by having none of the
    suffixes of files.

    Raises
    ------
    click.BadParameter
        If the name is none of a folder, or the output is or holds an input.
    FileExistsError, FileNotFoundError, ImportError, PermissionError, ValueError
        If it cannot be written, or another job writes it.
    """
    from cli.options import FolderPath
    from cli.task.apart import check_apart
    from postproc.files import check_output
    from postproc.files.paths import PREDICTION_SUFFIXES
    from postproc.jobs.locks import check_unlocked
    from postproc.jobs.outputs import has_journal
    from postproc.jobs.targets import check_target

    target = given["output"]
    overwrite = given["overwrite"]
    if isinstance(target, FolderPath):
        if target.path.suffix.lower() in (*PREDICTION_SUFFIXES, ".zarr"):
            message = f"must not end with a slash where it has the suffix of a file, {target.path}"
            raise click.BadParameter(message, param_hint="--output")
        # Of "./" and "../" nothing is left as a name before they are resolved.
        path = target.path if target.path.name not in ("", "..") else target.path.resolve()
    elif target is None:
        path = Path(source)
        name = path.stem
        if path.is_dir():
            path = path.resolve()
            name = path.stem if path.suffix.lower() == ".zarr" else path.name
        path = path.with_name(f"{name}.{command}.npy")
    else:
        path = Path(target)
    if given.get("resume") and path.name:
        if not overwrite and _is_there(path) and not has_journal(path):
            message = (
                f"{path}: exists already, and no stopped job has left anything to resume; outputs "
                "are written whole or not at all: use it as it is, or make it anew (--overwrite)"
            )
            raise FileExistsError(message)
        overwrite = True  # a job that was killed at its very end has left it: it is looked at later
    if not isinstance(target, FolderPath) and path.suffix.lower() != ".zarr":
        check_output(path, overwrite=overwrite, suffixes=(*PREDICTION_SUFFIXES, ".zarr"))
    check_apart(path, given, source=source)
    check_target(path, overwrite=overwrite)
    check_unlocked(path)
    return path


def _is_there(path: Path) -> bool:
    """Whether there is a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


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
    from postproc.jobs.outputs import Output
    from postproc.scores.sources import Source

    edges = like.edges if isinstance(like, Source) else ()
    return Output(path, shape, dtype, classes, ids, edges)


def output_like(path: Path, target: Predictions) -> Output:
    """An output with the rows, the columns and the names of the target."""
    return make_output(
        path,
        (target.n_rows, target.n_classes),
        target.output_dtype,
        classes=target.classes,
        ids=target.ids,
        like=target.scores,
    )


def lost_ids(ids: NDArray[Any] | None, output: Path) -> list[str]:
    """Say where the format of the output keeps no row ids."""
    from postproc.files.paths import PREDICTION_SUFFIXES

    keeps = output.suffix.lower() in PREDICTION_SUFFIXES and output.suffix.lower() != ".npy"
    if ids is None or keeps:
        return []
    return [f"{output.name} keeps no row ids; name an output with -o x.npz, .csv, ..."]
