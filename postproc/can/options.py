"""Configurations: hyperparameters in a small, versioned JSON file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from postproc.can.bounds import ReferenceSize, check_reference_size
from postproc.can.reference import MAX_ALPHA, MAX_ITERATIONS
from postproc.files.paths import atomic_path
from postproc.scores.checks import check_choice, check_count, check_number
from postproc.scores.confidence import DEFAULT_TOP_K, TopK, check_top_k

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


@dataclass(frozen=True)
class CANOptions:
    """Options of CAN, as the command line, configurations and the estimator share them.

    Attributes
    ----------
    alpha : float
        Exponent α in (0, 1000].
    iterations : int
        Number of iterations d >= 1.
    top_k : int in 2..C, "max" or None
        k of the top-k entropy; None is 3, or C where that is smaller.
    threshold : float
        Rows are ambiguous whose top-k entropy is at or above it; in [0, 1], or infinity for no
        row at all, which leaves predictions alone.
    smoothing : float
        One-hot pseudo-rows a class that are added to the reference, >= 0.
    reference_sample : {"all", "stratified"}
        All confident rows, or at most max(5C, 1000) of them, stratified by predicted class.
    reference_size : "exact", "auto" or int
        Number of reference rows beyond which several iterations work with C × C matrices in their
        place, at a cost for each ambiguous row that does not grow with the reference. "auto" takes
        20 for each class. The predicted classes stay the same; probabilities move by 0.001 at
        most.
    """

    alpha: float = 1.0
    iterations: int = 1
    top_k: TopK | None = None
    threshold: float = 0.9
    smoothing: float = 0.0
    reference_sample: Literal["all", "stratified"] = "all"
    reference_size: ReferenceSize = "exact"

    def check(self, n_classes: int) -> CANOptions:
        """Return the options with k filled in.

        Raises
        ------
        TypeError, ValueError
            If one of them is out of range.
        """
        check_number(self.alpha, "alpha", low=0.0, high=MAX_ALPHA, open_low=True)
        check_count(self.iterations, "iterations", low=1, high=MAX_ITERATIONS)
        if self.threshold != math.inf:
            check_number(self.threshold, "threshold", low=0.0, high=1.0)
        check_number(self.smoothing, "smoothing", low=0.0)
        check_choice(self.reference_sample, "reference_sample", ("all", "stratified"))
        check_reference_size(self.reference_size)
        default = min(DEFAULT_TOP_K, n_classes)
        top_k = default if self.top_k is None else check_top_k(self.top_k, n_classes)
        return replace(self, top_k=top_k)


#: Published settings; the first is the default.
PRESETS: Mapping[str, CANOptions] = {
    "blog": CANOptions(),
    "paper-code": CANOptions(top_k="max", reference_sample="stratified"),
}
