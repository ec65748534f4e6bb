"""The task of the demo: small classifiers trained on the spot, saved as run directories."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files import atomic_path, save_predictions
from postproc.files.formats import write_npy_blocks

#: Labelled rows a class to train on: few, so that there are doubtful rows.
SHOTS = 5
#: Ratio between the largest and the smallest class of the long-tailed target.
TAIL = 50

#: From images to class probabilities.
Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]

MODELS = ("naive_bayes", "neighbours", "forest")

RUNS = ("digits", "digits_longtail")


def make_run_directories(folder: Path, *, seed: int) -> dict[str, Path]:
    """Train classifiers on scikit-learn's digits, and save them on even and long-tailed targets."""
    runs = {}
    for name, arrays in predicted(seed).items():
        run = folder / name
        run.mkdir(parents=True, exist_ok=True)
        for stem, array in arrays.items():
            if stem.startswith("labels."):
                _save_labels(run / f"{stem}.npy", array)
            else:
                save_predictions(run / f"{stem}.npy", array, overwrite=True)
        names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
        _write_text(run / "classes.txt", "\n".join(names) + "\n")
        meta = {"name": name, "source": "scikit-learn load_digits", "seed": seed, "shots": SHOTS}
        _write_text(run / "meta.json", json.dumps(meta, indent=2) + "\n")
        runs[name] = run
    return runs


def predicted(seed: int) -> dict[str, dict[str, NDArray[Any]]]:
    """Labels and predictions of each run directory, by the names of their files."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = images / images.max()
    rng = np.random.default_rng(seed)
    train = np.concatenate(
        [rng.choice(np.flatnonzero(labels == digit), SHOTS, replace=False) for digit in range(10)]
    )
    rest = np.setdiff1d(np.arange(len(labels)), train)
    val, test = train_test_split(rest, test_size=0.6, stratify=labels[rest], random_state=seed)
    shares = np.geomspace(1, 1 / TAIL, 10)[rng.permutation(10)]
    tail = test[rng.random(len(test)) < shares[labels[test]]]
    models = _train(images[train], labels[train], seed)
    runs: dict[str, dict[str, NDArray[Any]]] = {}
    for name, target in zip(RUNS, (test, tail), strict=True):
        runs[name] = {"labels.train": labels[train]}
        for split, rows in (("val", val), ("test", target)):
            runs[name][f"labels.{split}"] = labels[rows]
            for model, predict in models.items():
                runs[name][f"{model}.{split}"] = predict(images[rows]).astype(np.float32)
    return runs


def _train(images: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> dict[str, Predict]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier

    models = (
        MultinomialNB(),
        KNeighborsClassifier(7, weights="distance"),
        RandomForestClassifier(100, random_state=seed),
    )
    return {
        name: model.fit(images, labels).predict_proba
        for name, model in zip(MODELS, models, strict=True)
    }


def _save_labels(path: Path, labels: NDArray[np.int64]) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        write_npy_blocks(temporary, [labels], shape=labels.shape, dtype=labels.dtype)


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
