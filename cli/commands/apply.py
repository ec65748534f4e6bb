"""`postproc apply`: a saved ensemble, calibrator or adapter on new predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from cli.task.runner import Runner
    from postproc.calibration.temperature import Calibrator
    from postproc.shift.adapter import LabelShiftAdapter

#: A summary, a report, and what shows the two.
Applied = tuple[dict[str, Any], Any, Callable[[dict[str, Any], Any], None]]


@click.command(
    name="apply",
    short_help="Apply a saved model to new predictions.",
    epilog="""\b
Examples:
  postproc apply blend.json a.new.npy b.new.npy -o blended.npy
  postproc apply blend.json RUNDIR --labels labels.npy -o blended.npy --json
  postproc apply calibrator.json new.npy -o calibrated.npy
""",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)
@options.labels_option
@click.option(
    "--by-order",
    is_flag=True,
    help="PREDS are the members in the order of MODEL, whatever their files are called.",
)
@options.missing_class_option
@options.input_options
@options.output_options
@options.json_option
@options.engine_options
@options.quiet_option
def apply_command(model: Path, predictions: tuple[str, ...], **given: Any) -> None:
    """Combine, calibrate or adapt PREDS by MODEL, which another command has saved (--save).

    What auto or adapt has saved looks at PREDS as a whole: whether to adapt to them, and to which
    class frequencies, is found anew.

    Members of an ensemble are recognized by the names of their files less suffix and split
    (a.val.npy and a.test.npy are both a), and put in the order that MODEL knows. Another set of
    members, classes or kinds is refused. Where MODEL is of one file, that may have any name.
    """
    from sklearn.utils.validation import check_is_fitted

    from cli.messages import print_json, warn
    from cli.task.runner import make_runner
    from ensemble import load_model
    from ensemble.base import MemberEstimator
    from postproc.calibration.temperature import Calibrator
    from postproc.scores.checks import fail
    from postproc.shift.adapter import LabelShiftAdapter

    runner = make_runner(given, "apply")
    fitted = load_model(model)
    if not isinstance(fitted, MemberEstimator | Calibrator | LabelShiftAdapter):
        fail(model.name, "an ensemble, a calibrator or an adapter", type(fitted).__name__)
    check_is_fitted(fitted, msg=f"{model}: %(name)s was saved before it was fitted")
    apply = _apply_ensemble if isinstance(fitted, MemberEstimator) else _apply_to_one
    summary, report, show = apply(fitted, model, predictions, given, runner)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        show(summary, report)


def _apply_ensemble(
    combiner: Any, model: Path, paths: tuple[str, ...], given: dict[str, Any], runner: Runner
) -> Applied:
    import numpy as np

    from cli.commands.auto import adapt_files, print_auto
    from cli.commands.ensemble import combine_files, print_ensemble
    from cli.task.load import output_path
    from cli.task.members import load_member_labels, load_members, member_names, open_run
    from cli.task.order import in_class_order, in_row_order
    from ensemble import AutoPostprocessor, align_members
    from postproc.scores.checks import fail
    from postproc.scores.predictions import Predictions

    output = output_path(paths[0], given, "apply")
    run = open_run(paths)
    if run is not None:
        target, labels = run.predictions("test"), run.labels("test", mapped=True)
    else:
        alone = len(combiner.names_) == len(paths) == 1
        names = combiner.names_ if given["by_order"] or alone else member_names(paths)
        if len(names) != len(paths):
            message = f"must be the {len(names)} members of {model.name}, got {len(paths)}"
            raise click.BadParameter(message, param_hint="PREDS")
        columns = None if combiner.classes_ is None else tuple(combiner.classes_)
        like = Predictions(np.empty((0, 0)), "probs", columns, name=model.name)
        target = load_members(paths, names, given, runner=runner, like=[like])
        labels = None
    if given["labels"] is not None:
        labels = load_member_labels(given["labels"], target, mapped=True)
    given_order, position = target, {member.name: member for member in target}
    if len(position) == len(combiner.names_) and set(position) != set(combiner.names_):
        wanted = f"the members {', '.join(combiner.names_)} of {model.name}, in any order"
        mend = "--by-order takes files of other names in the order given"
        fail("PREDS", wanted, ", ".join(position), mend)
    if set(position) == set(combiner.names_):
        target = [position[name] for name in combiner.names_]
    members = align_members(target, missing_class=given["missing_class"], classes=combiner.classes_)
    # Labels go by the files as they were given, which MODEL may know in another order.
    labels = in_class_order(labels, given_order, members.classes)
    labels = in_row_order(labels, given_order, members.ids)
    is_pipeline = isinstance(combiner, AutoPostprocessor)
    write, show = (adapt_files, print_auto) if is_pipeline else (combine_files, print_ensemble)
    found = write(combiner, members, target, labels, output, runner, method=model.stem, notes=[])
    return *found, show


def _apply_to_one(
    fitted: Calibrator | LabelShiftAdapter,
    model: Path,
    paths: tuple[str, ...],
    given: dict[str, Any],
    runner: Runner,
) -> Applied:
    import numpy as np

    from cli.commands.adapt import adapt_file, print_adapt
    from cli.commands.calibrate import calibrate_file, load_target_labels, print_calibrate
    from cli.task.load import load, output_path
    from cli.task.members import open_run
    from cli.task.order import in_order_of
    from postproc.calibration.temperature import Calibrator
    from postproc.scores.checks import fail
    from postproc.scores.predictions import Predictions

    if len(paths) > 1 or open_run(paths) is not None:
        got = f"{len(paths)}" if len(paths) > 1 else "a run directory"
        message = f"must be one file, for the {type(fitted).__name__} of {model.name}, got {got}"
        raise click.BadParameter(message, param_hint="PREDS")
    if given["missing_class"] != "error":
        message = f"--missing-class is for ensembles, and {model.name} is none"
        raise click.UsageError(message)
    classes = None if fitted.classes_ is None else tuple(fitted.classes_)
    nothing = np.empty((0, fitted.n_features_in_))
    like = Predictions(nothing, fitted.kind_, classes, name=model.name)
    own = load(paths[0], given, runner=runner)
    target = in_order_of(own, like, quiet=given["quiet"])
    if target.kind != like.kind:
        mend = f"declare --{like.kind} if they are"
        fail(target.name, f"{like.kind}, as {model.name} was fitted to", target.kind, mend)
    output = output_path(target.name, given, "apply")
    labels = load_target_labels(own, given, target.classes)
    if isinstance(fitted, Calibrator):
        found = calibrate_file(fitted, target, labels, output, runner, notes=[])
        return *found, print_calibrate
    return *adapt_file(fitted, target, labels, output, runner, notes=[]), print_adapt
