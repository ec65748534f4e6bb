"""`postproc adapt`: probabilities under the class prior of the target."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cli import options
from cli.messages import refuse
from cli.options import LABELS_OUT, Fit, Inputs, Outputs, Running, given
from cli.parameter_types import Choice, Number
from postproc.calibration.by_name import METHODS


@dataclass(frozen=True)
class Groups:
    """Which rows belong together."""

    groups: str | None = given(
        "What each row of PREDS belongs to (a patient, an account): only groups are independent, "
        "which the test of a shift and the intervals of shares allow for.",
        metavar="FILE[:COLUMN]",
    )


@dataclass(frozen=True)
class Shift:
    """How to adapt."""

    method: str = given(
        "em, map and bbse estimate the class prior and reweight by it; sinkhorn and can use "
        "the estimate of map.",
        type=Choice(["em", "map", "bbse", "sinkhorn", "can"]),
        default="map",
    )
    calibration: str = given(
        f"How to calibrate predictions first: {', '.join(METHODS)} or none.",
        metavar="METHOD",
        type=Choice([*METHODS, "none"]),
        default="matrix",
    )
    soft: bool = given(
        "bbse: use predicted probabilities, or predicted classes.", "--soft/--hard", default=True
    )
    strength: float = given(
        "sinkhorn: how far to move the mean prediction towards the prior, 0 to 1.",
        type=Number(low=0.0, high=1.0),
        default=1.0,
    )


@options.command(
    epilog="""\b
Examples:
  postproc adapt test.npy --fit val.npy --fit-labels val_labels.npy
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method bbse \\
      --hard --json
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method sinkhorn \\
      --strength 0.5
  postproc adapt test.npy --fit val.npy --fit-labels y.txt \\
      --save adapter.json
"""
)
@options.predictions_argument
@options.fit_options
@options.group(Inputs, "labels", *options.READING)
@options.group(Shift)
@options.group(Groups)
@options.group(Outputs, "output", "overwrite", "save", *LABELS_OUT, "as_json")
@options.group(Running)
def adapt_command(
    predictions: str,
    fit: Fit,
    inputs: Inputs,
    shift: Shift,
    groups: Groups,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Calibrate PREDS and adapt them to label shift.

    For a target whose class prior differs from that of --fit. The prior of the target is estimated
    from PREDS themselves, without labels. The printed p-value says whether there is evidence of a
    shift. If it is large, or to find out whether adapting helps, use postproc auto.

    Of labels that do not exclude each other (--multilabel), em and map estimate the prior of each
    label, after a calibration of each. A label whose shift is not clear keeps the prior of --fit.

    --save keeps what was learned from --fit. postproc apply estimates the prior of its own PREDS.
    """
    from cli.run.one_file import fit_and_write
    from postproc.shift.adapter import LabelShiftAdapter
    from postproc.shift.multilabel import METHODS, MultilabelShiftAdapter

    def make(rows: Any) -> LabelShiftAdapter | MultilabelShiftAdapter:
        if rows.multilabel:
            if shift.method not in METHODS:
                refuse(
                    f"--method {shift.method} is for classes that exclude each other; use "
                    f"{' or '.join(METHODS)}"
                )
            options = {"kind": rows.kind, "random_state": running.seed}
            return MultilabelShiftAdapter(method=shift.method, **options)
        return LabelShiftAdapter(**asdict(shift), kind=rows.kind, random_state=running.seed)

    if inputs.multilabel and (groups.groups or fit.fit_groups):
        refuse("--groups is for classes that exclude each other; omit it, or --multilabel")
    return fit_and_write(make, predictions, fit, inputs, outputs, running, groups=groups.groups)
