"""Calibrators beside their peers: the same rows, the same splits, losses included."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.calibrators import RIVAL, Method, methods_for
from benchmarks.peers.tasks import Floats, Task

#: Probability that a label has at least, as in CalArena: else one zero decides everything.
LEAST = 1e-15


@dataclass(frozen=True)
class Score:
    """What a method made of one task."""

    accuracy: float
    log_loss: float
    seconds: float  # of processor time, fit and prediction


def score(method: Method, task: Task) -> Score:
    """Run a method on a task."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probs = method(task)
    took = time.process_time() - start
    return Score(_accuracy(probs, task), _log_loss(probs, task), took)


def _accuracy(probs: Floats, task: Task) -> float:
    return float(np.mean(probs.argmax(axis=1) == task.test_labels))


def _log_loss(probs: Floats, task: Task) -> float:
    rows = np.arange(len(task.test_labels))
    return float(-np.log(np.maximum(probs[rows, task.test_labels], LEAST)).mean())


def compare(tasks: Iterable[Task]) -> dict[str, dict[str, list[Score]]]:
    """Scores of every method on every task, by group of tasks and method."""
    missing: set[str] = set()
    warm: set[str] = set()
    found: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for task in tasks:
        for name, method in methods_for(task.fit.shape[1]).items():
            if name in missing:
                continue
            try:
                if name not in warm:  # a first call imports
                    score(method, task)
                    warm.add(name)
                found[task.group][name].append(score(method, task))
            except ImportError as error:
                missing.add(name)
                print(f"{name} is left out: {error}\n")
    return found


def table(found: dict[str, dict[str, list[Score]]]) -> str:
    """Accuracy / log-loss / seconds of every method, mean over the models of each group."""
    names = list(dict.fromkeys(name for methods in found.values() for name in methods))
    lines = [
        "| method | " + " | ".join(found) + " |",
        "| --- |" + " --- |" * len(found),
    ]
    for name in names:
        cells = []
        for methods in found.values():
            scores = methods.get(name)
            cells.append(_cell(scores) if scores else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(scores: list[Score]) -> str:
    mean = [
        np.mean([getattr(s, part) for s in scores]) for part in ("accuracy", "log_loss", "seconds")
    ]
    return f"{100 * mean[0]:.2f} / {mean[1]:.4f} / {mean[2]:.2f} s"


def arena(found: dict[str, dict[str, list[Score]]]) -> str:
    """CalArena's metrics over all tasks: change in log-loss, change in accuracy, win rate.

    The win rate is the share of methods beaten in log-loss, mean over tasks; ties count half.
    """
    names = [
        name
        for name in next(iter(found.values()))
        if all(len(m.get(name, [])) == len(m["as given"]) for m in found.values())
    ]
    losses = np.array(
        [[s.log_loss for methods in found.values() for s in methods[name]] for name in names]
    )
    hits = np.array(
        [[s.accuracy for methods in found.values() for s in methods[name]] for name in names]
    )
    given, rival = names.index("as given"), losses[names.index(RIVAL)] if RIVAL in names else None
    lines = [
        f"| {losses.shape[1]} tasks | change in log-loss | points of accuracy | win rate | "
        f"log-loss less that of {RIVAL} | tasks better than it |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for k in np.argsort(losses.mean(axis=1)):
        beaten = (losses > losses[k]).sum(axis=0) + 0.5 * ((losses == losses[k]).sum(axis=0) - 1)
        apart = losses[k] - rival if rival is not None else np.full(losses.shape[1], np.nan)
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        lines.append(
            f"| {names[k]} | {np.mean(losses[k] - losses[given]):+.4f} | "
            f"{100 * np.mean(hits[k] - hits[given]):+.2f} | "
            f"{beaten.mean() / (len(names) - 1):.2f} | {apart.mean():+.4f} ±{1.96 * error:.4f} | "
            f"{np.mean(apart < 0):.0%} |"
        )
    return "\n".join(lines)
