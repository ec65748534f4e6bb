"""Wrong labels among the fit rows: what they cost, and what remedies save."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

import ensemble
from benchmarks.peers.tasks import Floats, Ints, Task
from postproc.calibration.by_name import default_method, make_calibrator

#: Shares of labels that are replaced by another class, drawn at random.
SHARES = (0.0, 0.05, 0.2)

#: Log-probabilities of the fit rows out of fold, and of the rows that judge, by models' tasks.
Fit = Callable[[Sequence[Task]], tuple[Floats, Floats]]


def with_noise(task: Task, share: float, seed: int) -> Task:
    """The same task with some wrong fit labels."""
    rng = np.random.default_rng(seed)
    y, n_classes = task.fit_labels.copy(), task.fit.shape[1]
    wrong = rng.random(len(y)) < share
    y[wrong] = (y[wrong] + rng.integers(1, n_classes, wrong.sum())) % n_classes
    return replace(task, fit_labels=y)


def noise_share(own: Floats, n_classes: int) -> float:
    """Share t of labels drawn at random, of most likelihood: p_y becomes (1 - t) p_y + t/C.

    By EM, from out-of-fold probabilities p_y (n,) of the labels.
    """
    share, uniform = 0.05, 1.0 / n_classes
    for _ in range(200):
        doubtful = share * uniform / (share * uniform + (1.0 - share) * own)
        share = float(doubtful.mean())
    return share


def calibrate(tasks: Sequence[Task]) -> tuple[Floats, Floats]:
    """What `postproc calibrate` does to the first model."""
    name = default_method(tasks[0].fit.shape[1])
    fitted = make_calibrator(name, kind="logits").fit(tasks[0].fit, tasks[0].fit_labels)
    return fitted.out_of_fold_, fitted.predict_log_proba(tasks[0].test)


def blend(tasks: Sequence[Task]) -> tuple[Floats, Floats]:
    """What `postproc ensemble blend` makes of all models."""
    fitted = ensemble.DiscriminantPool().fit([t.fit_probs for t in tasks], tasks[0].fit_labels)
    probs = fitted.predict_proba([t.test_probs for t in tasks])
    return fitted.out_of_fold_, np.log(np.maximum(probs, 1e-15))


def remedies(fit: Fit, tasks: Sequence[Task], share: float) -> dict[str, Floats]:
    """Log-probabilities of the rows that judge, as fitted and by each remedy.

    *left out*: rows whose label is more likely wrong than right, by out-of-fold probabilities and
    the estimated share of noise, are left out of a second fit. *floor*: the estimated share of
    noise is added to predictions. *undone*: the true share is taken from them, as if it were known.
    """
    y, n_classes = tasks[0].fit_labels, tasks[0].fit.shape[1]
    out_of_fold, plain = fit(tasks)
    own = np.exp(out_of_fold[np.arange(len(y)), y])
    found = noise_share(own, n_classes)
    kept = found / n_classes <= (1.0 - found) * own
    cleaned = [replace(t, fit=t.fit[kept], fit_labels=y[kept]) for t in tasks]
    uniform = share / (n_classes - 1)  # each wrong class's
    clean = np.maximum((np.exp(plain) - uniform) / (1.0 - share - uniform), 1e-4 / n_classes)
    return {
        "": plain,
        ", doubtful rows left out": plain if kept.all() else fit(cleaned)[1],
        ", estimated floor": np.log((1.0 - found) * np.exp(plain) + found / n_classes),
        ", true share undone": np.log(clean / clean.sum(axis=1, keepdims=True)),
    }


METHODS: Mapping[str, Fit] = {"calibrate": calibrate, "blend": blend}


def table(tasks: Iterable[Task], seed: int) -> str:
    """Accuracy / log-loss on rows with right labels, mean over tasks, by share of noise."""
    found: dict[str, dict[float, list[tuple[float, float]]]] = {}
    for _, each in groupby(tasks, lambda task: (task.group, task.fit_labels.tobytes())):
        models = list(each)
        for share in SHARES:
            noisy = [with_noise(task, share, seed) for task in models]
            runs = [("calibrate", [task]) for task in noisy] + [("blend", noisy)]
            for name, given in runs:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    results = remedies(METHODS[name], given, share)
                for remedy, logs in results.items():
                    cells = found.setdefault(name + remedy, {s: [] for s in SHARES})
                    cells[share].append(_judge(logs, given[0].test_labels))
    lines = [
        "| method | " + " | ".join(f"{share:.0%} wrong" for share in SHARES) + " |",
        "| --- |" + " --- |" * len(SHARES),
    ]
    for name in sorted(found):
        means = [np.mean(found[name][share], axis=0) for share in SHARES]
        cells = " | ".join(f"{100 * accuracy:.2f} / {loss:.4f}" for accuracy, loss in means)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _judge(logs: Floats, y: Ints) -> tuple[float, float]:
    """Accuracy and log-loss."""
    own = np.maximum(logs[np.arange(len(y)), y], np.log(1e-15))
    return float(np.mean(logs.argmax(axis=1) == y)), float(-own.mean())
