"""Classifiers of tables and small images; settings are fixed, nothing is tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from benchmarks.gains.scores import Output

#: Trees of gradient boosting in all; every class grows one a round.
MOST_TREES = 2000


@dataclass(frozen=True)
class Setting:
    """What a classifier may know of its task beside the rows that it is fitted on.

    Attributes
    ----------
    rows : int
        Training rows.
    classes : int
        Number of classes C.
    seed : int
        Seed of the classifier.
    columns : int
        Columns of a table.
    categorical : tuple of int
        Those that hold codes of categories.
    embedding : str
        Name or folder of a sentence-transformers model.
    valid : pair of arrays or None
        The val rows and their labels, for those that stop by them.
    """

    rows: int
    classes: int
    seed: int = 0
    columns: int = 0
    categorical: tuple[int, ...] = ()
    embedding: str = ""
    valid: tuple[Any, Any] | None = None


@dataclass(frozen=True)
class Model:
    """A classifier: how it is built, and which of its outputs is saved.

    Attributes
    ----------
    description : str
        For `--list` and `meta.json`.
    output : str
        Method whose values are the scores.
    build : callable
        From a `Setting` to an unfitted scikit-learn pipeline.
    needs : str or None
        A package that it needs and that may be missing.
    most_rows : int or None
        Training rows beyond which it takes hours.
    """

    description: str
    output: Output
    build: Callable[[Setting], Any]
    needs: str | None = None
    most_rows: int | None = None


def neighbours(setting: Setting) -> KNeighborsClassifier:
    """As many neighbours as a class has rows, ten at most."""
    count = min(10, max(1, setting.rows // setting.classes))
    return KNeighborsClassifier(count, weights="distance")


def boosting(setting: Setting) -> HistGradientBoostingClassifier:
    """Gradient boosting whose leaves shrink with the rows and whose rounds with the classes."""
    return HistGradientBoostingClassifier(
        max_iter=max(20, min(100, MOST_TREES // setting.classes)),
        max_leaf_nodes=15,
        min_samples_leaf=max(1, min(20, setting.rows // (5 * setting.classes))),
        early_stopping=False,
        random_state=setting.seed,
    )


def network(setting: Setting, alpha: float) -> MLPClassifier:
    """One hidden layer."""
    return MLPClassifier((128,), alpha=alpha, max_iter=300, random_state=setting.seed)


def _columns(setting: Setting) -> ColumnTransformer:
    """Numbers: median where missing, then scaled. Categories: one column each of the 50 largest."""
    numbers = [j for j in range(setting.columns) if j not in setting.categorical]
    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    names = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(filled, StandardScaler()), numbers),
            ("categories", names, list(setting.categorical)),
        ]
    )


def _on_columns(classifier: Callable[[Setting], Any]) -> Callable[[Setting], Any]:
    return lambda setting: make_pipeline(_columns(setting), classifier(setting))


TABLE_MODELS: dict[str, Model] = {
    "logistic": Model(
        "multinomial logistic regression (C = 1) on scaled columns; logits",
        "decision_function",
        _on_columns(lambda _: LogisticRegression(C=1.0, max_iter=2000)),
    ),
    "gaussian_nb": Model(
        "Gaussian naive Bayes (variances smoothed by 0.1); log-probabilities, over-confident",
        "predict_log_proba",
        _on_columns(lambda _: GaussianNB(var_smoothing=0.1)),
    ),
    "neighbours": Model(
        "k nearest neighbours, weighted by distance, k = rows a class, 10 at most; probabilities",
        "predict_proba",
        _on_columns(neighbours),
    ),
    "extra_trees": Model(
        "300 extremely randomized trees; probabilities",
        "predict_proba",
        _on_columns(lambda s: ExtraTreesClassifier(300, random_state=s.seed)),
    ),
    "boosting": Model(
        "histogram gradient boosting, 20 to 100 rounds of 15 leaves; logits",
        "decision_function",
        _on_columns(boosting),
    ),
    "mlp": Model(
        "network of one hidden layer of 128 units (alpha = 0.001); probabilities",
        "predict_proba",
        _on_columns(lambda s: network(s, 1e-3)),
    ),
    "rbf_svm": Model(
        "support vector machine with an RBF kernel (C = 10); votes of its pairs, NOT log-odds",
        "decision_function",
        _on_columns(lambda _: SVC(C=10.0)),
        most_rows=20000,
    ),
}
