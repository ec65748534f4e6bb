"""`postproc apply`: a saved ensemble, calibrator, adapter or decider on new predictions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.messages import refuse
from cli.options import ENGINE, LABELS_OUT, Inputs, Outputs, Running

if TYPE_CHECKING:
    from cli.run.outcome import Outcome
    from cli.task.runner import Runner


@options.command(
    epilog="""\b
Examples:
  postproc apply blend.json a.new.npy b.new.npy --by-order -o blended.npy
  postproc apply blend.json RUNDIR --labels labels.npy -o blended.npy --json
  postproc apply calibrator.json new.npy -o calibrated.npy
  postproc apply sets.json new.npy -o sets.csv
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@options.members_argument
@options.group(Inputs)
@options.option(
    "--by-order",
    is_flag=True,
    group=options.INPUT,
    help="Match PREDS to the members of MODEL by their order and not by the names of the files.",
)
@options.group(Outputs, "output", "overwrite", *LABELS_OUT, "as_json")
@options.group(Running, *ENGINE, "resume", "quiet")
def apply_command(
    model: Path,
    predictions: tuple[str, ...],
    inputs: Inputs,
    by_order: bool,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Combine, calibrate, adapt or decide PREDS with MODEL, saved by a command with --save.

    Models saved by auto or adapt look at PREDS as a whole: they decide again whether to adapt, and
    to which class prior.

    Members of an ensemble are recognized by the names of their files without suffix and split
    (a.val.npy and a.test.npy are both a, and oof_a.csv is test_a.csv) and put in the order of
    MODEL. It is an error if members,
    classes or kinds differ from those of MODEL. If MODEL has a single member, its file may have
    any name.
    """
    from cli.messages import is_expected
    from cli.run.outcome import deliver
    from cli.task.runner import Runner
    from ensemble import load_model
    from ensemble.base import MemberEstimator

    fitted = load_model(model)
    if fitted.multilabel_:
        inputs = replace(inputs, multilabel=True)
    runner = Runner.of(inputs, outputs, running)
    _check_fitted(fitted, model)
    try:
        if isinstance(fitted, MemberEstimator):
            outcome = _apply_ensemble(fitted, model, predictions, runner, by_order=by_order)
        else:
            outcome = _apply_to_one(fitted, model, predictions, runner)
        return deliver(outcome, runner)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if is_expected(error):
            raise
        what = f"{type(error).__name__}: {error}; --debug shows where"
        message = f"{model}: damaged, or saved by another version of postproc: {what}"
        raise ValueError(message) from error


def _check_fitted(fitted: Any, model: Path) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(fitted, msg=f"{model}: %(name)s was saved before it was fitted")
    except NotFittedError as error:
        raise ValueError(str(error)) from None


def _apply_ensemble(
    combiner: Any, model: Path, paths: tuple[str, ...], runner: Runner, *, by_order: bool
) -> Outcome:
    from cli.run.combined import Combination, write_combined
    from cli.task.doubts import seen_rows
    from cli.task.members import load_task_of
    from cli.task.output import output_path

    output = output_path(paths[0], runner)
    task = load_task_of(combiner, model.name, paths, runner, by_order=by_order)
    notes = seen_rows(model, task.members)
    return write_combined(Combination(combiner, model.stem, task, output, runner), notes)


def _apply_to_one(fitted: Any, model: Path, paths: tuple[str, ...], runner: Runner) -> Outcome:
    import numpy as np

    from cli.run.decided import write_decisions
    from cli.run.one_file import apply_to_file
    from cli.task.doubts import seen_rows
    from cli.task.load import in_order_of, load, load_judging_labels
    from cli.task.members import open_run
    from cli.task.output import decision_path, output_path
    from postproc.decisions.decider import Decider
    from postproc.decisions.sets import ConformalSets
    from postproc.scores.checks import fail
    from postproc.scores.predictions import Predictions

    if len(paths) > 1 or open_run(paths) is not None:
        got = f"{len(paths)}" if len(paths) > 1 else "a run directory"
        refuse(
            f"must be one file for the {type(fitted).__name__} of {model.name}, got {got}", "PREDS"
        )
    if runner.inputs.missing_class != "error":
        refuse(f"--missing-class is for ensembles, and {model.name} is not one")
    if runner.inputs.common_rows:
        refuse(f"--common-rows is for ensembles, and {model.name} is not one")
    classes = None if fitted.class_names_ is None else tuple(fitted.class_names_)
    nothing = np.empty((0, fitted.n_features_in_))
    like = Predictions(nothing, fitted.kind_, classes, name=model.name)
    own = load(paths[0], runner)
    target = in_order_of(own, like, quiet=runner.running.quiet)
    if target.kind != like.kind:
        mend = f"declare --{like.kind} if they are"
        fail(target.name, f"{like.kind}, which {model.name} was fitted to", target.kind, mend)
    decides = isinstance(fitted, Decider)
    if decides and runner.outputs.labels_out is not None:
        refuse(f"--labels-out is for probabilities, and {model.name} decides; use --output")
    sets = isinstance(fitted, ConformalSets) or target.multilabel
    make_path = partial(decision_path, sets=sets)
    output = (make_path if decides else output_path)(target.name, runner)
    labels = load_judging_labels(own, target, runner)
    notes = seen_rows(model, [target])
    if isinstance(fitted, Decider):
        outcome = write_decisions(fitted, None, target, labels, output, runner)
        outcome.summary["warnings"] = notes + outcome.summary["warnings"]
        return outcome
    return apply_to_file(fitted, target, labels, output, runner, notes=notes)
