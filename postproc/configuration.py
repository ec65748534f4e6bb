"""Configurations: hyperparameters in a small, versioned JSON file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from postproc.can_model import CANOptions
from postproc.files.paths import atomic_path

#: Version of the layout of configurations; files of a later one are refused.
FORMAT_VERSION = 1


def save_can_options(
    path: str | os.PathLike[str],
    options: CANOptions | None,
    *,
    overwrite: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Write the options of CAN as JSON, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    options : CANOptions or None
        The options; None for predictions that are best left alone, which is written as a
        threshold of `null`: no row is ambiguous.
    overwrite : bool
        Whether a file that exists may be replaced.
    evidence : mapping, optional
        What speaks for the options, to be kept beside them for those who read the file.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError
        If the file exists, or its folder does not or is read-only.
    """
    parameters = {"threshold": None} if options is None else asdict(options)
    content = {"format_version": FORMAT_VERSION, "method": "can", "parameters": parameters}
    if evidence is not None:
        content["evidence"] = dict(evidence)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_can_options(path: str | os.PathLike[str]) -> CANOptions:
    """Read the options of CAN from JSON; a threshold of `null` is infinite: no row is ambiguous.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If there is no such file, it is no configuration of CAN, or a parameter is out of range.
    """
    parameters = _read(Path(path), method="can")
    known = [field.name for field in fields(CANOptions)]
    unknown = [name for name in parameters if name not in known]
    if unknown:
        msg = f"{path}: parameters must be among {', '.join(known)}, got {unknown[0]!r}"
        raise ValueError(msg)
    if "threshold" in parameters and parameters["threshold"] is None:
        parameters["threshold"] = math.inf
    options = CANOptions(**parameters)
    try:
        options.check(sys.maxsize)  # k is held against the number of classes later
    except (TypeError, ValueError) as error:
        msg = f"{path}: {error}"
        raise type(error)(msg) from None
    return options


def _read(path: Path, *, method: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        msg = f"{path}: cannot be read as JSON: {error}"
        raise ValueError(msg) from None
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        msg = f"{path}: must be a configuration with the keys method and parameters"
        raise ValueError(msg)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        msg = f"{path}: format_version must be {FORMAT_VERSION}, got {version!r}"
        raise ValueError(msg)
    if content.get("method") != method:
        msg = f'{path}: method must be "{method}", got {content.get("method")!r}'
        raise ValueError(msg)
    return dict(content["parameters"])
