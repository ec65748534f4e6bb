"""The search of CAN's hyperparameters, against evaluating each setting by itself."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import product

import numpy as np

from benchmarks.speed.timing import Figure, seconds
from postproc.can.model import CANModel
from postproc.can.options import CANOptions
from postproc.can.tuning import GRIDS, tune_can
from postproc.evaluation.folds import stratified_folds
from postproc.scores.arrays import softmax

Array = np.ndarray
N_FOLDS = 5


def data(n: int, n_classes: int) -> tuple[Array, Array]:
    """Logits of a classifier that is right on some nine rows in ten, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n)
    scores = rng.standard_normal((n, n_classes), dtype=np.float32)
    scores[np.arange(n), labels] += 4
    return 2.5 * scores, labels


def one_by_one(probs: Array, labels: Array, settings: list[CANOptions]) -> None:
    """Evaluate each setting in each fold, sharing nothing."""
    folds = stratified_folds(probs, labels, N_FOLDS, 0)
    for options in settings:
        for fold in range(N_FOLDS):
            train, held = folds != fold, folds == fold
            prior = np.bincount(labels[train], minlength=probs.shape[1]) / train.sum()
            adjusted, _ = CANModel.fit([probs[train]], prior, options).adjust(probs[held])
            np.mean(adjusted.argmax(axis=1) == labels[held])


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of tuning."""
    n, n_classes = 2000, 77
    scores, labels = data(n, n_classes)
    grid = {**GRIDS["paper-code"], "top_k": (3,)}
    settings = [
        CANOptions(**dict(zip(grid, point, strict=True))) for point in product(*grid.values())
    ]
    some = settings[:: 27 if quick else 9]
    probs = softmax(scores)
    tune_can(scores, labels, grid={**grid, "alpha": (1.0,)})  # warm caches and threads
    size = f"{len(settings)} settings, {n} x {n_classes}, {N_FOLDS} folds"
    plain, nested, ratios = [], [], []
    for _ in range(1 if quick else 3):
        alone = seconds(lambda: one_by_one(probs, labels, some)) * len(settings) / len(some)
        # A prior that is given leaves the outer folds nothing to hide: each chain is run once.
        plain.append(seconds(lambda: tune_can(scores, labels, grid=grid, prior="uniform")))
        nested.append(seconds(lambda: tune_can(scores, labels, grid=grid)))
        ratios.append(alone / plain[-1])
    yield Figure(
        f"tune can: speed over each setting by itself, {size}",
        statistics.median(ratios),
        (min(ratios), max(ratios)),
        ">= 3",
        f"one pass {statistics.median(plain):.3g} s",
    )
    yield Figure(
        f"tune can: seconds, prior from the labels, so nested by pairs of folds, {size}",
        statistics.median(nested),
        (min(nested), max(nested)),
        "<= 10",
        f"prior given: {statistics.median(plain):.3g} s",
    )
