"""The protocol on texts: python -m benchmarks.devil.text TRAIN.csv TEST.csv.

Both files have a header; the label is the column `label`, the text the column `text`. The modules
are convolutional networks over word embeddings, learned from scratch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.devil.protocol import print_table, repeat, repeated
from benchmarks.gains.csv_dataset import load_csv
from ensemble.training.text import TextCNN, Vocabulary
from ensemble.training.text.batches import TokenBatches

#: Maps of each width of a convolution.
N_MAPS = 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    data, target = load_csv(given.train), load_csv(given.test)
    classes = sorted({*data.classes, *target.classes})
    y, target_y = (
        torch.tensor([classes.index(one.classes[c]) for c in one.y]) for one in (data, target)
    )
    vocabulary = Vocabulary.of(data.x)
    x = vocabulary.encode(data.x)
    test = TokenBatches(vocabulary.encode(target.x), target_y, 512)

    def network(widths: tuple[int, ...]) -> nn.Module:
        return TextCNN(len(vocabulary), len(classes), N_MAPS, widths, dropout=0.5)

    def run(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        order = torch.as_tensor(np.random.default_rng(seed).permutation(len(y)))
        inner, rows = order[: len(order) // 10 + 1], order[len(order) // 10 + 1 :]
        train = TokenBatches(x[rows], y[rows], 64, shuffle=True)
        valid = TokenBatches(x[inner], y[inner], 512)
        return repeat(
            [network(widths) for widths in ((3, 4, 5), (2, 3), (1, 2, 3))],
            network((3, 4, 5)),
            (train, valid, test, target_y.numpy()),
            seed,
            pretrain_epochs=given.epochs,
            devil_epochs=given.epochs,
            discussion_epochs=given.epochs,
            device=given.device,
        )

    print_table({given.train.stem: repeated(run, given.repeats)})


if __name__ == "__main__":
    main()
