"""Probabilities of exactly 0: what calibration and ensembles make of few votes.

    python -m benchmarks.gains.zeros [--seeds 2]

Nearest neighbours (k = 3, 5, 10), decision trees, random forests of 10 and 30 trees, predicted
labels alone, and logistic regression on digits, wine, breast cancer and draws of scikit-learn's
`make_classification`; 40 % of the rows train them, 30 % fit, 30 % measure. Zeros count as 1.2e-38,
as half of the least positive probability (what the package does), or as 1 of k + C votes, which
needs to know k.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ensemble
from postproc import PooledScaling, TemperatureScaling

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Members of ensembles.
MIXES = (
    ("knn5", "tree5", "forest10"),
    ("knn3", "knn10", "logistic"),
    ("forest10", "forest30", "logistic"),
    ("knn5", "labels", "logistic"),
)

CALIBRATORS: Mapping[str, Callable[[], Any]] = {
    "temperature": TemperatureScaling,
    "pooled (default)": PooledScaling,
}
ENSEMBLES: Mapping[str, Callable[[], Any]] = {
    "log": lambda: ensemble.Voting("log"),
    "calibrated": ensemble.CalibratedVoting,
    "weights": ensemble.LearnedLogPool,
    "blend": ensemble.DiscriminantPool,
    "auto": ensemble.AutoPostprocessor,
}


@dataclass(frozen=True)
class Scores:
    """Probabilities of one model on the rows that fit and that measure."""

    fit: Floats
    target: Floats
    votes: int | None = None  # how many are cast in a row, if it is known

    def logs(self, zeros: str) -> tuple[Floats, Floats]:
        """Logits of both, with another rule for zeros than the package's."""
        if zeros == "1 of k + C votes" and self.votes is not None:
            n_classes = self.fit.shape[1]
            smooth = [(p * self.votes + 1) / (self.votes + n_classes) for p in self.both]
            return np.log(smooth[0]), np.log(smooth[1])
        # A little below 1.2e-38, as what is above would be found to be zero.
        return np.log(np.maximum(self.fit, 1e-38)), np.log(np.maximum(self.target, 1e-38))

    @property
    def both(self) -> tuple[Floats, Floats]:
        """Rows that fit, rows that measure."""
        return self.fit, self.target


def tasks(seed: int) -> Iterator[tuple[dict[str, Scores], Ints, Ints]]:
    """Scores of all models, labels of the rows that fit, and of those that measure."""
    from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
    from sklearn.model_selection import train_test_split

    sets = [load(return_X_y=True) for load in (load_digits, load_wine, load_breast_cancer)]
    for n_classes, apart, wrong in ((2, 0.7, 0.1), (5, 0.8, 0.05), (5, 1.0, 0.2), (10, 1.2, 0.05)):
        shape = {"n_features": 25, "n_informative": 15, "n_clusters_per_class": 1}
        noise = {"class_sep": apart, "flip_y": wrong, "random_state": n_classes}
        sets.append(make_classification(4000, n_classes=n_classes, **shape, **noise))
    for x, y in sets:
        train, rest = train_test_split(
            np.arange(len(y)), test_size=0.6, stratify=y, random_state=seed
        )
        fit, target = train_test_split(rest, test_size=0.5, stratify=y[rest], random_state=seed)
        found = {}
        for name, model, votes in _models(seed):
            model.fit(x[train], y[train])
            fitted, measured = model.predict_proba(x[fit]), model.predict_proba(x[target])
            found[name] = Scores(fitted, measured, votes)
        best = found["logistic"]
        one_hot = np.eye(best.fit.shape[1])
        found["labels"] = Scores(*(one_hot[p.argmax(axis=1)] for p in best.both))
        yield found, y[fit], y[target]


def _models(seed: int) -> Iterator[tuple[str, Any, int | None]]:
    """Name, model, and its votes a row."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    for k in (3, 5, 10):
        yield f"knn{k}", make_pipeline(StandardScaler(), KNeighborsClassifier(k)), k
    for least in (1, 5, 20):
        tree = DecisionTreeClassifier(min_samples_leaf=least, random_state=seed)
        yield f"tree{least}", tree, None
    for n_trees in (10, 30):
        yield f"forest{n_trees}", RandomForestClassifier(n_trees, random_state=seed), n_trees
    logistic = LogisticRegression(C=0.05, max_iter=1000)
    yield "logistic", make_pipeline(StandardScaler(), logistic), None


def judge(probs: Floats, y: Ints) -> Floats:
    """Accuracy in per cent, log-loss, and calibration error of 15 bins in per cent."""
    own, sure = probs[np.arange(len(y)), y], probs.max(axis=1)
    right = probs.argmax(axis=1) == y
    bins = np.minimum((15 * sure).astype(int), 14)
    apart = np.bincount(bins, right - sure, 15)
    errors = 100 * np.abs(apart).sum() / len(y)
    return np.array([100 * right.mean(), -np.log(np.maximum(own, 1.2e-38)).mean(), errors])


def measure(seed: int, found: dict[tuple[str, str], list[Floats]]) -> None:
    """Add what every method and rule makes of the tasks of one seed."""

    def add(method: str, rule: str, probs: Floats, y: Ints) -> None:
        found.setdefault((method, rule), []).append(judge(probs, y))

    def run(make: Callable[[], Any], fit: Any, y: Ints, target: Any) -> Floats:
        model = make().fit(fit, y)
        if hasattr(model, "adapt_to"):
            model = model.adapt_to(target)
        return np.asarray(model.predict_proba(target))

    for models, y, truth in tasks(seed):
        for scores in models.values():
            if not (scores.fit == 0).any():
                continue
            add("one model", "as given", scores.target, truth)
            for name, make in CALIBRATORS.items():
                for rule in RULES:
                    fit, target = scores.both if rule == RULES[1] else scores.logs(rule)
                    add(name, rule, run(make, fit, y, target), truth)
        for mix in MIXES:
            members = [models[name] for name in mix]
            best = max(members, key=lambda each: np.mean(each.fit.argmax(axis=1) == y))
            add("best member", "as given", best.target, truth)
            add("soft", "as given", np.mean([m.target for m in members], axis=0), truth)
            for name, make in ENSEMBLES.items():
                for rule in RULES:
                    half = rule == RULES[1]
                    pairs = [m.both if half else m.logs(rule) for m in members]
                    fit, target = ([pair[at] for pair in pairs] for at in (0, 1))
                    add(name, rule, run(make, fit, y, target), truth)


RULES = ("1.2e-38", "half of the least", "1 of k + C votes")


def table(found: Mapping[tuple[str, str], Sequence[Floats]]) -> str:
    """Accuracy / log-loss / calibration error of each method by rule, means over all cells."""
    columns = ("as given", *RULES)
    lines = ["| method | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for method in dict.fromkeys(name for name, _ in found):
        cells = []
        for rule in columns:
            values = found.get((method, rule))
            if values is None:
                cells.append("")
                continue
            accuracy, loss, error = np.mean(values, axis=0)
            cells.append(f"{accuracy:.2f} / {loss:.4f} / {error:.1f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def losses(found: Mapping[tuple[str, str], Sequence[Floats]]) -> str:
    """How often accuracy is more than a point below that of the scores as given."""
    lines = []
    pairs = [("one model", CALIBRATORS), ("best member", ENSEMBLES)]
    for base, methods in pairs:
        before = np.array(found[base, "as given"])[:, 0]
        for name in methods:
            for rule in RULES:
                apart = np.array(found[name, rule])[:, 0] - before
                lines.append(
                    f"{name}, {rule}: {np.sum(apart < -1)} of {len(apart)} cells lose more than a "
                    f"point, the worst {apart.min():+.2f}"
                )
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gains.zeros", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    found: dict[tuple[str, str], list[Floats]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(given.seeds):
            measure(seed, found)
    print(table(found))
    print()
    print(losses(found))


if __name__ == "__main__":
    main()
