"""Tasks to compare calibrators on: small ones made on the spot, and saved run directories."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from postproc import load_predictions, log_probabilities

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Quantiles that make classes of the target of the diabetes data, which is a number.
QUARTILES = (0.25, 0.5, 0.75)

#: Rows for training, for fitting calibrators, and for judging, of 10.
PARTS = (4, 3, 3)


@dataclass(frozen=True)
class Task:
    """Log-probabilities (n, C) of one classifier, on rows to fit calibrators and to judge them."""

    group: str
    name: str
    fit: Floats
    fit_labels: Ints
    test: Floats
    test_labels: Ints

    @property
    def fit_probs(self) -> Floats:
        """Probabilities that calibrators are fitted on."""
        return np.exp(self.fit)

    @property
    def test_probs(self) -> Floats:
        """Probabilities of the rows that judge."""
        return np.exp(self.test)


def shipped_data() -> dict[str, tuple[Floats, Ints]]:
    """Features and labels of the data sets that scikit-learn ships."""
    found = {
        name: getattr(datasets, f"load_{name}")(return_X_y=True)
        for name in ("iris", "wine", "breast_cancer", "digits")
    }
    x, target = datasets.load_diabetes(return_X_y=True)
    found["diabetes"] = x, np.digitize(target, np.quantile(target, QUARTILES))
    return found


def classifiers(seed: int) -> dict[str, Any]:
    """Unfitted classifiers, over-confident and under-confident ones among them."""
    return {
        "logistic": LogisticRegression(C=10.0, max_iter=2000),
        "gaussian_nb": GaussianNB(var_smoothing=0.01),
        "neighbours": KNeighborsClassifier(10),
        "extra_trees": ExtraTreesClassifier(100, random_state=seed),
        "boosting": HistGradientBoostingClassifier(max_iter=40, random_state=seed),
        "mlp": MLPClassifier((64,), max_iter=300, random_state=seed),
    }


def shipped_tasks(n_splits: int, seed: int) -> Iterator[Task]:
    """Every classifier on every shipped data set and split."""
    for name, (x, y) in shipped_data().items():
        for split in range(seed, seed + n_splits):
            train, rest = train_test_split(
                np.arange(len(y)), train_size=PARTS[0] / 10, stratify=y, random_state=split
            )
            fit, test = train_test_split(
                rest, test_size=PARTS[2] / sum(PARTS[1:]), stratify=y[rest], random_state=split
            )
            for kind, classifier in classifiers(split).items():
                model = make_pipeline(StandardScaler(), classifier)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # rounds that are not enough are part of it
                    model.fit(x[train], y[train])
                    logs = [
                        log_probabilities(model.predict_proba(x[k]), "probs") for k in (fit, test)
                    ]
                yield Task(name, f"{kind}-{split}", logs[0], y[fit], logs[1], y[test])


def saved_tasks(folder: Path, most: int | None = None) -> Iterator[Task]:
    """The models of a run directory, or the first: fitted on its split val, judged on test."""
    y, truth = (np.load(folder / f"labels.{split}.npy") for split in ("val", "test"))
    paths = [path for path in sorted(folder.glob("*.val.npy")) if path.name != "labels.val.npy"]
    for path in paths[:most]:
        fit = load_predictions(path)
        test = load_predictions(folder / path.name.replace(".val.", ".test."), kind=fit.kind)
        logs = [
            np.asarray(log_probabilities(np.asarray(p.scores, np.float64), fit.kind))
            for p in (fit, test)
        ]
        yield Task(folder.name, path.name.removesuffix(".val.npy"), logs[0], y, logs[1], truth)
