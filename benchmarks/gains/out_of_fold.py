"""How honest out-of-fold predictions are: their log-loss less that on many other rows.

    python -m benchmarks.gains.out_of_fold [--repeats 40] [--seed 0]

Each repetition makes up two members of Gaussian scores with confusions of their own, and fits each
method to a sample. "In sample" are its predictions of the rows fitted to, "stratified" those of
folds in which every class is spread evenly, "random" those of `out_of_fold`. The luck of a sample,
by which the plain mean of the members is better or worse on it, is taken off.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ensemble
import postproc
from postproc.evaluation.folds import held_out, stratified_folds

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

#: Numbers of classes and of fit rows.
TASKS = ((3, 100), (10, 200))

#: Rows that measure the true log-loss.
TEST_ROWS = 20_000

METHODS: dict[str, Callable[[], Any]] = {
    "weights": ensemble.LearnedLogPool,
    "blend": ensemble.DiscriminantPool,
    "stack": ensemble.Stacking,
    "bcts": postproc.BiasCorrectedTemperatureScaling,
}


def made_up(n_classes: int, n_rows: int, seed: int) -> tuple[list[Matrix], Labels, Any]:
    """Members and labels of fit rows, and what draws more."""
    rng = np.random.default_rng([seed, n_classes, n_rows])
    prior = rng.dirichlet(3 * np.ones(n_classes))
    mixed = np.eye(n_classes) + 0.3 * rng.normal(size=(2, n_classes, n_classes)) / n_classes**0.5

    def draw(rows: int) -> tuple[list[Matrix], Labels]:
        y = rng.choice(n_classes, rows, p=prior)
        common = 1.7 * np.eye(n_classes)[y] + 0.8 * rng.normal(size=(rows, n_classes))
        return [1.5 * (common + 0.6 * rng.normal(size=common.shape)) @ each for each in mixed], y

    return *draw(n_rows), draw


def log_loss(probs: Matrix, y: Labels) -> float:
    """Mean log-loss in nats."""
    return float(-np.log(np.maximum(probs[np.arange(len(y)), y], 1e-12)).mean())


def stratified(make: Callable[[], Any], given: Any, y: Labels, seed: int) -> Matrix:
    """Out-of-fold predictions of stratified folds."""
    several = isinstance(given, list)
    members = given if several else [given]
    out = np.empty(members[0].shape)
    for held in held_out(stratified_folds(np.stack(members), y, 5, seed)):
        inside, outside = ([a[rows] for a in members] for rows in (~held, held))
        fitted = make().fit(inside if several else inside[0], y[~held])
        out[held] = fitted.predict_proba(outside if several else outside[0])
    return out


def main() -> None:
    """Print a table for each number of classes and rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for n_classes, n_rows in TASKS:
        found: dict[str, list[list[float]]] = defaultdict(list)
        for seed in range(options.seed, options.seed + options.repeats):
            members, y, draw = made_up(n_classes, n_rows, seed)
            target, truth = draw(TEST_ROWS)
            means = (ensemble.soft_vote(rows) for rows in (members, target))
            luck = np.subtract(*map(log_loss, means, (y, truth)))
            for name, make in METHODS.items():
                single = name == "bcts"
                fit, test = (rows[0] if single else rows for rows in (members, target))
                model = make().fit(fit, y)
                true = log_loss(model.predict_proba(test), truth)
                ways = (
                    model.predict_proba(fit),
                    stratified(make, fit, y, seed),
                    ensemble.out_of_fold(make(), fit, y, seed=seed),
                )
                found[name].append([true, *(log_loss(probs, y) - true - luck for probs in ways)])
        print(f"\n{n_classes} classes, {n_rows} rows, {options.repeats} repetitions\n")
        print("| method | true log-loss | in sample | stratified | random |")
        print("| --- | --- | --- | --- | --- |")
        for name, rows in found.items():
            means, errors = np.mean(rows, axis=0), np.std(rows, axis=0) / len(rows) ** 0.5
            cells = [f"{m:+.3f} ± {e:.3f}" for m, e in zip(means[1:], errors[1:], strict=True)]
            print(f"| `{name}` | {means[0]:.3f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
