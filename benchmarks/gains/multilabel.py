"""Labels that do not exclude each other: what calibration, pools and `auto` gain.

    python -m benchmarks.gains.multilabel [RUNDIR...] [--labels 20] [--fit 200,1000] [--odds 4]

Members of run directories are read as scores of each class on its own, and their labels are made
multi-label: one-hot, less 5 % of the ones, with zeros turned into ones the likelier the higher the
mean score of the members (2 % of them). Three classifiers (logistic regression, a random forest,
naive Bayes, one label against the rest) are trained on three draws each of scikit-learn's
`make_multilabel_classification` with 5, 10 and 20 labels.

Every method is fitted to some rows and measured on others, which chose nothing. Gains are over the
member that is best on the rows fitted to, with 95 % intervals from the influence of each row. With
`--odds` the rows measured on are drawn anew, so that every third label has so many times its odds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import AdaptedLabels, LabelPool, LearnedLogPool, MultilabelPostprocessor, Voting
from postproc import MultilabelCalibration
from postproc.evaluation.registry import find_metric
from postproc.files import RunDirectory

Floats = NDArray[np.float64]
METRICS = ("log_loss", "micro_f1", "macro_f1", "hamming_loss", "average_precision")
SEEDS = 3


@dataclass(frozen=True)
class Cell:
    """Probabilities of members and labels, to fit on and to measure on."""

    group: str
    fit: list[Floats]
    fit_labels: NDArray[np.int64]
    target: list[Floats]
    labels: NDArray[np.int64]


def of_run(path: str, n_labels: int, sizes: Sequence[int]) -> Iterator[Cell]:
    """The members of a run directory, for their most frequent classes as labels."""
    run = RunDirectory.open(path)
    y = {split: np.asarray(run.labels(split)) for split in ("val", "test")}
    kept = np.argsort(-np.bincount(y["val"]), kind="stable")[:n_labels]
    probs, labels = {}, {}
    for split, classes in y.items():
        whole = [np.asarray(m.probabilities(), np.float64) for m in run.predictions(split)]
        probs[split] = [p[:, kept].clip(1e-6, 1 - 1e-6) for p in whole]
        rng = np.random.default_rng(0)
        mean = np.mean(probs[split], axis=0)
        one_hot = classes[:, None] == kept
        gained = rng.random(mean.shape) < 0.02 * mean / mean.mean()
        lost = rng.random(mean.shape) < 0.05
        labels[split] = ((one_hot & ~lost) | gained).astype(np.int64)
    n_rows = len(labels["val"])
    for size in sizes:
        rows = np.random.default_rng(1).permutation(n_rows)[:size]
        inside = [p[rows] for p in probs["val"]]
        yield Cell(Path(path).name, inside, labels["val"][rows], probs["test"], labels["test"])


def of_scikit_learn(sizes: Sequence[int]) -> Iterator[Cell]:
    """Three classifiers on three draws of tasks with 5, 10 and 20 labels."""
    from sklearn.datasets import make_multilabel_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.naive_bayes import GaussianNB

    models = (
        LogisticRegression(max_iter=2000),
        RandomForestClassifier(60, random_state=0, max_depth=8),
        GaussianNB(),
    )
    for n_labels in (5, 10, 20):
        for seed in range(SEEDS):
            x, y = make_multilabel_classification(
                4500, n_features=30, n_classes=n_labels, n_labels=3, random_state=seed
            )
            train, rest = slice(0, 500), slice(500, None)
            fitted = [OneVsRestClassifier(model).fit(x[train], y[train]) for model in models]
            probs = [m.predict_proba(x[rest]).clip(1e-6, 1 - 1e-6) for m in fitted]
            labels = y[rest]
            for size in sizes:
                yield Cell(
                    f"make_multilabel, {n_labels}",
                    [p[:size] for p in probs],
                    labels[:size],
                    [p[1000:] for p in probs],
                    labels[1000:],
                )


def shifted(cell: Cell, odds: float) -> Cell:
    """The cell with target rows drawn so that every third label is more frequent, by its odds."""
    weights = odds ** cell.labels[:, ::3].sum(axis=1).astype(float)
    rng = np.random.default_rng(2)
    rows = rng.choice(len(weights), min(2000, len(weights)), p=weights / weights.sum())
    return replace(cell, target=[p[rows] for p in cell.target], labels=cell.labels[rows])


def _best(cell: Cell, metric: str) -> int:
    judge = find_metric(metric)
    values = [judge.measure(cell.fit_labels, p).value for p in cell.fit]
    return int(np.argmax(values) if judge.higher else np.argmin(values))


def _ensemble(make: Callable[[str], Any]) -> Callable[[Cell, str], Floats]:
    def predict(cell: Cell, metric: str) -> Floats:
        made = make(metric).fit(cell.fit, cell.fit_labels, multilabel=True)
        return np.asarray(made.predict_proba(cell.target))

    return predict


def _calibrated(cell: Cell, metric: str) -> Floats:
    best = _best(cell, metric)
    made = MultilabelCalibration(kind="probs").fit(cell.fit[best], cell.fit_labels)
    return np.asarray(made.predict_proba(cell.target[best]))


def _unshifted(cell: Cell, metric: str) -> Floats:
    made = MultilabelPostprocessor(metric=metric)
    made.fit(cell.fit, cell.fit_labels, multilabel=True)
    return np.asarray(AdaptedLabels(made, ()).predict_proba(cell.target))


METHODS: dict[str, Callable[[Cell, str], Floats]] = {
    "calibrated": _calibrated,
    "mean": _ensemble(lambda metric: Voting("soft")),
    "weights in common": _ensemble(lambda metric: LearnedLogPool(bias=True)),
    "label weights": _ensemble(lambda metric: LabelPool()),
    "auto": _ensemble(lambda metric: MultilabelPostprocessor(metric=metric)),
    "auto, no shift": _unshifted,
}


def main() -> None:
    """Print a line for each group and metric: mean gains, cells gained and lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rundirs", nargs="*")
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--fit", default="200,1000")
    parser.add_argument("--odds", type=float, default=1.0)
    args = parser.parse_args()
    sizes = [int(size) for size in args.fit.split(",")]
    warnings.simplefilter("ignore", UserWarning)
    found: dict[tuple[str, str], list[list[tuple[float, int]]]] = {}
    cells = [cell for path in args.rundirs for cell in of_run(path, args.labels, sizes)]
    for cell in [*cells, *of_scikit_learn(sizes)]:
        cell = cell if args.odds == 1 else shifted(cell, args.odds)
        fixed = {
            name: make(cell, "log_loss") for name, make in METHODS.items() if "auto" not in name
        }
        for metric in METRICS:
            judge = find_metric(metric)
            before = judge.measure(cell.labels, cell.target[_best(cell, metric)])
            line = []
            for name, make in METHODS.items():
                probs = (
                    make(cell, metric) if name not in fixed or name == "calibrated" else fixed[name]
                )
                gain = judge.gain(judge.measure(cell.labels, probs), before)
                low, high = gain.interval
                line.append((gain.value, (low > 0) - (high < 0)))
            found.setdefault((cell.group, metric), []).append(line)
    heads = [f"{name} | +/-" for name in METHODS]
    print(f"| task | metric | cells | {' | '.join(heads)} |")
    print("| --- " * (3 + 2 * len(METHODS)) + "|")
    for (group, metric), lines in found.items():
        shown = []
        for column in range(len(METHODS)):
            gains = [line[column][0] for line in lines]
            signs = [line[column][1] for line in lines]
            shown.append(f"{np.mean(gains):+.4f} | {signs.count(1)}/{signs.count(-1)}")
        print(f"| {group} | {metric} | {len(lines)} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
