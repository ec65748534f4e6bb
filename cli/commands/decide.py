"""`postproc decide`: labels, abstention or sets of classes from probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import options
from cli.messages import refuse
from cli.options import ENGINE, Fit, Inputs, Outputs, Prior, Running, given
from cli.parameter_types import Choice, Number

#: Options that say how to decide, of which one is given at most, and those that belong to each.
RULES = {
    "metric": (),
    "cost": (),
    "max_error": ("confidence",),
    "coverage": (),
    "sets": ("score", "per_class"),
}

#: Options whose rule is fitted.
FITTED = ("metric", "max_error", "coverage", "sets")

#: Metrics that class weights, and thresholds of labels, can be chosen for.
WEIGHTED = ("balanced_accuracy", "macro_f1", "f1", "mcc", "kappa", "quadratic_kappa", "accuracy")
LABELWISE = ("macro_f1", "micro_f1")

#: Values in (0, 1), but for the end that the library refuses.
SHARE = Number(low=0.0, high=1.0, open_low=True)


@dataclass(frozen=True)
class Decision:
    """How to decide; the likeliest class where nothing is given."""

    metric: Any = given(
        "Choose class weights, or the threshold of two classes, for this metric; they are left at "
        f"1 unless the gain on held-out rows is clear: {', '.join(WEIGHTED)}. With --multilabel a "
        "threshold for each label, for macro_f1 or micro_f1. Takes --fit.  [default: all weights "
        "1]",
        metavar="NAME",
        type=Choice([*WEIGHTED, "micro_f1"]),
    )
    cost: Path | None = given(
        "Decide at least expected cost. A table: rows true classes, columns decisions, names in "
        "the header; one more column may be `abstain`.",
        metavar="FILE",
    )
    max_error: float | None = given(
        "Abstain from the least certain rows, so that at most this share of the others is wrong. "
        "Takes --fit.  [default: every row is decided]",
        type=SHARE,
    )
    confidence: float | None = given(
        "Confidence of the bound of --max-error.  [default: 0.95]", type=SHARE
    )
    coverage: float | None = given(
        "Decide this share of the rows, the most certain ones, and abstain from the others.  "
        "[default: every row is decided]",
        type=SHARE,
    )
    sets: float | None = given(
        "Write sets of classes that hold the true one with this probability. Takes --fit.  "
        "[default: one class per row]",
        metavar="COVERAGE",
        type=SHARE,
    )
    score: Any = given(
        "Score of --sets: `lac` gives the smallest sets, `aps` larger ones for harder rows.  "
        "[default: lac]",
        type=Choice(["lac", "aps"]),
    )
    per_class: bool = given("--sets: reach the probability within every class.")

    def rule(self) -> str:
        """The option that says how to decide, or `labels`."""
        rules = [name for name in RULES if getattr(self, name, None) is not None]
        if len(rules) > 1:
            both = " and ".join(f"--{name.replace('_', '-')}" for name in rules)
            refuse(f"{both} exclude each other")
        for name, own in RULES.items():
            for each in own:
                if getattr(self, each) and name not in rules:
                    refuse(f"--{each.replace('_', '-')} requires --{name.replace('_', '-')}")
        return rules[0] if rules else "labels"


@options.command(
    epilog="""\b
Examples:
  postproc decide test.csv -o labels.csv
  postproc decide test.csv -o submission.csv \\
      --columns-as id:PassengerId,label:Survived
  postproc decide test.npy --metric macro_f1 --fit val.npy \\
      --fit-labels y.npy -o labels.csv
  postproc decide test.npy --cost costs.csv -o labels.csv
  postproc decide test.npy --max-error 0.02 --fit val.npy --fit-labels y.npy \\
      -o labels.csv
  postproc decide test.npy --sets 0.9 --fit val.npy --fit-labels y.npy \\
      -o sets.csv
  postproc decide toxic.csv --multilabel --metric macro_f1 \\
      --fit toxic_val.csv --fit-labels tags.csv -o tags_test.csv
"""
)
@options.predictions_argument
@options.group(Decision)
@options.group(
    Fit,
    fit_files={
        "multiple": False,
        "callback": lambda ctx, param, value: () if value is None else (value,),
        "help": "Predictions of the same model for labelled rows.",
    },
    fit_labels={},
)
@options.group(
    Prior,
    prior={
        "help": "--sets: class prior of PREDS, where it is not that of --fit: a file of labels, "
        "counts or probabilities; `uniform`; numbers separated by commas; or `estimate`."
    },
    prior_kind={},
)
@options.group(Inputs, "labels", *options.READING)
@options.group(
    Outputs,
    "overwrite",
    "save",
    "integers",
    "columns_as",
    "probability",
    "as_json",
    output={
        "help": "Output file; the suffix sets the format: .csv, .tsv, .jsonl and .parquet keep "
        "row ids, .txt holds one label per line, .npy integers (of sets and of labels that do not "
        "exclude each other zeros and ones).  "
        "[default: <stem>.decide.csv in the folder of PREDS]"
    },
)
@options.group(Running, *ENGINE, "seed", "quiet")
def decide_command(
    predictions: str,
    decision: Decision,
    fit: Fit,
    prior: Prior,
    inputs: Inputs,
    outputs: Outputs,
    running: Running,
) -> dict[str, Any]:
    """Turn PREDS into labels, or into sets of classes.

    By default the label of a row is its likeliest class. Rows that are abstained from are labelled
    `abstain`, or -1 among integers. The rows of --fit must be like those of PREDS and have taken
    no part in training; guarantees hold for such rows only.

    With --multilabel a row has the labels whose probability reaches their threshold, 1/2 by
    default: a list of names, or with --integers a column of zeros and ones for each label.
    """
    rule = decision.rule()
    if outputs.probability and inputs.multilabel:
        refuse("--probability is for classes that exclude each other; omit it, or --multilabel")
    _check_usage(rule, fit, prior, outputs)
    _check_task(rule, decision.metric, multilabel=inputs.multilabel)
    from cli.run.decided import decide_file
    from cli.run.outcome import deliver
    from cli.task.runner import Runner

    def make(kind: Any, target_prior: Any) -> Any:
        from postproc.decisions.abstention import SelectiveClassifier
        from postproc.decisions.label_thresholds import LabelThresholds
        from postproc.decisions.sets import ConformalSets
        from postproc.decisions.thresholds import ClassWeights

        if rule == "metric":
            choice = LabelThresholds if inputs.multilabel else ClassWeights
            return choice(metric=decision.metric, kind=kind, random_state=running.seed)
        if decision.sets is not None:
            return ConformalSets(
                coverage=decision.sets,
                score=decision.score or "lac",
                per_class=decision.per_class,
                prior=target_prior,
                kind=kind,
            )
        return SelectiveClassifier(
            max_error=decision.max_error,
            coverage=decision.coverage,
            confidence=0.95 if decision.confidence is None else decision.confidence,
            kind=kind,
        )

    runner = Runner.of(inputs, outputs, running)
    learned = make if rule in FITTED else None
    outcome = decide_file(predictions, rule, learned, fit, prior, decision.cost, runner)
    return deliver(outcome, runner)


def _check_usage(rule: str, fit: Fit, prior: Prior, outputs: Outputs) -> None:
    """Check that --fit, --prior and --save are given where they are of use."""
    option, needed = f"--{rule.replace('_', '-')}", rule in FITTED and rule != "coverage"
    if needed and not fit.fit_files:
        refuse(f"Missing option '--fit': {option} takes labelled rows.")
    elif fit.fit_labels is None and fit.fit_files and rule != "coverage":
        refuse("Missing option '--fit-labels': the labels of the rows of --fit.")
    elif fit.fit_labels is not None and not fit.fit_files:
        refuse("--fit-labels requires --fit")
    elif rule == "labels" and fit.fit_files:
        refuse("the likeliest class takes no --fit; add --metric, --max-error or --sets")
    elif prior.prior is not None and rule != "sets":
        refuse("--prior requires --sets")
    elif outputs.probability and rule == "sets":
        refuse("--probability is for labels, not for --sets")
    elif outputs.save is not None and rule not in FITTED:
        refuse("--save keeps what is fitted: it requires --metric, --max-error or --sets")


def _check_task(rule: str, metric: str | None, *, multilabel: bool) -> None:
    """Refuse rules and metrics that do not exist for labels, or for classes."""
    if multilabel and rule not in ("labels", "metric"):
        option = f"--{rule.replace('_', '-')}"
        refuse(f"{option} is for classes that exclude each other; omit it, or --multilabel")
    able = LABELWISE if multilabel else WEIGHTED
    if metric is not None and metric not in able:
        task = "with" if multilabel else "without"
        refuse(f"must be one of {', '.join(able)} {task} --multilabel, got {metric}", "--metric")
