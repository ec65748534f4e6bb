"""Hyperparameters chosen by cross-validation: of CAN on a file, of greedy selection on members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.messages import echo, print_table
from cli.options import Prior
from cli.progress import watching
from cli.task.load import load, load_ordered_labels
from cli.task.runner import Runner
from postproc.can.options import save_can_options
from postproc.can.tuning import GRIDS, tune_can
from postproc.evaluation.choice import TuningResult
from postproc.evaluation.registry import find_metric
from postproc.reports.tables import percent

#: Steps of the progress bar.
STEPS = 1000


def tune_can_file(
    path: str,
    output: Path,
    runner: Runner,
    *,
    prior: Prior,
    base: str,
    grid: dict[str, Any],
    **search: Any,
) -> tuple[TuningResult, str]:
    """Tune CAN and write its configuration; return the result and the kind of the scores."""
    fit = load(path, runner, mapped=True)
    labels = load_ordered_labels(str(runner.inputs.labels), fit, fit.classes, runner)
    vector = prior.load(fit)
    grid = {**GRIDS[base], **grid}
    result = tune_can(
        fit.scores,
        labels,
        grid=grid,
        prior=vector,
        kind=fit.kind,
        multilabel=fit.multilabel,
        **search,
    )
    evidence = {key: value for key, value in result.to_dict().items() if key != "settings"}
    overwrite = runner.outputs.overwrite
    save_can_options(output, result.options, overwrite=overwrite, evidence=evidence)
    return result, fit.kind


def tune_greedy_files(
    paths: Sequence[str], output: Path, runner: Runner, **search: Any
) -> tuple[TuningResult, str]:
    """Tune greedy selection and save it, fitted; return the result and the kinds of the members."""
    from cli.task.members import load_member_labels, load_members, member_names
    from ensemble import GreedySelection, Voting, align_members, save_model
    from ensemble.learned.greedy_tuning import tune_greedy

    fit = load_members(paths, member_names(paths), runner, mapped=True)
    labels = load_member_labels(str(runner.inputs.labels), fit, runner)
    members = align_members(fit)
    result = tune_greedy(members, labels, **search)
    if result.options is None:
        model = Voting("soft").fit(members, labels)
    else:
        model = GreedySelection(**result.options, seed=search["seed"]).fit(members, labels)
    save_model(model, output, overwrite=runner.outputs.overwrite)
    return result, ", ".join(dict.fromkeys(members.kinds))


@contextmanager
def watching_tuning(*, shows: bool) -> Iterator[Callable[[float], None]]:
    """Progress that takes the share of the work that is done; or silence."""
    done = 0
    with watching("tuning", STEPS, unit="", quiet=not shows) as advance:

        def report(share: float) -> None:
            nonlocal done
            advance(round(share * STEPS) - done)
            done = round(share * STEPS)

        yield report


def show_tuned(result: TuningResult, summary: dict[str, Any]) -> None:
    """Print the best settings, the gain on outer folds and what was chosen."""
    nothing = "unchanged predictions" if result.method == "can" else "soft voting"
    columns, right = ("labels", "exact match") if result.multilabel else ("classes", "accuracy")
    echo(
        f"{result.rows} rows x {result.classes} {columns}, {summary['kind']}: "
        f"{len(result.settings)} settings, {result.n_folds} folds, "
        f"{result.n_repeats} repeat{'s' if result.n_repeats > 1 else ''}; "
        f"{right} of {nothing}: {percent(result.accuracy)} %"
    )
    best = max(range(len(result.settings)), key=lambda s: result.settings[s].gain)
    shown = dict.fromkeys(s for s in (best, result.candidate) if s is not None)
    rows = [
        [
            f"{'best' if s == best else 'simplest within 1 SE of it'}: "
            + _words(summary["settings"][s]["options"]),
            result.gain_text(result.settings[s].gain),
            result.gain_text(result.settings[s].standard_error).lstrip("+"),
        ]
        for s in shown
    ]
    is_share = find_metric(result.metric).is_share
    print_table(["setting", "gain, points" if is_share else "gain", "SE"], rows)
    low, high = map(result.gain_text, result.nested_gain_ci)
    judged = "" if result.metric == "accuracy" else f" in {result.metric}"
    echo(
        f"on outer folds: {result.nested.fixed} rows fixed, {result.nested.broken} broken; "
        f"gain{judged} {result.gain_text(result.nested_gain)}{' points' if is_share else ''}, "
        f"95 % interval {low} to {high}"
    )
    chosen = nothing if result.options is None else _words(summary["options"])
    echo(f"chosen: {chosen}; {result.reason}")


def _words(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())
