"""The protocol on texts: python -m benchmarks.devil.text TRAIN.csv TEST.csv.

Both files have a header; the label is the column `label`, the text the column `text`. The modules
are convolutional networks over word embeddings, learned from scratch.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.devil.protocol import print_table, repeat, repeated

#: Words of a text that are read, and the size of an embedding.
LENGTH, SIZE = 64, 100


class TextCNN(nn.Module):
    """Convolutions of several widths over word embeddings, the largest value of each, a map.

    Kim (2014). Convolutional Neural Networks for Sentence Classification. EMNLP.
    """

    def __init__(self, n_words: int, n_classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, SIZE, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(SIZE, 64, width, padding=width - 1) for width in widths
        )
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(64 * len(widths), n_classes)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Logits of shape (b, C) from word numbers of shape (b, LENGTH)."""
        embedded = self.embedding(words).transpose(1, 2)
        tops = [torch.relu(c(embedded)).amax(dim=2) for c in self.convolutions]
        return self.output(self.dropout(torch.cat(tops, dim=1)))


def read(path: Path) -> tuple[list[list[str]], list[str]]:
    """Words and labels of a file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"text", "label"} - set(rows[0] if rows else ())
    if missing:
        raise SystemExit(f"{path}: needs the columns text and label, and a row or more")
    return [re.findall(r"\w+", row["text"].lower()) for row in rows], [r["label"] for r in rows]


def encode(texts: list[list[str]], vocabulary: dict[str, int]) -> torch.Tensor:
    """Word numbers, 0 beyond the end and 1 for unknown words."""
    numbers = torch.zeros(len(texts), LENGTH, dtype=torch.long)
    for row, words in enumerate(texts):
        found = [vocabulary.get(word, 1) for word in words[:LENGTH]]
        numbers[row, : len(found)] = torch.tensor(found, dtype=torch.long)
    return numbers


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    texts, names = read(given.train)
    test_texts, test_names = read(given.test)
    classes = {name: c for c, name in enumerate(sorted({*names, *test_names}))}
    counts = Counter(word for words in texts for word in words)
    common = sorted(word for word, count in counts.items() if count > 1)
    vocabulary = {word: number for number, word in enumerate(common, start=2)}
    x, y = encode(texts, vocabulary), torch.tensor([classes[name] for name in names])
    target = np.array([classes[name] for name in test_names])
    test = DataLoader(TensorDataset(encode(test_texts, vocabulary), torch.as_tensor(target)), 512)

    def run(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        order = torch.as_tensor(np.random.default_rng(seed).permutation(len(y)))
        inner, rows = order[: len(order) // 10 + 1], order[len(order) // 10 + 1 :]
        train = DataLoader(TensorDataset(x[rows], y[rows]), 64, shuffle=True)
        valid = DataLoader(TensorDataset(x[inner], y[inner]), 512)
        norm_models: list[nn.Module] = [
            TextCNN(len(vocabulary) + 2, len(classes), widths)
            for widths in ((3, 4, 5), (2, 3), (1, 2, 3))
        ]
        return repeat(
            norm_models,
            TextCNN(len(vocabulary) + 2, len(classes), (3, 4, 5)),
            (train, valid, test, target),
            seed,
            pretrain_epochs=given.epochs,
            devil_epochs=given.epochs,
            discussion_epochs=given.epochs,
            device=given.device,
        )

    print_table({given.train.stem: repeated(run, given.repeats)})


if __name__ == "__main__":
    main()
