"""From arguments to loaded files: the way every command takes in and puts out predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.predictions import Predictions


def load(
    path: str, given: dict[str, Any], *, multilabel: bool = False, like: Predictions | None = None
) -> Predictions:
    """Load predictions with the shared input options; `like` asks for the same classes."""
    from dataclasses import replace

    from postproc.alignment import matching_order
    from postproc.checks import fail
    from postproc.files import load_class_names, load_predictions

    kinds = {True: "logits", False: "probs", None: None}
    classes = load_class_names(given["classes"]) if given.get("classes") is not None else None
    loaded = load_predictions(
        path,
        kind=kinds[given.get("is_logits")],  # type: ignore[arg-type]  # one of the two, or None
        classes=classes,
        multilabel=multilabel,
    )
    if like is not None and loaded.n_classes != like.n_classes:
        wanted = f"an array of {like.n_classes} classes like {like.name}"
        fail(loaded.name, wanted, f"{loaded.n_classes} columns")
    if like is not None and like.classes is not None and loaded.classes is not None:
        order = matching_order(loaded.classes, like.classes, f"class names of {loaded.name}")
        if order is not None:
            loaded = replace(loaded, scores=loaded.scores[:, order], classes=like.classes)
    return loaded


def output_path(source: str, given: dict[str, Any], command: str) -> Path:
    """The output that was named, or <stem>.<command>.npy in the source's folder; checked."""
    from postproc.files import check_output
    from postproc.files.paths import PREDICTION_SUFFIXES

    target = given["output"]
    if target is None:
        # A run directory such as "." has no stem before it is resolved.
        path = Path(source).resolve() if Path(source).is_dir() else Path(source)
        target = path.with_name(f"{path.stem}.{command}.npy")
    return check_output(target, overwrite=given["overwrite"], suffixes=PREDICTION_SUFFIXES)


def device_mover(device: str) -> Callable[[NDArray[Any]], Any]:
    """A function that takes arrays to a device; on the CPU they stay NumPy arrays."""
    if device == "cpu":
        return lambda block: block
    import torch

    if not torch.cuda.is_available():
        msg = "`device` must be one that is there, got cuda; no CUDA device was found, use cpu"
        raise ValueError(msg)
    return lambda block: torch.from_numpy(block).cuda()
