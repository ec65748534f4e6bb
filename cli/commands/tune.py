"""`postproc tune`: choose the hyperparameters of a method by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options

if TYPE_CHECKING:
    from postproc.evaluation.choice import TuningResult


class Values(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Numbers or words with commas between them; each is parsed by another type."""

    name = "list"

    def __init__(self, item: click.ParamType[Any]) -> None:
        self.item = item

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        """Parse and check each."""
        parts = [part.strip() for part in str(value).split(",")]
        return [self.item.convert(part, param, ctx) for part in parts]


def _values(
    name: str, parameter: str, item: click.ParamType[Any], what: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, parameter, type=Values(item), metavar="V,V,...", help=what)


@click.command(
    short_help="Choose hyperparameters by cross-validation.",
    epilog="""\b
Examples:
  postproc tune can val.npy --labels val_labels.npy -o can.json
  postproc can test.npy --prior val_labels.npy --reference val.npy --config can.json
  postproc tune can val.npy --labels val_labels.npy --prior uniform --alpha 0.5,1,2 --repeats 3
  postproc tune greedy a.val.npy b.val.npy c.val.npy --labels val_labels.npy -o greedy.json
  postproc apply greedy.json a.test.npy b.test.npy c.test.npy
""",
)
@click.argument("method", type=click.Choice(["can", "greedy"]))
@click.argument("predictions", metavar="VAL...", nargs=-1, required=True)
@click.option("--labels", metavar="FILE", required=True, help="True labels of the rows of VAL.")
@click.option(
    "--prior",
    metavar="SRC",
    help="can: class prior, as for postproc can.  [default: the labels' distribution in the "
    "training part of each fold]",
)
@click.option(
    "--prior-kind",
    type=click.Choice(["labels", "counts", "vector"]),
    help="can: what the file of the prior holds.  [default: seen from its length and values]",
)
@click.option(
    "--grid",
    type=click.Choice(["default", "paper-code"]),
    default="default",
    show_default=True,
    help="can: values to try; paper-code has the size of the authors' search, 18 α × 3 "
    "thresholds × 5 depths.",
)
@_values(
    "--alpha",
    "alpha",
    options.Number(low=0.0, high=1000.0, open_low=True),
    "can: exponents to try.",
)
@_values("--iterations", "iterations", options.Count(1), "can: numbers of iterations to try.")
@_values("--top-k", "top_k", options.Count(2, words=("max",)), "can: values of k to try, or max.")
@_values("--threshold", "threshold", options.Number(low=0.0, high=1.0), "can: thresholds to try.")
@_values("--smoothing", "smoothing", options.Number(low=0.0), "can: pseudo-rows a class to try.")
@_values(
    "--reference-sample",
    "reference_sample",
    click.Choice(["all", "stratified"]),
    "can: references to try, all confident rows or a stratified sample.",
)
@_values(
    "--metric",
    "metric",
    click.Choice(["accuracy", "log_loss", "macro_f1"]),
    "greedy: metrics to improve.",
)
@_values("--bags", "n_bags", options.Count(1), "greedy: numbers of runs to try.")
@click.option(
    "--folds",
    "n_folds",
    type=click.IntRange(min=3),
    default=5,
    show_default=True,
    help="Number of folds, outer and inner ones.",
)
@click.option(
    "--repeats",
    "n_repeats",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="How often the rows are dealt anew into folds.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Configuration to write.  [default: <stem>.<method>.json in the folder of the first VAL]",
)
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@options.input_options
@options.json_option
@options.seed_option
@options.quiet_option
def tune(method: str, predictions: tuple[str, ...], **given: Any) -> None:
    """Choose the hyperparameters of METHOD on labelled predictions VAL, or nothing at all.

    can (one VAL) writes a configuration for postproc can --config. Where no setting clearly
    helps, the configuration says so, and postproc can leaves every row as it is by it.

    greedy (one VAL a member) writes the fitted ensemble for postproc apply. Where no setting is
    clearly better than soft voting, that is what is written.

    Each setting is scored on held-out rows. The simplest one within one standard error of the best
    is chosen if the gain, measured on outer folds whose labels chose nothing, has a 95 % interval
    above zero. The other methods choose their hyperparameters themselves when they are fitted
    (calibrate, adapt, auto, and the ensembles weights, blend, calibrated, stack, bagging) or have
    none; there is nothing to tune.
    """
    from cli.messages import print_json, warn

    summary, result = _run(method, predictions, given)
    warn(summary["warnings"], quiet=given["quiet"])
    if given["as_json"]:
        print_json(summary)
    elif not given["quiet"]:
        _print(summary, result)


#: Steps of the progress from nothing to all.
STEPS = 1000

#: Parameters of the grid that a method knows.
GRID_OPTIONS = {
    "can": (
        "alpha",
        "iterations",
        "top_k",
        "threshold",
        "smoothing",
        "reference_sample",
    ),
    "greedy": ("metric", "n_bags"),
}


def _run(
    method: str, paths: tuple[str, ...], given: dict[str, Any]
) -> tuple[dict[str, Any], TuningResult]:
    import warnings

    from cli.messages import note_written
    from postproc.files import check_output
    from postproc.files.paths import resolve_path

    _check_usage(method, paths, given)
    source = resolve_path(paths[0]).resolve()
    target = given["output"] or source.with_name(f"{source.stem}.{method}.json")
    output = check_output(target, overwrite=given["overwrite"], suffixes=(".json",))
    shows = not given["quiet"] and not given["as_json"]
    with warnings.catch_warnings(record=True) as caught, _bar(shows=shows) as progress:
        warnings.simplefilter("always")
        if method == "can":
            result, kind = _tune_can(paths, given, output, progress)
        else:
            result, kind = _tune_greedy(paths, given, output, progress)
    note_written(output)
    summary = {
        **result.to_dict(),
        "kind": kind,
        "output": str(output),
        "warnings": [str(warning.message) for warning in caught],
    }
    return summary, result


def _check_usage(method: str, paths: tuple[str, ...], given: dict[str, Any]) -> None:
    if method == "can" and len(paths) > 1:
        message = f"must be one file for can, got {len(paths)}"
        raise click.BadParameter(message, param_hint="VAL")
    foreign = [name for other in GRID_OPTIONS for name in GRID_OPTIONS[other] if other != method]
    if method != "can":
        foreign += ["prior", "prior_kind"]
    context = click.get_current_context()
    flags = {p.name: p.opts[0] for p in context.command.params}
    used = [flags[name] for name in foreign if given[name] is not None]
    if used:
        message = f"{used[0]} is no option of {method}"
        raise click.UsageError(message)


def _tune_can(
    paths: Sequence[str], given: dict[str, Any], output: Path, progress: Callable[[float], None]
) -> tuple[TuningResult, str]:
    from cli.task.load import load
    from postproc.can.options import save_can_options
    from postproc.can.tuning import GRIDS, tune_can
    from postproc.files import load_labels, load_prior

    fit = load(paths[0], given)
    labels = load_labels(
        given["labels"],
        n_classes=fit.n_classes,
        n_rows=fit.n_rows,
        classes=fit.classes,
        ids=fit.ids,
    )
    prior = None
    if given["prior"] is not None:
        prior = load_prior(
            given["prior"], n_classes=fit.n_classes, classes=fit.classes, kind=given["prior_kind"]
        )
    result = tune_can(
        fit.scores,
        labels,
        grid={**GRIDS[given["grid"]], **_grid("can", given)},
        prior=prior,
        n_folds=given["n_folds"],
        n_repeats=given["n_repeats"],
        seed=given["seed"],
        kind=fit.kind,
        progress=progress,
    )
    evidence = {key: value for key, value in result.to_dict().items() if key != "settings"}
    save_can_options(output, result.options, overwrite=given["overwrite"], evidence=evidence)
    return result, fit.kind


def _tune_greedy(
    paths: Sequence[str], given: dict[str, Any], output: Path, progress: Callable[[float], None]
) -> tuple[TuningResult, str]:
    from cli.task.members import load_member_labels, load_members, member_names
    from ensemble import GreedySelection, Voting, align_members, save_model
    from ensemble.learned.greedy_tuning import tune_greedy

    fit = load_members(paths, member_names(paths), given)
    labels = load_member_labels(given["labels"], fit)
    members = align_members(fit)
    result = tune_greedy(
        members,
        labels,
        grid=_grid("greedy", given),
        n_folds=given["n_folds"],
        n_repeats=given["n_repeats"],
        seed=given["seed"],
        progress=progress,
    )
    if result.options is None:
        model = Voting("soft").fit(members, labels)
    else:
        model = GreedySelection(**result.options, seed=given["seed"]).fit(members, labels)
    save_model(model, output, overwrite=given["overwrite"])
    return result, ", ".join(dict.fromkeys(members.kinds))


def _grid(method: str, given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in GRID_OPTIONS[method] if given[name] is not None}


@contextmanager
def _bar(*, shows: bool) -> Iterator[Callable[[float], None]]:
    """Progress that takes the share of the work that is done; or silence."""
    from cli.progress import watching

    done = 0
    with watching("tuning", STEPS, unit="", quiet=not shows) as advance:

        def report(share: float) -> None:
            nonlocal done
            advance(round(share * STEPS) - done)
            done = round(share * STEPS)

        yield report


def _print(summary: dict[str, Any], result: TuningResult) -> None:
    from cli.messages import percent, points, print_table

    nothing = "leave alone" if result.method == "can" else "soft voting"
    click.echo(
        f"{result.rows} rows x {result.classes} classes, {summary['kind']}: "
        f"{len(result.settings)} settings, {result.n_folds} folds, "
        f"{result.n_repeats} repeat{'s' if result.n_repeats > 1 else ''}; "
        f"{nothing}: {percent(result.accuracy)} % right"
    )
    best = max(range(len(result.settings)), key=lambda s: result.settings[s].gain)
    shown = dict.fromkeys(s for s in (best, result.candidate) if s is not None)
    rows = [
        [
            f"{'best' if s == best else 'simplest within 1 SE of it'}: "
            + _words(summary["settings"][s]["options"]),
            points(result.settings[s].gain),
            f"{100 * result.settings[s].standard_error:.2f}",
        ]
        for s in shown
    ]
    print_table(["setting", "gain, points", "SE"], rows)
    low, high = result.nested_gain_ci
    click.echo(
        f"on outer folds: {result.nested.fixed} rows fixed, {result.nested.broken} broken; gain "
        f"{points(result.nested_gain)} points, 95 % interval {points(low)} to {points(high)}"
    )
    chosen = nothing if result.options is None else _words(summary["options"])
    click.echo(f"chosen: {chosen}; {result.reason}")
    click.echo(f"written: {summary['output']}")


def _words(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())
