"""`postproc adapt`: probabilities under the class frequencies of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.commands.calibrate import METHODS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cli.engines import Runner
    from postproc.adapt_stream import AdaptedRows, CalibratedRows, OverBlocks, ReadRows
    from postproc.calibration import Calibrator
    from postproc.label_shift import PriorEstimate
    from postproc.predictions import Predictions
    from postproc.shift_test import PredictionMoments

#: Classes that the table of the prior shows.
SHOWN = 10

#: Rows a class below which maximum likelihood is a gamble.
FEW_ROWS = 10

#: Names a pass over the target and gives what runs parts in it.
Passes = Callable[[str], "OverBlocks"]


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
@options.device_options
@options.seed_option
@options.engine_options
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
    )
    from cli.engines import make_runner
    from cli.inputs import lost_ids, make_output, output_path
    from postproc.adapt_stream import CalibratedRows, target_moments
    from postproc.score_maps import as_logs
    from postproc.shift_test import PredictionMoments, compare_moments

    runner = make_runner(given, "adapt")
    target, fit, y = load_fit_and_target(path, given, runner)
    output = output_path(target.name, given, "adapt")
    labels = load_target_labels(target, given)
    scaling: Calibrator | None = None
    notes: list[str] = []
    held_out = np.exp(as_logs(fit.scores, fit.kind))
    if given["calibration"] != "none":
        scaling, notes = fit_calibrator(given["calibration"], fit, y, given["seed"])
        held_out = np.exp(scaling.out_of_fold_)
    source = held_out.mean(axis=0)
    rows = CalibratedRows(target, None if scaling is None else scaling.model_, given["device"])
    with (
        warnings.catch_warnings(record=True) as caught,
        _readable(rows, output, runner, fit) as read,
    ):
        warnings.simplefilter("always")
        passes = _passes(runner, target)
        moments = target_moments(read, passes("looking for a shift"))
        test = compare_moments(moments, PredictionMoments.of(held_out))
        prior = _estimate(read, moments, held_out, y, source, passes, given)
        part = _adapted_rows(rows, read, moments, fit, source, prior, passes, given)
    notes += [str(warning.message) for warning in caught]
    notes += _doubts(test.p_value, prior, target, fit, y, given)
    whole = make_output(
        output,
        (target.n_rows, target.n_classes),
        target.output_dtype,
        classes=target.classes,
        ids=target.ids,
        like=target.scores,
    )
    counts = list(runner.write(part, target.cuts(), whole, inputs=[target, fit]))
    report = before_and_after("adapted", target, output, labels, runner)
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
        "changed": sum(count["changed"] for count in counts),
        "output": str(output),
        "warnings": notes + lost_ids(target.ids, output),
        "report": None if report is None else report.to_dict(),
    }
    return summary, report, [target.class_name(j) for j in range(target.n_classes)]


@contextmanager
def _readable(
    rows: CalibratedRows, output: Path, runner: Runner, fit: Predictions
) -> Iterator[ReadRows]:
    """Calibrated rows for any number of passes: in memory, or in a file beside the output."""
    from dataclasses import replace

    from cli.inputs import make_output
    from postproc.adapt_stream import ReadRows
    from postproc.files.locks import locked
    from postproc.files.sources import NpySource
    from postproc.predictions import Predictions

    target, cuts = rows.target, rows.target.cuts()
    if len(cuts) == 1:
        yield ReadRows(Predictions(rows(cuts[0])[0], "probs", name=target.name), rows.device)
        return
    aside = output.with_name(f".{output.name}.calibrated.npy")
    shape = (target.n_rows, target.n_classes)
    whole = make_output(aside, shape, target.output_dtype, classes=None, ids=None, like=None)
    writer = replace(runner, given={**runner.given, "overwrite": True})
    with locked(output, ".adapt"):  # the file aside belongs to this job until all passes are done
        try:
            for _ in writer.write(rows, cuts, whole, inputs=[target, fit]):
                pass
            calibrated = NpySource.open(aside)  # no map: it could not be removed on Windows
            yield ReadRows(Predictions(calibrated, "probs", name=target.name), rows.device)
        finally:
            aside.unlink(missing_ok=True)


def _passes(runner: Runner, target: Predictions) -> Passes:
    """Passes over the target, each under a name of its own."""
    cuts = target.cuts()
    return lambda what: lambda part: runner.reduce(part, cuts, what)


def _estimate(
    read: ReadRows,
    moments: PredictionMoments,
    held_out: NDArray[Any],
    y: NDArray[Any],
    source: NDArray[Any],
    passes: Passes,
    given: dict[str, Any],
) -> PriorEstimate:
    import numpy as np

    from postproc.adapt_stream import target_likelihood, target_moments
    from postproc.adaptation import prior_factors
    from postproc.bbse import N_BOOTSTRAP, one_hot_winners, solve_confusion
    from postproc.label_shift import MAX_ITER, TOLERANCE, estimate_prior, evidence_counts

    if given["method"] == "bbse":
        fit = held_out
        if not given["soft"]:
            moments = target_moments(read, passes("counting classes"), winners=True)
            fit = one_hot_winners(held_out)
        return solve_confusion(moments, fit, y, n_bootstrap=N_BOOTSTRAP, seed=given["seed"])
    ratios = prior_factors(source, np.ones_like(source))
    likelihood = target_likelihood(read, ratios, passes("estimating the prior"))
    pseudo = np.zeros_like(source)
    if given["method"] != "em":
        pseudo = evidence_counts(moments, held_out, source)
    return estimate_prior(likelihood, source, pseudo, max_iter=MAX_ITER, tol=TOLERANCE)


def _adapted_rows(
    rows: CalibratedRows,
    read: ReadRows,
    moments: PredictionMoments,
    fit: Predictions,
    source: NDArray[Any],
    prior: PriorEstimate,
    passes: Passes,
    given: dict[str, Any],
) -> AdaptedRows:
    """What is written: rows scaled in their columns, or adjusted by CAN."""
    import warnings
    from dataclasses import replace

    import numpy as np

    from postproc.adapt_stream import AdaptedRows, target_likelihood
    from postproc.adaptation import match_columns, prior_factors
    from postproc.can_model import CANModel, CANOptions

    if given["method"] == "can":
        reference = replace(rows, target=fit).probabilities(slice(0, fit.n_rows))
        can = CANModel.fit([reference], prior.prior, CANOptions())
        for risk in filter(None, (*can.risks(), can.mismatch(moments))):
            warnings.warn(risk, UserWarning, stacklevel=2)
        return AdaptedRows(rows, np.ones_like(source), can)
    if given["method"] == "sinkhorn":
        sums = target_likelihood(read, np.ones_like(source), passes("matching columns"))
        return AdaptedRows(rows, match_columns(sums, prior.prior, given["strength"]))
    return AdaptedRows(rows, prior_factors(source, prior.prior))


def _doubts(
    p_value: float,
    prior: PriorEstimate,
    target: Predictions,
    fit: Predictions,
    y: NDArray[Any],
    given: dict[str, Any],
) -> list[str]:
    """What speaks against trusting the result."""
    import numpy as np

    doubts = []
    if p_value >= 0.05:
        doubts.append(
            f"the target shows no shift of class frequencies (p = {p_value:.2g}): adapting may do "
            "harm"
        )
    if given["method"] == "em" and target.n_rows < FEW_ROWS * target.n_classes:
        doubts.append(
            f"em estimates {target.n_classes} shares from {target.n_rows} rows and nothing holds "
            "it back; use map"
        )
    if prior.strength > target.n_rows:
        doubts.append(
            f"the prior was held at that of the source by {prior.strength:.3g} pseudo-rows against "
            f"{target.n_rows} rows: standard errors say how far rows could move it, not how far it "
            "may lie from the truth"
        )
    unseen = np.setdiff1d(np.arange(fit.n_classes), y)
    if len(unseen):
        shown = ", ".join(target.class_name(j) for j in unseen[:3])
        more = ", ..." if len(unseen) > 3 else ""
        doubts.append(
            f"no row of the fit split has the label {shown}{more}: the target's share of "
            f"{'it' if len(unseen) == 1 else 'these'} is guesswork"
        )
    return doubts


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
