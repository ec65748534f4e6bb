"""`postproc tune`: choose the hyperparameters of a method by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from cli import options
from cli.messages import refuse
from cli.options import Inputs, Outputs, Prior, Running, given
from cli.parameter_types import FILE, METRIC_NAMES, PATH, Choice, Count, MetricName, Number, Values


def _values(text: str, item: click.ParamType[Any], *names: str) -> Any:
    return given(text, *names, type=Values(item), metavar="V,V,...")


@dataclass(frozen=True)
class Search:
    """The values to try, None for those of the default grid, and the cross-validation."""

    grid: str = given(
        "can: values to try; paper-code has the size of the authors' search: 18 α × 3 "
        "thresholds × 5 depths.",
        type=Choice(["default", "paper-code"]),
        default="default",
    )
    alpha: Any = _values("can: exponents to try.", Number(low=0.0, high=1000.0, open_low=True))
    iterations: Any = _values("can: numbers of iterations to try.", Count(1))
    top_k: Any = _values("can: values of k to try, or max.", Count(2, words=("max",)))
    threshold: Any = _values("can: thresholds to try.", Number(low=0.0, high=1.0))
    smoothing: Any = _values("can: numbers of pseudo-rows per class to try.", Number(low=0.0))
    reference_sample: Any = _values(
        "can: references to try: all confident rows, or a stratified sample of them.",
        Choice(["all", "stratified"]),
    )
    metric: Any = _values(
        "The metric by which settings are chosen; can: one of predicted classes. greedy: with "
        f"several, members are selected by each, and the first one chooses. Of {METRIC_NAMES}; "
        "with --multilabel also hamming_loss.  [default: accuracy; with --multilabel: micro_f1]",
        MetricName(),
    )
    n_bags: Any = _values("greedy: numbers of bags to try.", Count(1), "--bags")
    n_folds: int = given(
        "Number of outer folds, and of inner folds.",
        "--folds",
        type=click.IntRange(min=3),
        default=5,
    )
    n_repeats: int = given(
        "Number of times that rows are split into folds.",
        "--repeats",
        type=click.IntRange(1, 100),
        default=1,
    )


#: Parameters that can be tuned.
PARAMETERS = {
    "can": ("alpha", "iterations", "top_k", "threshold", "smoothing", "reference_sample"),
    "greedy": ("metric", "n_bags"),
}


@options.command(
    epilog="""\b
Examples:
  postproc tune can val.npy --labels val_labels.npy -o can.json
  postproc can test.npy --prior val_labels.npy --reference val.npy \\
      --config can.json
  postproc tune can val.npy --labels val_labels.npy --prior uniform \\
      --alpha 0.5,1,2 --repeats 3
  postproc tune can val.npy --labels val_labels.npy --metric macro_f1
  postproc tune greedy a.val.npy b.val.npy c.val.npy --labels val_labels.npy \\
      -o greedy.json
  postproc apply greedy.json a.test.npy b.test.npy c.test.npy
  postproc tune can toxic_val.csv --multilabel --labels tags.csv -o can.json
"""
)
@click.argument("method", metavar="METHOD", type=Choice(list(PARAMETERS)))
@click.argument("predictions", metavar="VAL...", nargs=-1, required=True, type=FILE)
@options.group(
    Prior,
    prior={
        "help": "can: class prior, as for postproc can.  [default: the class frequencies of the "
        "training part of each fold]"
    },
    prior_kind={},
)
@options.group(
    Inputs,
    *options.READING,
    common_rows={"help": "greedy: keep only the rows that all files have, matched by id."},
    labels={"required": True, "help": "True labels of the rows of VAL."},
)
@options.group(Search)
@options.group(
    Outputs,
    "overwrite",
    "as_json",
    output={
        "type": PATH,
        "help": "Configuration to write.  [default: <stem>.<method>.json in the folder of the "
        "first VAL]",
    },
)
@options.group(Running, "seed", "quiet")
def tune_command(
    method: str,
    predictions: tuple[str, ...],
    prior: Prior,
    inputs: Inputs,
    search: Search,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Choose the hyperparameters of METHOD, can or greedy, on labelled predictions VAL.

    can takes one VAL and writes a configuration for postproc can --config. If no setting clearly
    helps, that configuration leaves all rows unchanged.

    greedy takes one VAL per member and writes the fitted ensemble for postproc apply. If no setting
    is clearly better than soft voting, that is what it writes.

    With --multilabel CAN adjusts every label of every row as a row of two classes, and greedy has
    weights that all labels share.

    Every setting is scored on held-out rows. The simplest one within one standard error of the best
    is chosen if the gain, measured on outer folds that took no part in the choice, has a 95 %
    interval above zero. The other methods need no tuning: they choose their
    hyperparameters when they are fitted, or have none.
    """
    from cli.messages import note_written, noting
    from cli.run.outcome import Outcome, deliver
    from cli.run.tuned import show_tuned, tune_can_file, tune_greedy_files, watching_tuning
    from cli.task.runner import Runner
    from postproc.files import check_output
    from postproc.files.paths import file_and_column, resolve_path

    _check_usage(method, predictions, search)
    source = resolve_path(file_and_column(predictions[0])[0]).resolve()
    target = outputs.output or source.with_name(f"{source.stem}.{method}.json")
    output = check_output(target, overwrite=outputs.overwrite, suffixes=(".json",))
    runner = Runner.of(inputs, outputs, running)
    values = {name: getattr(search, name) for name in PARAMETERS[method]}
    how: dict[str, Any] = {
        "grid": {name: value for name, value in values.items() if value is not None},
        "n_folds": search.n_folds,
        "n_repeats": search.n_repeats,
        "seed": running.seed,
    }
    shows = not running.quiet and not outputs.as_json
    notes: list[str] = []
    with noting(notes), watching_tuning(shows=shows) as progress:
        how["metric"] = search.metric[0] if search.metric else None
        if method == "can":
            tune = partial(tune_can_file, predictions[0], prior=prior, base=search.grid)
        else:
            if len(search.metric or ()) == 1:  # it joins those that are tried
                del how["grid"]["metric"]
            tune = partial(tune_greedy_files, predictions)
        result, kind = tune(output, runner, **how, progress=progress)
    note_written(output)
    summary = {**result.to_dict(), "kind": kind, "output": str(output), "warnings": notes}
    return deliver(Outcome(summary, partial(show_tuned, result)), runner)


def _check_usage(method: str, paths: tuple[str, ...], search: Search) -> None:
    """Refuse options of the other method, and several files or metrics for CAN."""
    if method == "can" and len(paths) > 1:
        refuse(f"must be one file for can, got {len(paths)}", "VAL")
    if method == "can" and len(search.metric or ()) > 1:
        refuse(f"must be one metric for can, got {', '.join(search.metric)}", "--metric")
    if method == "can" and options.flags_given("common_rows"):
        refuse("--common-rows is for greedy, which takes several files")
    foreign = [name for other in PARAMETERS for name in PARAMETERS[other] if other != method]
    foreign = [name for name in foreign if name != "metric"]
    if method != "can":
        foreign += ["prior", "prior_kind"]
    for flag in options.flags_given(*foreign):
        refuse(f"{flag} is not an option of {method}")
