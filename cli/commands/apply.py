"""`postproc apply`: a saved ensemble on new predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli import options


@click.command(
    name="apply",
    short_help="Apply a saved model to new predictions.",
    epilog="""\b
Examples:
  postproc apply blend.json a.new.npy b.new.npy -o blended.npy
  postproc apply blend.json RUNDIR --labels labels.npy -o blended.npy --json
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
    """Combine PREDS by MODEL, which postproc ensemble, auto or tune has saved.

    What auto has saved looks at PREDS as a whole, and decides anew whether to adapt to them.

    Members are recognized by the names of their files less suffix and split (a.val.npy and
    a.test.npy are both a), and put in the order that MODEL knows. Another set of members, classes
    or kinds is refused.
    """
    from cli.commands.auto import adapt_files, print_auto
    from cli.commands.ensemble import combine_files, print_ensemble
    from cli.engines import make_runner
    from cli.inputs import output_path
    from cli.members import load_member_labels, load_members, member_names, open_run
    from cli.messages import print_json, warn
    from ensemble import AutoPostprocessor, align_members, load_model
    from postproc.checks import fail

    runner = make_runner(given, "apply")
    combiner = load_model(model)
    output = output_path(predictions[0], given, "apply")
    run = open_run(predictions)
    if run is not None:
        target, labels = run.predictions("test"), run.labels("test")
    else:
        names = combiner.names_ if given["by_order"] else member_names(predictions)
        if len(names) != len(predictions):
            message = f"must be the {len(names)} members of {model.name}, got {len(predictions)}"
            raise click.BadParameter(message, param_hint="PREDS")
        target, labels = load_members(predictions, names, given, runner=runner), None
    if given["labels"] is not None:
        labels = load_member_labels(given["labels"], target)
    position = {member.name: member for member in target}
    if len(position) == len(combiner.names_) and set(position) != set(combiner.names_):
        wanted = f"the members {', '.join(combiner.names_)} of {model.name}, in any order"
        mend = "--by-order takes files of other names in the order given"
        fail("PREDS", wanted, ", ".join(position), mend)
    if set(position) == set(combiner.names_):
        target = [position[name] for name in combiner.names_]
    members = align_members(target, missing_class=given["missing_class"], classes=combiner.classes_)
    is_pipeline = isinstance(combiner, AutoPostprocessor)
    write, show = (adapt_files, print_auto) if is_pipeline else (combine_files, print_ensemble)
    summary, report = write(
        combiner, members, target, labels, output, runner, method=model.stem, notes=[]
    )
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        show(summary, report)
