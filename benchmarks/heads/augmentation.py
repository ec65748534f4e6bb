"""What variants by word roles gain: python -m benchmarks.heads.augmentation TRAIN.csv TEST.csv."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ensemble import WordRoles
from postproc.evaluation.paired import compare

Texts = tuple[list[str], NDArray[np.str_]]


def read(path: Path) -> Texts:
    """Texts and labels of a table with columns of these names."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([row["label"] for row in rows])


def few(texts: list[str], labels: NDArray[np.str_], shots: int) -> Texts:
    """So many random texts of each label."""
    order = np.random.default_rng(0).permutation(len(texts))
    kept = [at for c in np.unique(labels) for at in order[labels[order] == c][:shots].tolist()]
    return [texts[at] for at in kept], labels[kept]


def main() -> None:
    """Print a row for each use of the variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--shots", type=int, help="texts of each label  [default: all]")
    parser.add_argument("-k", type=int, default=8)
    given = parser.parse_args()
    texts, labels = read(given.train)
    if given.shots:
        texts, labels = few(texts, labels, given.shots)
    target, y = read(given.test)
    roles, k = WordRoles().fit(texts, labels.tolist()), given.k

    def fitted(texts: list[str], labels: NDArray[np.str_]) -> Any:
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=20, max_iter=300))
        return model.fit(texts, labels)

    model = fitted(texts, labels)
    seen = [
        variant
        for at, text in enumerate(target)
        for variant in (text, *roles.variants(text, k, text_id=str(at)))
    ]
    more = [
        variant
        for at, (text, label) in enumerate(zip(texts, labels.tolist(), strict=True))
        for variant in (text, *roles.variants(text, k, label=label, text_id=str(at)))
    ]
    found = {
        "plain": model.predict_proba(target),
        "pooled": model.predict_proba(seen).reshape(len(target), k + 1, -1).mean(axis=1),
        "trained on": fitted(more, np.repeat(labels, k + 1)).predict_proba(target),
    }
    places = np.searchsorted(model.classes_, y)
    base = found["plain"].argmax(axis=1)
    for name, probs in found.items():
        gain = compare(base, probs.argmax(axis=1), places)
        low, high = (100 * limit for limit in gain.gain_ci)
        cells = [
            given.train.stem.split(".")[0],
            "all" if not given.shots else f"{given.shots}",
            name,
            f"{100 * np.mean(probs.argmax(axis=1) == places):.2f}",
            f"{100 * gain.gain:+.2f} [{low:+.2f}, {high:+.2f}]",
            f"{-np.log(probs[np.arange(len(y)), places]).mean():.4f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
