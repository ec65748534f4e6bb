"""`postproc can`: alternating normalization of one prediction file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import options
from cli.messages import refuse
from cli.options import LABELS_OUT, Inputs, Outputs, Prior, Running, given
from cli.parameter_types import Choice, Count, Number

if TYPE_CHECKING:
    from postproc.can.options import CANOptions


@dataclass(frozen=True)
class Settings:
    """Options of CAN that were given on the command line; None keeps that of the preset."""

    preset: str | None = given(
        "Published settings, which the options below override.  [default: blog]",
        type=Choice(["blog", "paper-code"]),
    )
    config: Path | None = given("A configuration written by postproc tune, in place of a preset.")
    alpha: float | None = given(
        "Exponent applied in each iteration, above 0.  [default: 1]",
        type=Number(low=0.0, high=1000.0, open_low=True),
    )
    iterations: int | None = given("Number of iterations.  [default: 1]", type=Count(1))
    top_k: Any = given(
        "Number k of the top-k entropy of a row, or `max` for its maximum over all k.  "
        "[default: 3, or the number of classes if smaller]",
        type=Count(2, words=("max",)),
    )
    threshold: float | None = given(
        "Rows whose entropy is at or above this are ambiguous.  [default: 0.9]",
        type=Number(low=0.0, high=1.0),
    )
    smoothing: float | None = given(
        "Number of one-hot pseudo-rows per class added to the reference.  [default: 0]",
        type=Number(low=0.0),
    )
    reference_size: Any = given(
        "Number of reference rows above which several iterations use a condensed reference, "
        "with the same predicted classes in less time; `auto` is 20 per class.  [default: exact]",
        type=Count(1, words=("exact", "auto")),
    )

    def resolve(self) -> CANOptions:
        """The options of the preset or configuration, with the given ones in their place."""
        from postproc.can.options import PRESETS, load_can_options

        if self.preset is not None and self.config is not None:
            refuse("--preset and --config exclude each other")
        base = PRESETS[self.preset or "blog"]
        if self.config is not None:
            base = load_can_options(self.config)
        changes = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(base, **{k: v for k, v in changes.items() if k not in ("preset", "config")})


@options.command(
    epilog="""\b
Examples:
  postproc can preds.npy --prior train_labels
  postproc can test.npy --prior uniform --reference val.npy --threshold 0.7 \\
      -o better.npz
  postproc can test.npy --prior 120,30,50 --labels test_labels.txt --json
  postproc can shards/ --prior train_labels -o better/ --resume
"""
)
@options.predictions_argument
@options.group(Prior, prior={"required": True}, prior_kind={})
@options.option(
    "--reference",
    metavar="FILE",
    group=options.INPUT,
    help="Predictions whose confident rows serve as the reference.  [default: PREDS]",
)
@options.group(Inputs, "labels", *options.READING)
@options.option(
    "--all-rows",
    is_flag=True,
    help="Adjust every row, together with every row of the reference, whatever the threshold: "
    "batch calibration, or contextual calibration with a reference of content-free rows.",
)
@options.group(Settings)
@options.group(Outputs, "output", "overwrite", *LABELS_OUT, "as_json")
@options.group(Running)
def can_command(
    predictions: str,
    prior: Prior,
    reference: str | None,
    inputs: Inputs,
    all_rows: bool,
    settings: Settings,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Adjust the ambiguous rows of PREDS by alternating normalization (CAN).

    A row is ambiguous if its top-k entropy reaches the threshold. Each ambiguous row is normalized
    separately, together with the confident rows, so that the classes follow the prior. Confident
    rows are written unchanged, as probabilities.

    Jia et al., Findings of EMNLP 2021, arXiv:2109.13449.
    """
    from cli.run.normalized import adjust_file
    from cli.run.outcome import deliver
    from cli.task.runner import Runner

    runner, chosen = Runner.of(inputs, outputs, running), settings.resolve()
    outcome = adjust_file(
        predictions, prior, chosen, runner, reference=reference, all_rows=all_rows
    )
    return deliver(outcome, runner)
