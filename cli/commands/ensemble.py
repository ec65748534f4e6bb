"""`postproc ensemble`: several prediction files in, one out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.run.devil import devil_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cli.task.runner import Runner
    from ensemble import Members
    from ensemble.base import Ensemble
    from postproc.scores.predictions import Predictions

#: Ways of combining by a fixed rule, and those that learn from labelled rows.
VOTES = ("soft", "hard", "log", "median", "rank")
FITTED = ("weights", "blend", "calibrated", "greedy", "stack", "bagging", "devil")


@click.command(
    name="ensemble",
    short_help="Combine several models' predictions into one.",
    epilog="""\b
Examples:
  postproc ensemble soft a.npy b.npy c.npy --weights 2,1,1 -o soft.npy
  postproc ensemble blend a.test.npy b.test.npy --fit a.val.npy --fit b.val.npy \\
      --fit-labels labels.val.npy --labels labels.test.npy --save blend.json
  postproc ensemble weights RUNDIR -o weights.npy
  postproc ensemble devil RUNDIR --controls --plot curves.svg -o devil.npy
""",
)
@click.argument("method", type=click.Choice([*VOTES, *FITTED]))
@click.argument("predictions", metavar="PREDS...", nargs=-1, required=True)
@click.option(
    "--weights", metavar="W,W,...", help="What each member counts.  [default: all the same]"
)
@options.fit_members_options
@options.labels_option
@click.option(
    "--tie",
    type=click.Choice(["support", "lowest", "random"]),
    default="support",
    show_default=True,
    help="Who wins among classes with equal votes (hard, rank): the largest summed probability, "
    "the lowest class, or one by lot.",
)
@click.option(
    "--metric",
    type=click.Choice(["accuracy", "log_loss", "macro_f1"]),
    default="accuracy",
    show_default=True,
    help="What greedy selection improves.",
)
@options.missing_class_option
@options.save_option("ensemble")
@devil_options
@options.input_options
@options.output_options
@options.json_option
@options.device_options
@options.seed_option
@options.engine_options
@options.quiet_option
def ensemble_command(method: str, predictions: tuple[str, ...], **given: Any) -> None:
    """Combine PREDS by METHOD.

    By a fixed rule: soft (mean of the probabilities), log (mean of their logarithms), hard
    (majority), median, rank. Learned from labelled rows: weights (log pool of least log-loss),
    blend (the same with a class bias and an out-of-fold stacker), calibrated (a temperature for
    each member, then soft), greedy (selection with replacement), stack, bagging,
    devil (models in discussion with one that was trained to be wrong).

    One run directory in place of files is fitted on its val split and writes its test split.
    """
    from cli.messages import print_json, warn

    summary, report = _run(method, predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        print_ensemble(summary, report)


def _run(method: str, paths: tuple[str, ...], given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import warnings

    from cli.run.devil import check_devil_usage, plot_curves
    from cli.task.doubts import fit_doubts, same_rows
    from cli.task.load import output_path
    from cli.task.members import (
        load_fit_members,
        load_member_labels,
        load_members,
        member_names,
        open_run,
    )
    from cli.task.order import in_class_order
    from cli.task.runner import make_runner
    from cli.task.saving import check_save

    learns = method in FITTED
    runner = make_runner(given, f"ensemble {method}")
    run = open_run(paths)
    _check_usage(method, paths, given, is_run=run is not None)
    check_devil_usage(method, given)
    output = output_path(paths[0], given, "ensemble")
    check_save(given, output)
    fit: list[Predictions] = []
    fit_labels: NDArray[Any] | None = None
    if run is not None:
        target = run.predictions("test")
        labels = run.labels("test", mapped=True)
        if learns:
            fit, fit_labels = run.predictions("val"), run.labels("val")
    else:
        names = member_names(paths)
        target = load_members(paths, names, given, runner=runner)
        labels = None
        if learns:
            fit = load_fit_members(given["fit_files"], names, given, target)
            fit_labels = load_member_labels(given["fit_labels"], fit)
    if given["labels"] is not None:
        labels = load_member_labels(given["labels"], target, mapped=True)
    members = _align(target, given)
    labels = in_class_order(labels, target, members.classes)
    notes = same_rows(paths, given["fit_files"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        combiner = _make(method, given)
        if learns:
            aligned = _align(fit, given, like=members)
            fit_labels = in_class_order(fit_labels, fit, members.classes)
            notes += fit_doubts(aligned, fit_labels, members)
            combiner.fit(aligned, fit_labels)
        else:
            combiner.fit(members)
    if given["plot"] is not None:
        plot_curves(combiner, given["plot"], overwrite=given["overwrite"])
    return combine_files(
        combiner,
        members,
        target,
        labels,
        output,
        runner,
        method=method,
        notes=[*notes, *(str(warning.message) for warning in caught)],
        inputs=fit,
    )


def _check_usage(
    method: str, paths: tuple[str, ...], given: dict[str, Any], *, is_run: bool
) -> None:
    """Options that the method needs, or has no use for."""
    from cli.task.members import check_fit_usage

    learns = method in FITTED
    if given["weights"] is not None and method not in (*VOTES, "calibrated"):
        message = f"{method} learns its weights; leave --weights away"
        raise click.UsageError(message)
    check_fit_usage(paths, given, method, learns=learns, is_run=is_run)


def _align(
    predictions: list[Predictions], given: dict[str, Any], like: Members | None = None
) -> Members:
    from ensemble import align_members

    classes = None if like is None else like.classes
    return align_members(predictions, missing_class=given["missing_class"], classes=classes)


def _make(method: str, given: dict[str, Any]) -> Ensemble:
    """The ensemble of a method, with the options that it knows."""
    import ensemble
    from cli.run.devil import make_devil

    weights, seed = _weights(given["weights"]), given["seed"]
    makers: dict[str, Callable[[], Ensemble]] = {
        "weights": lambda: ensemble.LearnedLogPool(),
        "blend": lambda: ensemble.Blend(seed=seed),
        "calibrated": lambda: ensemble.CalibratedVoting(weights=weights),
        "greedy": lambda: ensemble.GreedySelection(metric=given["metric"], seed=seed),
        "stack": lambda: ensemble.Stacking(seed=seed),
        "bagging": lambda: ensemble.Bagging(seed=seed),
        "devil": lambda: make_devil(given),
    }
    if method in makers:
        return makers[method]()
    voting: Any = method
    return ensemble.Voting(voting, weights=weights, tie=given["tie"], seed=seed)


def _weights(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        message = f"must be numbers with commas between them, got {text!r}"
        raise click.BadParameter(message, param_hint="--weights") from None


def combine_files(
    combiner: Ensemble,
    members: Members,
    target: list[Predictions],
    labels: NDArray[Any] | None,
    output: Path,
    runner: Runner,
    *,
    method: str,
    notes: list[str],
    inputs: Sequence[Predictions] = (),
) -> tuple[dict[str, Any], Any]:
    """Combine the members block by block into the output, and report on it.

    `inputs` are files that the combiner was fitted to, for the signature of the job.
    """
    import numpy as np

    from cli.run.devil import contestants_of, devil_summary
    from cli.task.doubts import report_doubts
    from cli.task.load import lost_ids, make_output
    from cli.task.saving import save
    from ensemble.streaming import CombineRows, member_cuts, streamed
    from postproc.scores.sources import as_source

    given = runner.given
    checked = streamed(combiner.check_members(members), given.get("device", "cpu"))
    dtype = np.dtype(np.float32 if checked.narrow else np.float64)
    shape = (checked.n_rows, checked.n_classes)
    whole = make_output(
        output,
        shape,
        dtype,
        classes=checked.classes,
        ids=checked.ids,
        like=checked[0].scores,
    )
    solo, judged_on = combiner.solo_accuracy_, "fit"
    judged = labels if solo is None else None
    truth = None if judged is None else as_source(judged[:, None])
    part = CombineRows(combiner, checked, truth, runner.sizes)
    right = np.zeros(len(checked))
    cuts = member_cuts(checked, runner.sizes)
    for counts in runner.write(part, cuts, whole, inputs=[*checked, *inputs]):
        right += counts.get("right", 0)
    if judged is not None:
        solo, judged_on = right / max(1, shape[0]), "target"
    warnings = list(notes)
    for name, lacking in checked.missing.items():
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        warnings.append(f"{name} does not know {shown}: it gives zero there")
    warnings += lost_ids(checked.ids, output)
    saved = save(combiner, given)
    report = None
    if labels is not None:
        extra = contestants_of(combiner, checked)
        report = _report(method, checked, target, labels, output, solo, extra, runner)
        warnings += report_doubts(report)
    summary = {
        "method": method,
        "rows": shape[0],
        "classes": shape[1],
        "members": [
            {
                "name": name,
                "kind": kind,
                "weight": float(combiner.member_weights_[m]),
                "accuracy": None if solo is None else float(solo[m]),
            }
            for m, (name, kind) in enumerate(zip(checked.names, checked.kinds, strict=True))
        ],
        "stacker_weight": getattr(combiner, "stacker_weight_", None),
        "judged_on": None if solo is None else judged_on,
        "output": str(output),
        "saved": saved,
        "missing_classes": {name: list(lacking) for name, lacking in checked.missing.items()},
        "warnings": warnings,
        "report": None if report is None else report.to_dict(),
    }
    devil = devil_summary(combiner, checked, labels)
    if devil is not None:
        summary["devil"] = devil
    return summary, report


def _report(
    method: str,
    members: Members,
    target: list[Predictions],
    labels: NDArray[Any],
    output: Path,
    solo: NDArray[Any] | None,
    extra: dict[str, Any],
    runner: Runner,
) -> Any:
    """Compare the result with the members; the baseline is the best of them."""
    from dataclasses import replace

    from ensemble.streaming import MemberSource
    from postproc import Predictions, load_predictions
    from postproc.reports.report import accuracy_report
    from postproc.scores.sources import Picked

    models: dict[str, Any] = {}
    for member, loaded in zip(members, target, strict=True):
        models[member.name] = (
            Predictions(MemberSource(member), "probs", name=member.name)
            if isinstance(member.scores, Picked)
            else replace(loaded, scores=member.scores)
        )
    best = members.names[0] if solo is None else members.names[int(solo.argmax())]
    models |= extra
    name = method if method not in models else f"{method} (ensemble)"
    models[name] = load_predictions(
        output, kind="probs", classes=members.classes, mapped=False, **runner.blocks
    )
    return accuracy_report(models, labels, baseline=best, classes=members.classes, **runner.blocks)


def print_ensemble(summary: dict[str, Any], report: Any) -> None:
    """Show each member's weight and solo accuracy, the report, and where the result lies."""
    from cli.messages import percent, print_table
    from cli.task.saving import print_saved

    click.echo(
        f"{summary['method']} of {len(summary['members'])} members: {summary['rows']} rows x "
        f"{summary['classes']} classes"
    )
    rows = [
        [
            member["name"],
            member["kind"],
            f"{member['weight']:.3f}",
            "-" if member["accuracy"] is None else percent(member["accuracy"]),
        ]
        for member in summary["members"]
    ]
    split = {"fit": "on the fit split, %", "target": "on these rows, %"}
    accuracy = f"accuracy {split.get(summary['judged_on'], '')}".strip()
    if summary["stacker_weight"] is not None:
        rows.append(["(stacker on all)", "", f"{summary['stacker_weight']:.3f}", "-"])
    print_table(["member", "kind", "weight", accuracy], rows)
    if report is not None:
        click.echo(report.to_text(), nl=False)
    if "devil" in summary:
        from cli.run.devil import devil_lines

        click.echo("\n".join(devil_lines(summary["devil"])))
    print_saved(summary)
    click.echo(f"written: {summary['output']}")
