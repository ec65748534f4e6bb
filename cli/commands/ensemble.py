"""`postproc ensemble`: several prediction files in, one out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.messages import refuse
from cli.options import Fit, Inputs, Outputs, Running, given
from cli.parameter_types import (
    METRIC_NAMES,
    Choice,
    Count,
    MetricName,
    Number,
    TrainingMethods,
    Values,
)
from cli.run.devil import Devil

if TYPE_CHECKING:
    from ensemble.base import Ensemble
    from ensemble.members import Members

#: Fixed rules, and methods that are fitted to labelled rows.
VOTES = ("soft", "hard", "log", "median", "rank")
FITTED = (
    *("weights", "blend", "calibrated", "greedy", "gumbel", "stack", "bagging"),
    *("ytuning", "devil"),
)

#: Methods whose heads are trained by --training.
TRAINED = ("stack", "ytuning", "devil")

#: Methods that have options which others would not heed.
ONLY_OF = {"tie": ("hard", "rank"), "metric": ("greedy",), "size": ("gumbel",)}


@dataclass(frozen=True)
class Rule:
    """Options of single methods."""

    weights: Any = given(
        "Weight of each member.  [default: equal]", type=Values(Number()), metavar="W,W,..."
    )
    tie: Any = given(
        "hard, rank: which of several classes with equal votes wins: that with the largest "
        "summed probability, the lowest, or a random one.",
        type=Choice(["support", "lowest", "random"]),
        default="support",
    )
    over: Any = given(
        "rank: rank the classes of a row, or the rows in each column, as people do for AUC. Over "
        "rows, all ranks are held in memory (16 bytes for each row and class), and each row of "
        "the result is divided by its sum.",
        type=Choice(["classes", "rows"]),
        default="classes",
    )
    metric: Any = given(
        f"greedy: the metric to improve: {METRIC_NAMES}.",
        type=MetricName(),
        metavar="NAME",
        default="accuracy",
    )
    size: int = given("gumbel: number of members to select.", type=Count(1), default=3)
    training: Any = given(
        "stack, ytuning, devil: methods of training and their strengths, out of flooding (level "
        "of the loss), fgm (length of steps against the inputs), child_free and child_driven "
        "(share of the parameters), label_denoising (weight of its term); auto chooses by "
        "cross-validation.  [default: plain training]",
        type=TrainingMethods(),
        metavar="METHOD=X,...",
    )


@options.command(
    epilog="""\b
Examples:
  postproc ensemble soft a.npy b.npy c.npy --weights 2,1,1 -o soft.npy
  postproc ensemble blend a.test.npy b.test.npy --fit a.val.npy \\
      --fit b.val.npy --fit-labels labels.val.npy --labels labels.test.npy \\
      --save blend.json
  postproc ensemble rank a.csv b.csv --over rows -o ranks.csv
  postproc ensemble weights RUNDIR -o weights.npy
  postproc ensemble devil RUNDIR --controls --plot curves.svg -o devil.npy
  postproc ensemble ytuning RUNDIR --training auto -o ytuning.npy
"""
)
@click.argument("method", metavar="METHOD", type=Choice([*VOTES, *FITTED]))
@options.members_argument
@options.group(Fit)
@options.group(Inputs)
@options.group(Rule)
@options.group(Devil)
@options.group(Outputs, *options.FITTED_OUT)
@options.group(Running)
def ensemble_command(
    method: str,
    predictions: tuple[str, ...],
    fit: Fit,
    inputs: Inputs,
    rule: Rule,
    devil: Devil,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Combine PREDS by METHOD.

    Fixed rules: soft (mean of the probabilities), log (mean of the log-probabilities), hard
    (majority vote), median, rank (Borda count of the classes within a row; with --over rows, mean
    rank of the rows within a column).

    Fitted to labelled rows: weights (log pool with the lowest log-loss), blend (the same of the
    members, of linear discriminants on them and of a kernel regression, with a class bias),
    calibrated (temperature scaling of each member, then soft), greedy (forward selection with
    replacement), gumbel (a subset of --size members, by Gumbel-Softmax gates), stack (logistic
    regression), bagging (of stack), ytuning (label embeddings, aligned with the members' scores by
    a triplet loss, in a log pool with them), devil (Devil's Advocate: models in discussion with
    one that was trained to be wrong).

    With --multilabel members are combined label by label; rank ranks the rows of each label, and
    weights are learned for each label, shrunk to those that all labels share. devil is not
    for it: of a label that is there or not, the only wrong answer to learn is the opposite.

    Instead of files, PREDS may be one run directory: its val split is fitted to and its test split
    is combined.
    """
    from cli.run.combined import fit_and_combine
    from cli.task.members import check_fit_usage
    from cli.task.runner import Runner

    learns = method in FITTED
    runner = Runner.of(inputs, outputs, running)
    if rule.weights is not None and method not in (*VOTES, "calibrated"):
        refuse(f"{method} learns its weights; omit --weights")
    if rule.over == "rows" and method != "rank":
        refuse(f"--over rows is for rank, not for {method}")
    for name, methods in ONLY_OF.items():
        for flag in options.flags_given(name) if method not in methods else ():
            refuse(f"{flag} is for {' and '.join(methods)}, not for {method}")
    if outputs.oof is not None and not learns:
        refuse(f"{method} is not fitted, so no row is seen; omit --oof")
    fit.check_groups(outputs)
    if rule.training is not None and method not in TRAINED:
        refuse(f"{method} has no training methods; omit --training")
    check_fit_usage(predictions, fit, method, learns=learns)
    devil.check_usage(method, overwrite=outputs.overwrite)

    def make(members: Members) -> Ensemble:
        name, how = method, rule
        if members.multilabel:  # the labels of a row are not ranked among each other
            name = "label weights" if method == "weights" else method
            how = replace(rule, over="rows") if method == "rank" else rule
        return _make(name, how, devil, running)

    def plot(combiner: Any) -> None:
        devil.draw_curves(combiner, overwrite=outputs.overwrite)

    return fit_and_combine(make, method, predictions, fit, runner, learns=learns, fitted=plot)


def _make(method: Any, rule: Rule, devil: Devil, running: Running) -> Ensemble:
    """The ensemble of a method, with the options that it has."""
    import ensemble

    weights, training, seed = rule.weights, rule.training, running.seed
    makers: dict[str, Callable[[], Ensemble]] = {
        "weights": lambda: ensemble.LearnedLogPool(),
        "label weights": lambda: ensemble.LabelPool(seed=seed),
        "blend": lambda: ensemble.DiscriminantPool(seed=seed),
        "calibrated": lambda: ensemble.CalibratedVoting(weights=weights),
        "greedy": lambda: ensemble.GreedySelection(metric=rule.metric, seed=seed),
        "gumbel": lambda: ensemble.GumbelSelection(size=rule.size, seed=seed),
        "stack": lambda: ensemble.Stacking(training=training, seed=seed),
        "bagging": lambda: ensemble.Bagging(seed=seed),
        "ytuning": lambda: ensemble.YTuning(training=training, device=running.device, seed=seed),
        "devil": lambda: devil.make(running, training),
    }
    if method in makers:
        return makers[method]()
    return ensemble.Voting(method, weights=weights, tie=rule.tie, seed=seed, over=rule.over)
