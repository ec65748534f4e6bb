"""AUC of combinations of six classifiers on made-up tasks of two classes.

    python -m benchmarks.gains.auc [--tasks 12]

Members are scikit-learn's, trained on 1,200 rows; combinations are fitted to their out-of-fold
predictions of these, and judged on 2,800 others. Tasks differ in informative features, clusters of
a class and the share of positives (10, 25 and 50 %).
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

import ensemble

METHODS = {
    "soft": lambda: ensemble.Voting("soft"),
    "rank --over rows": lambda: ensemble.Voting("rank", over="rows"),
    "weights": ensemble.LearnedLogPool,
    "greedy --metric auc": lambda: ensemble.GreedySelection(metric="auc"),
    "blend": ensemble.DiscriminantPool,
}


def measure(seed: int) -> dict[str, float]:
    """AUC of each method on one task less that of the member that is best out of fold."""
    X, y = make_classification(
        4000, 25, n_informative=5 + seed % 8, n_clusters_per_class=1 + seed % 3, class_sep=0.7,
        flip_y=0.08, weights=[(0.5, 0.9, 0.75)[seed % 3]], random_state=seed,
    )  # fmt: skip
    X, X_test, y, y_test = train_test_split(X, y, train_size=1200, random_state=0, stratify=y)
    models = [
        HistGradientBoostingClassifier(max_iter=40, random_state=0),
        RandomForestClassifier(60, random_state=0),
        ExtraTreesClassifier(60, random_state=0),
        KNeighborsClassifier(25),
        LogisticRegression(max_iter=300),
        GaussianNB(),
    ]
    fit = [cross_val_predict(model, X, y, method="predict_proba") for model in models]
    test = [model.fit(X, y).predict_proba(X_test) for model in models]
    best = int(np.argmax([roc_auc_score(y, probs[:, 1]) for probs in fit]))
    single = roc_auc_score(y_test, test[best][:, 1])
    gains = {}
    for name, make in METHODS.items():
        found = np.asarray(make().fit(fit, y).predict_proba(test))
        gains[name] = float(roc_auc_score(y_test, found[:, 1]) - single)
    return gains


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=12)
    warnings.simplefilter("ignore", UserWarning)
    found = [measure(seed) for seed in range(parser.parse_args().tasks)]
    print(
        "| method | mean gain in AUC, points | worst | losing tasks |\n| --- | ---: | ---: | ---: |"
    )
    for name in METHODS:
        gains = 100 * np.array([each[name] for each in found])
        losing = f"{(gains < 0).sum()} of {len(gains)}"
        print(f"| `{name}` | {gains.mean():+.2f} | {gains.min():+.2f} | {losing} |")


if __name__ == "__main__":
    main()
