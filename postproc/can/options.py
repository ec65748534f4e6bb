"""The options of CAN, and configurations: options in a small, versioned JSON file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from postproc.can.loop import check_parameters
from postproc.files.json_arrays import read_json
from postproc.files.paths import atomic_path
from postproc.scores.checks import check_choice, check_count, check_number, fail
from postproc.scores.confidence import DEFAULT_TOP_K, TopK, check_top_k

#: "exact", or the number of reference rows beyond which several iterations work with C × C matrices
#: instead of the rows; "auto" is 20 for each class. Predicted classes stay the same; probabilities
#: change by at most 0.001.
ReferenceSize = Literal["exact", "auto"] | int

#: Version of the layout of configurations; files of a later one are refused.
FORMAT_VERSION = 1


def save_can_options(
    path: str | os.PathLike[str],
    options: CANOptions | None,
    *,
    overwrite: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Write options and their evidence as JSON, whole or not at all; None as a null threshold."""
    parameters = {"threshold": None} if options is None else asdict(options)
    content = {"format_version": FORMAT_VERSION, "method": "can", "parameters": parameters}
    if evidence is not None:
        content["evidence"] = dict(evidence)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_can_options(path: str | os.PathLike[str]) -> CANOptions:
    """Read the options of CAN from JSON; a threshold of `null` is infinite: no row is ambiguous."""
    parameters = _read(Path(path))
    known = [field.name for field in fields(CANOptions)]
    unknown = [name for name in parameters if name not in known]
    if unknown:
        msg = f"{path}: parameters must be among {', '.join(known)}, got {unknown[0]!r}"
        raise ValueError(msg)
    if "threshold" in parameters and parameters["threshold"] is None:
        parameters["threshold"] = math.inf
    options = CANOptions(**parameters)
    try:
        options.check(sys.maxsize)  # k is compared with C later
    except (TypeError, ValueError) as error:
        msg = f"{path}: {error}"
        raise type(error)(msg) from None
    return options


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        msg = f"{path}: must be a configuration with the keys method and parameters"
        raise ValueError(msg)
    version = content.get("format_version")
    if version is True or version != FORMAT_VERSION:
        msg = f"{path}: format_version must be {FORMAT_VERSION}, got {version!r}"
        raise ValueError(msg)
    if content.get("method") != "can":
        msg = f'{path}: method must be "can", got {content.get("method")!r}'
        raise ValueError(msg)
    return dict(content["parameters"])


@dataclass(frozen=True)
class CANOptions:
    """Options of CAN, shared by the command line, configurations and the estimator."""

    alpha: float = 1.0  # exponent, in (0, 1000]
    iterations: int = 1  # 1..1000
    top_k: TopK | None = None  # 2..C or "max"; None is 3, or C if that is smaller
    threshold: float = 0.9  # of ambiguous rows, in [0, 1], or infinite for none
    smoothing: float = 0.0  # one-hot pseudo-rows added to the reference for each class, >= 0
    reference_sample: Literal["all", "stratified"] = "all"  # or at most max(5C, 1000) rows
    reference_size: ReferenceSize = "exact"

    def check(self, n_classes: int) -> CANOptions:
        """Return the options with k filled in; TypeError or ValueError if one is not valid."""
        check_parameters(self.alpha, self.iterations, self.smoothing)
        if self.threshold != math.inf:
            check_number(self.threshold, "threshold", low=0.0, high=1.0)
        check_choice(self.reference_sample, "reference_sample", ("all", "stratified"))
        if not isinstance(self.reference_size, str):
            check_count(self.reference_size, "reference_size", low=1)
        elif self.reference_size not in ("exact", "auto"):
            wanted = '"exact", "auto" or a number of rows'
            fail("reference_size", wanted, repr(self.reference_size))
        default = min(DEFAULT_TOP_K, n_classes)
        top_k = default if self.top_k is None else check_top_k(self.top_k, n_classes)
        return replace(self, top_k=top_k)


#: Published settings; the first is the default.
PRESETS: Mapping[str, CANOptions] = {
    "blog": CANOptions(),
    "paper-code": CANOptions(top_k="max", reference_sample="stratified"),
}
