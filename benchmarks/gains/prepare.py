"""Make a run directory from public data: python -m benchmarks.gains.prepare DATASET -o FOLDER."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gains.catalogue import FETCHED, HUGGING_FACE, PATTERNS, find
from benchmarks.gains.classifiers import TABLE_MODELS, Model
from benchmarks.gains.datasets import OFFLINE, Where
from benchmarks.gains.folder import check_folder, write_task
from benchmarks.gains.splits import SPLITS, SplitPlan
from benchmarks.gains.task import Options, choose_models, make_task
from benchmarks.gains.text_classifiers import DEFAULT_EMBEDDING, TEXT_MODELS
from cli.messages import print_table
from postproc.reports.tables import percent
from postproc.scores.checks import check_choice, fail, one_line

PROGRAM = "python -m benchmarks.gains.prepare"
EPILOG = """\
examples:
  python -m benchmarks.gains.prepare digits -o runs/digits
  python -m benchmarks.gains.prepare digits -o runs/digits_5shot --shots 5
  python -m benchmarks.gains.prepare digits -o runs/noisy --label-noise 0.2 --out-of-fold
  python -m benchmarks.gains.prepare csv:reviews.csv -o runs/reviews --text-column body
  python -m benchmarks.gains.prepare csv:reviews.csv -o runs/small --members torch --training fgm
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; faults of the data exit with 1, of the command line with 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    given = parser.parse_args(words)
    if given.list:
        _print_list()
        return
    if given.dataset is None or given.output is None:
        parser.error("a data set and -o FOLDER are needed; --list shows the data sets")
    if given.val + given.test >= 1:
        parser.error(f"--val and --test must leave rows to train on, got {given.val + given.test}")
    asked = given.models.split(",") if given.models is not None else None
    try:
        source = find(given.dataset)
        models = choose_models(source.kind, asked, _torch_models(given, source.kind))
    except ValueError as error:
        parser.error(str(error))
    options = Options(
        plan=SplitPlan(
            val=given.val,
            test=given.test,
            shots=given.shots,
            val_shots=given.val_shots,
            drop_rare=given.drop_rare,
            seed=given.seed,
        ),
        rows=given.rows if given.rows is not None else source.most_rows,
        label_noise=given.label_noise,
        noisy_splits=tuple(given.noise_in),
        folds=given.folds if given.out_of_fold else None,
        embedding=given.embedding_model,
    )
    try:
        check_folder(given.output, overwrite=given.overwrite)
        _say(f"{given.dataset}: loading")
        dataset = source.load(
            Where(
                given.data_home,
                given.config,
                given.text_column,
                given.label_column,
                given.split_column,
            )
        )
        task = make_task(dataset, models, options, asked=asked is not None, say=_say)
        task.meta["command"] = shlex.join([*PROGRAM.split(), *words])
        write_task(task, given.output, overwrite=given.overwrite)
    except (OSError, ValueError, TypeError, ImportError) as error:
        print(f"Error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    _print_summary(task.meta["models"], dict(task.meta["sizes"]), given.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train classifiers on a data set and save what they predict, as a run "
        "directory: <model>.<split>.npy, labels.<split>.npy, classes.txt, meta.json.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    share, some = _number(float, 0, 1), _number(int, 1)
    inner = _number(float, 0, 1, inner=True)
    add = parser.add_argument
    add("dataset", metavar="DATASET", nargs="?", help="a name of --list")
    add("-o", "--output", metavar="FOLDER", type=Path, help="the folder to make")
    add("--list", action="store_true", help="show data sets and models, and stop")
    add("--models", metavar="A,B", help="some of the models [all]")
    add(
        "--members",
        choices=["classical", "torch"],
        default="classical",
        help="torch: small text encoders, a CNN, a GRU and a transformer [classical]",
    )
    add(
        "--training",
        metavar="A,B=NUMBER",
        help="how these are trained: fgm, flooding=0.1 and others of benchmarks/training",
    )
    add("--pretraining", metavar="TASK", help="what they learn first: shuffle, token-type, ...")
    add("--snapshots", action="store_true", help="also scores of every epoch's end, of these")
    add("--seed", type=_number(int, 0), default=0, help="of splits, noise and models [0]")
    add("--rows", type=some, metavar="N", help="at most N rows of each official split, or of all")
    add("--val", type=inner, default=0.2, help="share for validation, if not official [0.2]")
    add("--test", type=inner, default=0.2, help="share for the test, if not official [0.2]")
    add("--shots", type=some, metavar="K", help="K training rows a class [all]")
    add("--val-shots", type=some, metavar="K", help="K validation rows a class")
    add("--label-noise", type=share, default=0.0, metavar="P", help="share of wrong labels [0]")
    add("--noise-in", nargs="+", choices=SPLITS, default=["train"], help="where [train]")
    add("--out-of-fold", action="store_true", help="also <model>.train.npy")
    add("--folds", type=_number(int, 2), default=5, metavar="N", help="for --out-of-fold [5]")
    add("--drop-rare", action="store_true", help="leave out classes with too few rows")
    add("--overwrite", action="store_true", help="replace a run directory, all of it")
    add("--text-column", default="text", metavar="NAME", help="of csv:FILE [text]")
    add("--label-column", default="label", metavar="NAME", help="of csv:FILE [label]")
    add("--split-column", metavar="NAME", help="of csv:FILE [split, if there is one]")
    add("--config", metavar="NAME", help="of hf:NAME")
    add("--data-home", metavar="FOLDER", help="keeps what was fetched [that of the package]")
    add(
        "--embedding-model",
        default=DEFAULT_EMBEDDING,
        metavar="NAME",
        help=f"[{DEFAULT_EMBEDDING}]",
    )
    return parser


def _torch_models(given: argparse.Namespace, kind: str) -> dict[str, Model] | None:
    """Small text encoders as the words say; None where they ask for other members."""
    if given.members != "torch":
        if given.training or given.pretraining or given.snapshots:
            got = f"--members {given.members}"
            fail("--training, --pretraining and --snapshots", "used with --members torch", got)
        return None
    if kind != "text":
        fail("--members torch", "used with texts", "a data set of tables")
    if given.snapshots and given.out_of_fold:
        fail("--snapshots", "used without --out-of-fold", "both", "they stop at other epochs")
    from benchmarks.gains.torch_members import torch_models
    from benchmarks.training.methods import classifier_settings
    from ensemble.training.text.tasks import TASKS

    words = [] if given.training is None else given.training.split(",")
    if given.pretraining is not None:
        check_choice(given.pretraining, "--pretraining", TASKS)
    parts = [f", {given.training}"] if words else []
    parts += [f", after the task {given.pretraining}"] if given.pretraining else []
    settings = classifier_settings(words, given.pretraining)
    return torch_models({**settings, "snapshots": given.snapshots}, "".join(parts))


def _number(
    kind: Callable[[str], float], low: float, high: float | None = None, *, inner: bool = False
) -> Callable[[str], float]:
    """A reader of numbers of [low, high], or of (low, high)."""
    brackets = "()" if inner else "[]"
    rule = f"of {low} or more" if high is None else f"in {brackets[0]}{low}, {high}{brackets[1]}"

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if (
            value is None
            or not low <= value <= (value if high is None else high)
            or (inner and value in (low, high))
        ):
            noun = "an integer" if kind is int else "a number"
            msg = f"must be {noun} {rule}, got {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return read


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_list() -> None:
    groups = (
        ("Data sets that scikit-learn ships or makes", OFFLINE),
        ("Data sets that scikit-learn fetches", FETCHED),
        ("Data sets that the package datasets fetches (pip install datasets)", HUGGING_FACE),
    )
    for title, sources in groups:
        print(f"{title}:")
        for name, source in sources.items():
            print(f"  {name:<22}{source.kind:<7}{source.summary}")
    print("Names with a part of your own:")
    for name, summary in PATTERNS.items():
        print(f"  {name}\n{'':<31}{summary}")
    for title, models in (("tables and images", TABLE_MODELS), ("texts", TEXT_MODELS)):
        print(f"Models of {title}:")
        for name, model in models.items():
            needs = f"; needs {model.needs.replace('_', '-')}" if model.needs else ""
            print(f"  {name:<22}{model.description}{needs}")
    from benchmarks.gains.torch_members import ENCODERS

    print("Models of texts with --members torch:")
    for name, what in ENCODERS.items():
        print(f"  {name:<22}{what}, trained from scratch; logits")


def _print_summary(models: dict[str, dict[str, Any]], sizes: dict[str, int], folder: Path) -> None:
    keys = [
        k for k in ("train_oof", "val", "test") if f"{k}_accuracy" in next(iter(models.values()))
    ]
    rows = [
        [name, entry["kind"], *(percent(entry[f"{key}_accuracy"]) for key in keys)]
        for name, entry in models.items()
    ]
    print_table(["model", "kind", *(f"{key} %" for key in keys)], rows)
    counts = ", ".join(f"{count} {split}" for split, count in sizes.items())
    print(f"{folder}: {counts} rows")


if __name__ == "__main__":
    main()
