"""Classifiers of texts; settings are fixed, nothing is tuned."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from benchmarks.gains.classifiers import Model, Setting, boosting, neighbours, network

#: Terms that are kept at most, the most frequent ones.
MOST_TERMS = 200_000
#: The sentence encoder where none is named.
DEFAULT_EMBEDDING = "sentence-transformers/all-MiniLM-L6-v2"


class LatentSemantics(TransformerMixin, BaseEstimator):
    """Singular vectors of term weights, as many as there can be, rows of length 1.

    Parameters
    ----------
    components : int
        Most components.
    seed : int
        Seed of the randomized decomposition.
    """

    def __init__(self, components: int = 100, seed: int = 0) -> None:
        self.components = components
        self.seed = seed

    def fit(self, x: Any, y: object = None) -> Self:
        """Learn the components from term weights of shape (n, terms)."""
        components = max(1, min(self.components, min(x.shape) - 1))
        svd = TruncatedSVD(components, random_state=self.seed)
        self.pipeline_ = make_pipeline(svd, Normalizer()).fit(x)
        return self

    def transform(self, x: Any) -> NDArray[np.float64]:
        """Coordinates of shape (n, components)."""
        return np.asarray(self.pipeline_.transform(x))


class SentenceEmbedding(TransformerMixin, BaseEstimator):
    """Sentence embeddings of a frozen encoder; each text is encoded once a process.

    Parameters
    ----------
    name : str
        Name or folder of a sentence-transformers model.
    """

    _vectors: dict[tuple[str, str], NDArray[np.float32]] = {}  # noqa: RUF012 - meant to be shared

    def __init__(self, name: str = DEFAULT_EMBEDDING) -> None:
        self.name = name

    def fit(self, x: NDArray[Any], y: object = None) -> Self:
        """Nothing is learned; encodes the training texts."""
        self.transform(x)
        self.fitted_ = True
        return self

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Embeddings of shape (n, d)."""
        new = list(dict.fromkeys(t for t in x if (self.name, t) not in self._vectors))
        if new:
            from sentence_transformers import SentenceTransformer

            vectors = SentenceTransformer(self.name).encode(new, show_progress_bar=False)
            self._vectors.update(zip(((self.name, t) for t in new), vectors, strict=True))
        return np.stack([self._vectors[self.name, t] for t in x])


def _words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_TERMS)


def _characters() -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=MOST_TERMS
    )


def _latent(setting: Setting, *steps: Any) -> Pipeline:
    return make_pipeline(_words(), LatentSemantics(200, setting.seed), *steps)


TEXT_MODELS: dict[str, Model] = {
    "tfidf_logistic": Model(
        "multinomial logistic regression (C = 10) on TF-IDF of words and pairs; logits",
        "decision_function",
        lambda _: make_pipeline(_words(), LogisticRegression(C=10.0, max_iter=2000)),
    ),
    "char_svm": Model(
        "linear SVM (C = 0.5), one against the rest, on TF-IDF of 2 to 5 characters; margins, "
        "NOT log-odds",
        "decision_function",
        lambda s: make_pipeline(_characters(), LinearSVC(C=0.5, random_state=s.seed)),
    ),
    "multinomial_nb": Model(
        "multinomial naive Bayes (alpha = 0.1) on which words and pairs occur; "
        "log-probabilities, over-confident",
        "predict_log_proba",
        lambda _: make_pipeline(
            CountVectorizer(ngram_range=(1, 2), binary=True, max_features=MOST_TERMS),
            MultinomialNB(alpha=0.1),
        ),
    ),
    "lsa_neighbours": Model(
        "k nearest neighbours by cosine of 200 LSA components, k = rows a class, 10 at most; "
        "probabilities",
        "predict_proba",
        lambda s: _latent(s, neighbours(s)),
    ),
    "lsa_boosting": Model(
        "histogram gradient boosting on 200 LSA components; logits",
        "decision_function",
        lambda s: _latent(s, boosting(s)),
    ),
    "lsa_mlp": Model(
        "network of one hidden layer of 128 units (alpha = 0.01) on 200 LSA components; "
        "probabilities",
        "predict_proba",
        lambda s: _latent(s, StandardScaler(), network(s, 1e-2)),
    ),
    "embedding_logistic": Model(
        "multinomial logistic regression (C = 10) on sentence embeddings; logits",
        "decision_function",
        lambda s: make_pipeline(
            SentenceEmbedding(s.embedding or DEFAULT_EMBEDDING),
            LogisticRegression(C=10.0, max_iter=2000),
        ),
        needs="sentence_transformers",
    ),
}
