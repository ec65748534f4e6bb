"""Tasks: texts and labels of three splits, few or many, right or partly wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gains.csv_dataset import load_csv
from benchmarks.gains.scores import Ints
from benchmarks.gains.splits import SPLITS, add_noise, draw_rows

#: Training rows of a class in a task of few shots, and rows in all in others.
SHOTS, ROWS = 10, 3000
NOISE = 0.2

#: Val rows that say when to stop, and others that the ensembles are fitted on.
STOP_ROWS, FIT_ROWS = 300, 1000


@dataclass(frozen=True)
class Texts:
    """Texts and labels 0..C-1 of splits; and texts without labels."""

    texts: dict[str, list[str]]
    labels: dict[str, Ints]
    n_classes: int
    unlabelled: list[str]


def load(folder: Path, name: str) -> Texts:
    """Read NAME.train.csv, NAME.val.csv and NAME.test.csv of a folder."""
    parts = {s: load_csv(folder / f"{name}.{s}.csv") for s in SPLITS}
    classes = sorted({c for part in parts.values() for c in part.classes})
    numbers = {c: number for number, c in enumerate(classes)}
    labels = {
        split: np.array([numbers[part.classes[c]] for c in part.y]) for split, part in parts.items()
    }
    texts = {split: [str(text) for text in part.x] for split, part in parts.items()}
    return Texts(texts, labels, len(classes), [])


def synthetic(seed: int = 0) -> Texts:
    """Five classes, each with words of its own among those of all."""
    rng = np.random.default_rng(seed)
    texts, labels = {}, {}
    for split, n in (("train", 200), ("val", 50), ("test", 100)):
        labels[split] = np.arange(n) % 5
        texts[split] = [
            " ".join(
                [f"all{rng.integers(20)}" for _ in range(rng.integers(2, 7))]
                + [f"own{c}x{rng.integers(8)}"]
            )
            for c in labels[split]
        ]
    return Texts(texts, labels, 5, [])


def varied(task: Texts, *, shots: int | None, noise: float, seed: int) -> Texts:
    """A task of a seed: its training rows, few or wrong ones perhaps, and two parts of val.

    The rows that say when to stop are a quarter of val at most; test stays.
    """
    y, n_val = task.labels["train"], len(task.labels["val"])
    drawn = rows = draw_rows(y, ROWS, seed)
    if shots is not None:
        order = np.lexsort((np.random.default_rng(seed).random(len(y)), y))
        starts = np.searchsorted(y[order], y[order])
        rows = np.sort(order[np.arange(len(y)) - starts < shots])
    stop = draw_rows(task.labels["val"], min(STOP_ROWS, n_val // 4), seed)
    others = np.delete(np.arange(n_val), stop)
    fit = others[draw_rows(task.labels["val"][others], FIT_ROWS, seed)]
    found = {
        "train": ("train", rows),
        "stop": ("val", stop),
        "val": ("val", fit),
        "test": ("test", np.arange(len(task.labels["test"]))),
    }
    labels = {split: task.labels[source][rows] for split, (source, rows) in found.items()}
    if noise:
        labels["train"] = add_noise(labels["train"], noise, task.n_classes, seed)
    texts = {
        split: [task.texts[source][row] for row in rows] for split, (source, rows) in found.items()
    }
    return Texts(texts, labels, task.n_classes, [task.texts["train"][row] for row in drawn])
