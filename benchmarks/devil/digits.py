"""The protocol on scikit-learn's digits, from scratch: python -m benchmarks.devil.digits."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.devil.protocol import Loaders, print_table, repeat, repeated


def dense(width: int, depth: int) -> nn.Module:
    """A small dense network."""
    layers: list[nn.Module] = []
    size = 64
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(0.2)]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, 10))


def convolutional() -> nn.Module:
    """A small convolutional network."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(256, 10),
    )


def loaders(n_labelled: int, seed: int) -> Loaders:
    """Half of the labelled rows to train on, half to stop by; all others to test on."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    inputs = torch.as_tensor(x[order] / 16, dtype=torch.float32)
    labels = torch.as_tensor(y[order])
    cuts = slice(0, n_labelled // 2), slice(n_labelled // 2, n_labelled), slice(n_labelled, None)
    sets = [TensorDataset(inputs[cut], labels[cut]) for cut in cuts]
    train = DataLoader(sets[0], 16, shuffle=True)
    valid, test = (DataLoader(rows, 512) for rows in sets[1:])
    return train, valid, test, y[order][n_labelled:]


def run(n_labelled: int, seed: int) -> dict[str, float]:
    """One repeat: three norm models of unlike kinds and a devil, new rows and new weights."""
    torch.manual_seed(seed)
    norm_models = [dense(64, 1), dense(48, 2), convolutional()]
    return repeat(
        norm_models,
        dense(64, 1),
        loaders(n_labelled, seed),
        seed,
        pretrain_epochs=300,
        devil_epochs=60,
        discussion_epochs=60,
        patience=10,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--labelled", type=int, nargs="+", default=[100, 200])
    given = parser.parse_args()
    print_table(
        {
            f"{n} labelled rows": repeated(lambda seed, n=n: run(n, seed), given.repeats)
            for n in given.labelled
        }
    )


if __name__ == "__main__":
    main()
