"""`postproc adapt`: probabilities under the class frequencies of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.commands.calibrate import METHODS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postproc.calibration import Calibrator
    from postproc.label_shift import PriorEstimate
    from postproc.predictions import Predictions

#: Classes that the table of the prior shows.
SHOWN = 10


@click.command(
    short_help="Adapt probabilities to a shift of the class frequencies.",
    epilog="""\b
Examples:
  postproc adapt test.npy --fit val.npy --fit-labels val_labels.npy
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method bbse --hard --json
  postproc adapt test.npy --fit val.npy --fit-labels y.txt --method sinkhorn --strength 0.5
""",
)
@options.predictions_argument
@options.fit_options
@click.option(
    "--method",
    type=click.Choice(["em", "map", "bbse", "sinkhorn", "can"]),
    default="map",
    show_default=True,
    help="em, map and bbse estimate the class prior and re-weight by it; sinkhorn and can take "
    "that of map.",
)
@click.option(
    "--calibration",
    type=click.Choice([*METHODS, "none"]),
    default="matrix",
    show_default=True,
    help="How predictions are calibrated first.",
)
@click.option(
    "--soft/--hard",
    default=True,
    show_default=True,
    help="What bbse counts: probabilities, or predicted classes.",
)
@click.option(
    "--strength",
    type=options.Number(low=0.0, high=1.0),
    default=1.0,
    show_default=True,
    help="How far sinkhorn pulls the mean prediction to the prior, 0 to 1.",
)
@options.labels_option
@options.input_options
@options.output_options
@options.json_option
@options.seed_option
@options.quiet_option
def adapt(predictions: str, **given: Any) -> None:
    """Calibrate PREDS and adapt them to their own class frequencies, which are estimated.

    Meant for a target whose classes are distributed otherwise than those of --fit (label shift).
    The p-value says whether that can be told at all. Where it is large, or where you would rather
    be told what pays, use postproc auto.
    """
    from cli.messages import print_json, warn

    summary, report, names = _run(predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        _print(summary, report, names)


def _run(path: str, given: dict[str, Any]) -> tuple[dict[str, Any], Any, list[str]]:
    import warnings

    import numpy as np

    from cli.commands.calibrate import (
        before_and_after,
        fit_calibrator,
        load_fit_and_target,
        load_target_labels,
        lost_ids,
    )
    from cli.inputs import output_path
    from postproc.calibration import apply_map, as_logs
    from postproc.files import save_blocks
    from postproc.shift_test import no_shift_test

    target, fit, y = load_fit_and_target(path, given)
    output = output_path(target.name, given, "adapt")
    labels = load_target_labels(target, given)
    scaling: Calibrator | None = None
    notes: list[str] = []
    if given["calibration"] != "none":
        scaling, notes = fit_calibrator(given["calibration"], fit, y, given["seed"])
        probs = np.exp(apply_map(scaling.model_, target.scores, target.kind))
        held_out = np.exp(scaling.out_of_fold_)
    else:
        probs = np.exp(as_logs(target.scores, target.kind))
        held_out = np.exp(as_logs(fit.scores, fit.kind))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        test = no_shift_test(probs, held_out)
        source = held_out.mean(axis=0)
        prior = _estimate(probs, held_out, y, source, given)
        adapted = _apply(probs, scaling, fit, source, prior, given)
    notes += [str(warning.message) for warning in caught]
    if test.p_value >= 0.05:
        notes.append(
            f"the target shows no shift of class frequencies (p = {test.p_value:.2g}): adapting "
            "may do harm"
        )
    save_blocks(
        output,
        (adapted[rows] for rows in target.blocks()),
        shape=adapted.shape,
        dtype=target.output_dtype,
        classes=target.classes,
        ids=target.ids,
        overwrite=given["overwrite"],
    )
    report = before_and_after("adapted", target, output, labels)
    summary = {
        "method": given["method"],
        "calibration": given["calibration"],
        "rows": target.n_rows,
        "classes": target.n_classes,
        "kind": target.kind,
        "fit_rows": fit.n_rows,
        "p_value": test.p_value,
        "shift_ratio": test.ratio,
        "source_prior": source.tolist(),
        "prior": prior.prior.tolist(),
        "prior_std": prior.std.tolist(),
        "iterations": prior.n_iter,
        "converged": prior.converged,
        "strength": prior.strength,
        "changed": int(np.count_nonzero(adapted.argmax(1) != _winners(target))),
        "output": str(output),
        "warnings": notes + lost_ids(target, output),
        "report": None if report is None else report.to_dict(),
    }
    return summary, report, [target.class_name(j) for j in range(target.n_classes)]


def _winners(target: Predictions) -> NDArray[Any]:
    import numpy as np

    return np.concatenate([target.probabilities(rows).argmax(1) for rows in target.blocks()])


def _estimate(
    probs: NDArray[Any],
    held_out: NDArray[Any],
    y: NDArray[Any],
    source: NDArray[Any],
    given: dict[str, Any],
) -> PriorEstimate:
    from postproc.label_shift import bbse_prior, em_prior, map_prior

    if given["method"] == "em":
        return em_prior(probs, source)
    if given["method"] == "bbse":
        return bbse_prior(probs, held_out, y, soft=given["soft"], seed=given["seed"])
    return map_prior(probs, source, fit_probs=held_out)


def _apply(
    probs: NDArray[Any],
    scaling: Calibrator | None,
    fit: Predictions,
    source: NDArray[Any],
    prior: PriorEstimate,
    given: dict[str, Any],
) -> Any:
    import numpy as np

    from postproc.adaptation import joint_normalization, reweight
    from postproc.calibration import apply_map, as_logs
    from postproc.can_estimator import CAN

    if given["method"] == "sinkhorn":
        return joint_normalization(probs, prior.prior, strength=given["strength"])
    if given["method"] == "can":
        logs = as_logs(fit.scores, fit.kind)
        if scaling is not None:
            logs = apply_map(scaling.model_, fit.scores, fit.kind)
        return CAN(prior=prior.prior, kind="probs").fit(np.exp(logs)).predict_proba(probs)
    return reweight(probs, source, prior.prior)


def _print(summary: dict[str, Any], report: Any, names: list[str]) -> None:
    from cli.messages import percent, print_table

    click.echo(
        f"{summary['rows']} rows x {summary['classes']} classes, {summary['kind']}; "
        f"{summary['method']} after calibration by {summary['calibration']} on "
        f"{summary['fit_rows']} rows; {summary['changed']} changed class"
    )
    click.echo(
        f"test of unshifted class frequencies: p = {summary['p_value']:.3g}, "
        f"{summary['shift_ratio']:.2f} times the sampling noise"
    )
    pairs = list(zip(names, summary["source_prior"], summary["prior"], summary["prior_std"],
                     strict=True))  # fmt: skip
    moved = sorted(pairs, key=lambda pair: -abs(pair[2] - pair[1]))[:SHOWN]
    rows = [[n, percent(s), percent(q), percent(e)] for n, s, q, e in moved]
    title = "Classes that moved most" if len(pairs) > SHOWN else None
    columns = ["class prior, %", "source (mean prediction)", "target", "standard error"]
    print_table(columns, rows, title=title)
    if report is not None:
        click.echo(report.to_text(), nl=False)
    click.echo(f"written: {summary['output']}")
