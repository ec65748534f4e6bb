"""The authors' protocol on torch modules: soft vote before, norm vote after, norm minus devil."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ensemble import soft_vote
from ensemble.training.trainer import DevilsAdvocateTrainer

#: What one repeat measures.
COLUMNS = (
    "soft vote before",
    "plain fine-tuning",
    "discussion without devil",
    "norm vote after",
    "norm minus devil",
)

Loaders = tuple[Iterable[Any], Iterable[Any], Iterable[Any], NDArray[np.int64]]


def repeat(
    norm_models: list[nn.Module],
    devil: nn.Module,
    loaders: Loaders,
    seed: int,
    **options: Any,
) -> dict[str, float]:
    """Pretrain once; then the discussion and both controls from the same weights.

    `loaders` are those of the rows to train on, to stop by and to test on, and the labels of the
    last. Accuracies are in per cent.
    """
    train, valid, test, y = loaders
    first = options | {"discussion_epochs": 0, "seed": seed}
    before = DevilsAdvocateTrainer(norm_models, None, **first).fit(train, valid)
    logits = [z.astype(np.float64) for z in before.predict_logits(test).values()]
    votes = {"soft vote before": np.asarray(soft_vote(logits, kinds="logits").argmax(axis=1))}
    options = options | {"pretrain_epochs": 0, "seed": seed}
    for name, weight, opponent in (
        ("plain fine-tuning", 0.0, None),
        ("discussion without devil", 1.0, None),
        ("norm vote after", 1.0, devil),
    ):
        models = [copy.deepcopy(model) for model in norm_models]
        after = DevilsAdvocateTrainer(models, opponent, discussion_weight=weight, **options)
        after.fit(train, valid)
        votes[name] = after.vote(test, 0)
        if opponent is not None:
            votes["norm minus devil"] = after.vote(test, 1)
    return {name: 100 * float(np.mean(vote == y)) for name, vote in votes.items()}


def print_table(results: Mapping[str, list[dict[str, float]]]) -> None:
    """Mean and standard deviation over the repeats, and the paired difference the devil makes."""
    print(f"| setting | {' | '.join(COLUMNS)} | devil's share |\n|{'---|' * (len(COLUMNS) + 2)}")
    for setting, repeats in results.items():
        cells = [spread([r[name] for r in repeats]) for name in COLUMNS]
        share = [r["norm minus devil"] - r["discussion without devil"] for r in repeats]
        print(f"| {setting} | {' | '.join(cells)} | {spread(share)} |", flush=True)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation."""
    return f"{fmean(values):.2f} ± {stdev(values) if len(values) > 1 else 0:.2f}"


def repeated(run: Callable[[int], dict[str, float]], n_repeats: int) -> list[dict[str, float]]:
    """Results of several seeds."""
    return [run(seed) for seed in range(n_repeats)]
