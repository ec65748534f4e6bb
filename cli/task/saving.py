"""What is fitted and kept: `--save` is checked before the fit, and told of at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


def check_save(given: dict[str, Any], output: Path) -> None:
    """Check that --save can be written, before anything is fitted.

    Raises
    ------
    click.BadParameter
        If it, or the arrays beside it, would be the output or an input.
    FileExistsError, FileNotFoundError, PermissionError, ValueError
        If it cannot be written.
    """
    if given["save"] is None:
        return
    from cli.task.apart import check_apart
    from ensemble.saved import ARRAYS
    from postproc.files import check_output

    overwrite = given["overwrite"]
    file = check_output(given["save"], overwrite=overwrite, suffixes=(".json",))
    arrays = check_output(file.with_suffix(ARRAYS), overwrite=overwrite)
    if output.resolve() in (file.resolve(), arrays.resolve()):
        beside = f" (with large arrays in {arrays.name})" if output.name == arrays.name else ""
        message = f"must be another file than the output, {output}, got {file}{beside}"
        raise click.BadParameter(message, param_hint="--save")
    for each in (file, arrays):
        check_apart(each, given, option="--save")


def save(model: Any, given: dict[str, Any]) -> str | None:
    """Write what was fitted to --save, and give the name for the summary; None without it."""
    from cli.messages import note_written
    from ensemble import save_model

    path = given.get("save")
    if path is None:
        return None
    save_model(model, path, overwrite=given["overwrite"])
    note_written(path)
    return str(path)


def print_saved(summary: dict[str, Any]) -> None:
    """Say where the model lies, if it was kept."""
    if summary["saved"] is not None:
        from ensemble.saved import ARRAYS

        beside = Path(summary["saved"]).with_suffix(ARRAYS)
        arrays = f", with arrays in {beside.name} beside it" if beside.exists() else ""
        click.echo(f"saved: {summary['saved']}{arrays}")
