"""Calibrators of two classes: log-loss on one class against the rest.

    python -m benchmarks.gains.binary [RUNDIR...] [--ranks 2,5,9]

Members of run directories are fitted on `val` and measured on `test`, for the classes of these
ranks by their frequency in `val`. Breast cancer and digits (one digit against the rest) come with
scikit-learn; three classifiers each, trained on two fifths of the rows and fitted on another.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.by_name import make_calibrator
from postproc.files import RunDirectory

METHODS = ("temperature", "bcts", "beta", "quadratic", "venn-abers", "binary")
DIGITS = (0, 4, 6)
SPLITS = 3


@dataclass(frozen=True)
class Cell:
    """Log-odds and labels of one class against the rest, to fit on and to measure on."""

    group: str
    fit: NDArray[np.float64]
    fit_labels: NDArray[np.int64]
    target: NDArray[np.float64]
    labels: NDArray[np.int64]


def of_run(path: str, ranks: Sequence[int]) -> Iterator[Cell]:
    """Every member of a run directory, for classes of some ranks."""
    run = RunDirectory.open(path)
    y = {split: np.asarray(run.labels(split)) for split in ("val", "test")}
    order = np.argsort(-np.bincount(y["val"]), kind="stable")
    loaded = {split: run.predictions(split) for split in y}
    for val, test in zip(loaded["val"], loaded["test"], strict=True):
        for rank in ranks:
            if rank < len(order):
                of = order[rank]
                fit, target = (against_the_rest(m.log_probabilities(), of) for m in (val, test))
                own, labels = ((y[split] == of).astype(np.int64) for split in ("val", "test"))
                yield Cell(Path(path).name, fit, own, target, labels)


def against_the_rest(logs: Any, of: int) -> NDArray[np.float64]:
    """Log-odds of one class, shape (n,)."""
    wide = np.asarray(logs, dtype=np.float64)
    rest = np.logaddexp.reduce(np.delete(wide, of, axis=1), axis=1)
    return np.asarray(wide[:, of] - rest)


def of_scikit_learn() -> Iterator[Cell]:
    """Three classifiers on two data sets that scikit-learn ships."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB

    tasks = [("breast cancer", *load_breast_cancer(return_X_y=True), 1)]
    tasks += [("digits", *load_digits(return_X_y=True), digit) for digit in DIGITS]
    for group, x, labels, of in tasks:
        y = (labels == of).astype(np.int64)
        for seed in range(10, 10 + SPLITS):
            how = {"random_state": seed}
            train, rest, y_train, y_rest = train_test_split(x, y, test_size=0.6, stratify=y, **how)
            fit, target, y_fit, y_target = train_test_split(
                rest, y_rest, test_size=0.5, stratify=y_rest, **how
            )
            for model in (
                LogisticRegression(max_iter=3000),
                RandomForestClassifier(100, random_state=0),
                GaussianNB(),
            ):
                model.fit(train, y_train)
                odds = (log_odds_of(model.predict_proba(rows)) for rows in (fit, target))
                yield Cell(group, next(odds), y_fit, next(odds), y_target)


def log_odds_of(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of the second class, exact zeros as 1.2e-38."""
    logs = np.log(np.maximum(probs, 1.2e-38))
    return np.asarray(logs[:, 1] - logs[:, 0])


def losses(cell: Cell) -> NDArray[np.float64]:
    """Log-loss of each row, as given and by every method, shape (1 + m, n)."""
    sign = 2 * cell.labels - 1
    rows = [np.logaddexp(0.0, -sign * cell.target)]
    for name in METHODS:
        fitted = make_calibrator(name, kind="logits").fit(cell.fit, cell.fit_labels)
        logs = fitted.predict_log_proba(cell.target)
        rows.append(-logs[np.arange(len(sign)), cell.labels])
    return np.array(rows)


def main() -> None:
    """Print one row a group, and in how many cells the default is significantly worse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--ranks", default="2,5,9")
    options = parser.parse_args()
    ranks = [int(rank) for rank in options.ranks.split(",")]
    cells = [cell for path in options.runs for cell in of_run(path, ranks)] + [*of_scikit_learn()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = [losses(cell) for cell in cells]
    means = np.array([each.mean(axis=1) for each in found])
    groups = np.array([cell.group for cell in cells])
    print("| task | cells | as given |", " | ".join(METHODS), "| best of five, by hindsight |")
    print("| --- |" + " --- |" * (3 + len(METHODS)))
    for group in [*dict.fromkeys(groups.tolist()), "all"]:
        own = means[(groups == group) | (group == "all")]
        best = own[:, 1:-1].min(axis=1).mean()
        shown = " | ".join(f"{value:.4f}" for value in own.mean(axis=0))
        print(f"| {group} | {len(own)} | {shown} | {best:.4f} |")
    for at, name in enumerate(("as given", *METHODS[:-1])):
        apart = [each[-1] - each[at] for each in found]
        z = np.array([a.mean() / max(a.std(ddof=1) / np.sqrt(len(a)), 1e-12) for a in apart])
        print(f"against {name}: better in {(z < -1.96).sum()}, worse in {(z > 1.96).sum()} cells")


if __name__ == "__main__":
    main()
