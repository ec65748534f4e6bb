"""Wrong labels among the fit rows: what they cost, and what a noise floor saves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from benchmarks.peers.calibrators import ours
from benchmarks.peers.tasks import Floats, Ints, Task
from postproc.calibration.by_name import make_calibrator

#: Shares of labels that are replaced by another class, drawn at random.
SHARES = (0.0, 0.05, 0.2)


def with_noise(task: Task, share: float, seed: int) -> Task:
    """The same task with some wrong fit labels."""
    rng = np.random.default_rng(seed)
    y, n_classes = task.fit_labels.copy(), task.fit.shape[1]
    wrong = rng.random(len(y)) < share
    y[wrong] = (y[wrong] + rng.integers(1, n_classes, wrong.sum())) % n_classes
    return replace(task, fit_labels=y)


def noise_share(out_of_fold: Floats, y: Ints) -> float:
    """Share t of labels drawn at random, of most likelihood: p_y becomes (1 - t) p_y + t/C.

    By EM; the log-probabilities (n, C) are out of fold.
    """
    own = np.exp(out_of_fold[np.arange(len(y)), y])
    share, uniform = 0.05, 1.0 / out_of_fold.shape[1]
    for _ in range(200):
        doubtful = share * uniform / (share * uniform + (1.0 - share) * own)
        share = float(doubtful.mean())
    return share


def without_doubtful_rows(name: str) -> Callable[[Task], Floats]:
    """Fit, leave out the rows whose labels are more likely wrong than right, and fit again.

    Right and wrong are judged by out-of-fold probabilities and the estimated share of noise.
    """

    def run(task: Task) -> Floats:
        y = task.fit_labels
        first = make_calibrator(name, kind="logits").fit(task.fit, y)
        share = noise_share(first.out_of_fold_, y)
        own = np.exp(first.out_of_fold_[np.arange(len(y)), y])
        uniform = share / task.fit.shape[1]
        kept = uniform <= (1.0 - share) * own
        cleaned = replace(task, fit=task.fit[kept], fit_labels=y[kept])
        return ours(name)(cleaned)

    return run


METHODS: Mapping[str, Callable[[Task], Floats]] = {
    name + suffix: make(name)
    for name in ("temperature", "structured", "pooled")
    for suffix, make in (("", ours), (", doubtful rows left out", without_doubtful_rows))
}


def table(tasks: Iterable[Task], seed: int) -> str:
    """Accuracy / log-loss on rows with right labels, mean over tasks, by share of noise."""
    found: dict[str, dict[float, list[tuple[float, float]]]] = {
        name: {share: [] for share in SHARES} for name in METHODS
    }
    for task in tasks:
        for share in SHARES:
            noisy = with_noise(task, share, seed)
            for name, method in METHODS.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    probs = method(noisy)
                y = task.test_labels
                loss = -np.log(np.maximum(probs[np.arange(len(y)), y], 1e-15)).mean()
                found[name][share].append((float(np.mean(probs.argmax(axis=1) == y)), loss))
    lines = [
        "| method | " + " | ".join(f"{share:.0%} wrong" for share in SHARES) + " |",
        "| --- |" + " --- |" * len(SHARES),
    ]
    for name, by_share in found.items():
        means = [np.mean(by_share[share], axis=0) for share in SHARES]
        cells = " | ".join(f"{100 * accuracy:.2f} / {loss:.4f}" for accuracy, loss in means)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)
