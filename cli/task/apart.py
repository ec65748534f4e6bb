"""Outputs lie apart from what a command reads: a guard for all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

#: Parameters that name files, and what messages call them. Those that are written count, too: a
#: folder as output would hold them.
FILES = {
    "predictions": "PREDS",
    "paths": "RUNDIR",
    "model": "MODEL",
    "fit_file": "--fit",
    "fit_files": "--fit",
    "fit_labels": "--fit-labels",
    "labels": "--labels",
    "reference": "--reference",
    "prior": "--prior",
    "config": "--config",
    "classes": "--classes",
    "save": "--save",
    "plot": "--plot",
}


def check_apart(
    output: Path, given: dict[str, Any], *, option: str = "--output", source: str | None = None
) -> None:
    """Refuse an output that is a file that the command reads, or a folder that holds one.

    One file as PREDS may be replaced by what is made of it.

    Parameters
    ----------
    output : Path
        What is to be written.
    given : dict
        Parameters of the command; those of the context of click count, too.
    option : str
        What names the output.
    source : str, optional
        PREDS, where no context knows them.

    Raises
    ------
    click.BadParameter
        If the output is, or holds, one of them.
    """
    context = click.get_current_context(silent=True)
    params = {"predictions": source, **(context.params if context else {}), **given}
    whole = output.resolve()
    for name, called in FILES.items():
        if called == option or (value := params.get(name)) is None:
            continue
        values = value if isinstance(value, tuple | list) else [value]
        alone = (called, option, len(values)) == ("PREDS", "--output", 1)
        for text in map(str, values):
            if (name, text) == ("prior", "uniform"):
                continue
            named = _named(text)
            in_place = alone and len(named) == 1
            for path in named:
                file = path.resolve()
                if whole.is_dir() and (whole == file or whole in file.parents):
                    message = f"must not be or hold the input {text}, got {output}"
                elif (whole == file and not in_place) or _is_part(whole, file):
                    message = f"must be another file than its inputs, got {output}"
                else:
                    continue
                message += f" (given to {called})"
                raise click.BadParameter(message, param_hint=option)


def _named(text: str) -> list[Path]:
    """What a text may name, as it is found when it is loaded; nothing where it names no file."""
    from postproc.files.paths import LABEL_SUFFIXES
    from postproc.files.shards import find_shards

    # Any text, however long: functions of `os.path` find that there is no such file.
    if os.path.isfile(text):  # noqa: PTH113
        return [Path(text)]
    names = [text, *(text + suffix for suffix in LABEL_SUFFIXES)]
    found = [Path(name) for name in names if os.path.exists(name)]  # noqa: PTH110
    if found:
        return found
    try:
        return find_shards(text)
    except (OSError, ValueError):
        return []


def _is_part(file: Path, folder: Path) -> bool:
    """Whether a file that exists is one of those that are read of a folder."""
    from postproc.files.labels import CLASS_FILE
    from postproc.files.rundir import SPLITS
    from postproc.files.shards import SHARD
    from postproc.files.zarr import is_zarr

    if folder not in file.parents or not file.is_file():
        return False
    if is_zarr(folder):
        return True
    is_split = any(f".{split}." in file.name for split in SPLITS)
    is_read = is_split or SHARD.fullmatch(file.name) is not None or file.name == CLASS_FILE
    return file.parent == folder and is_read
