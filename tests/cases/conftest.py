"""One small task, and what every case starts from."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from postproc import softmax

NAMES = ("daisy", "roses", "tulip")
N_ROWS = 60


@dataclass(frozen=True)
class Task:
    """Probabilities of two models, true labels and predicted ones."""

    a: np.ndarray
    b: np.ndarray
    y: np.ndarray

    @property
    def accuracy(self) -> float:
        """That of the first model."""
        return float((self.a.argmax(axis=1) == self.y).mean())

    @property
    def predicted(self) -> np.ndarray:
        """Names of the classes that the first model predicts."""
        return np.array(NAMES)[self.a.argmax(axis=1)]

    @property
    def truth(self) -> np.ndarray:
        """Names of the true classes."""
        return np.array(NAMES)[self.y]


@pytest.fixture
def task(tmp_path, monkeypatch) -> Task:
    """The task, in a folder with its labels by number, name and id."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, N_ROWS)
    a, b = (softmax(s * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3))) for s in (1.5, 1.2))
    made = Task(a, b, y)
    np.save("y.npy", y)
    table("y.csv", {"label": made.truth})
    table("ids.csv", {"id": range(N_ROWS), "label": made.truth})
    return made


def table(path, columns, *, delimiter=",", header=True):
    """Write columns by name; a block of numbers under a tuple of names is as many columns."""
    flat = {}
    for name, values in columns.items():
        block = np.asarray(values)
        if isinstance(name, tuple):
            flat |= {each: block[:, j].tolist() for j, each in enumerate(name)}
        else:
            flat[name] = block.tolist()
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        if header:
            writer.writerow(flat)
        writer.writerows(zip(*flat.values(), strict=True))
    return path


@pytest.fixture
def accuracy(run_cli):
    """The accuracy that `postproc report` gives a file, and what it says besides."""

    def measured(path, *words, labels="y.csv"):
        done = run_cli("report", path, "--labels", labels, "--json", *words)
        report = json.loads(done.stdout)
        assert report["rows"] == N_ROWS
        assert report["classes"] == len(NAMES)
        return report["models"][0]["accuracy"]

    return measured


@pytest.fixture
def refusal(run_cli, tmp_path):
    """One line of error about a file, which leaves nothing behind."""

    def said(path, *words, code=1):
        before = sorted(tmp_path.iterdir())
        done = run_cli("ensemble", "soft", path, "-o", "out.npz", *words, code=code)
        assert done.stdout == ""
        assert sorted(tmp_path.iterdir()) == before
        assert done.stderr.count("\n") == 1
        return done.stderr

    return said
