"""Training of label embeddings by a triplet loss, in torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ensemble.learned.heads import label_losses, seen_classes
from ensemble.learned.label_embeddings import LabelEmbeddings, Matrix
from ensemble.training.descent import HeadTask, as_tensor, descend, inner_rows
from ensemble.training.head_methods import HeadMethods
from postproc.calibration.dimension import embedding_dimension
from postproc.calibration.features import Calibration
from postproc.calibration.log_pool import PoolFit, PoolTask, fit_log_pool
from postproc.evaluation.folds import held_out, seed_from, stratified_folds

#: Step of Adam.
LEARNING_RATE = 0.003


@dataclass(frozen=True)
class Training:
    """How label embeddings are trained."""

    dimension: int | None
    margin: float
    epochs: int
    patience: int
    device: str


def triplet_loss(z: torch.Tensor, y: torch.Tensor, margin: float) -> torch.Tensor:
    """max(0, γ - z_y + the highest z of another label), scores (n, S), a mean over the rows."""
    right = z.gather(1, y[:, None]).squeeze(1)
    others = z.scatter(1, y[:, None], -torch.inf)
    return functional.relu(margin - right + others.amax(dim=1)).mean()


def train_embeddings(
    start: LabelEmbeddings,
    features: Matrix,
    y: NDArray[np.int64],
    how: Training,
    methods: HeadMethods,
    seed: int,
) -> LabelEmbeddings:
    """Train on features (n, M S) and labels as places among those seen."""
    x, labels = as_tensor(features, how.device), torch.as_tensor(y, device=how.device)
    keys, embeddings = (
        as_tensor(part, how.device).requires_grad_() for part in (start.keys, start.embeddings)
    )

    def losses(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return triplet_loss(inputs @ keys @ embeddings.T, labels[rows], how.margin)[None]

    def judge(rows: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(x[rows] @ keys @ embeddings.T, labels[rows])[None]

    def views(inputs: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        rows = inputs @ keys
        return [(rows, rows @ embeddings.T)]

    best, _ = descend(
        HeadTask((keys, embeddings), lambda rows: x[rows], losses, views),
        judge,
        inner_rows(features, y, seed),
        rate=LEARNING_RATE,
        epochs=how.epochs,
        patience=how.patience,
        device=how.device,
        seed=seed,
        methods=methods,
    )
    return replace(start, keys=best[0], embeddings=best[1])


@dataclass(frozen=True)
class Outcome:
    """Weights of the members and, last, of embeddings; and the out-of-fold log-loss of each row."""

    pool: PoolFit
    losses: Matrix


class Rehearsal:
    """Folds of the fit split, on which label embeddings are tried out."""

    def __init__(
        self, logs: Matrix, y: NDArray[np.int64], how: Training, *, n_folds: int, seed: int
    ) -> None:
        self.logs, self.y, self.how, self.seed = logs, y, how, seed
        self.seen, self.places = seen_classes(y)
        rank = (
            embedding_dimension(max(2, len(self.seen))) if how.dimension is None else how.dimension
        )
        self.dimension = min(len(self.seen), rank)
        self.betas = Calibration.fit(logs, y).betas
        self.features = self._start(0).features(logs)
        self.held = held_out(stratified_folds(self.features, y, n_folds, seed))

    def attempt(self, methods: HeadMethods) -> Outcome:
        """Embeddings of each fold trained without it, in a log pool with the members."""
        scores = np.zeros(self.logs.shape[1:])
        for fold, out in enumerate(self.held):
            trained = self._train(fold, ~out, methods)
            scores[np.ix_(out, self.seen)] = trained.scores_of(self.features[out])
        voters = np.concatenate([self.logs, scores[None]])
        pool = fit_log_pool(PoolTask(voters, self.y))
        return Outcome(pool, label_losses(pool.log_scores(voters), self.y))

    def final(self, methods: HeadMethods, n_seeds: int) -> LabelEmbeddings:
        """The mean of some trainings on all rows."""
        everyone = np.ones(len(self.y), dtype=bool)
        runs = range(len(self.held), len(self.held) + n_seeds)
        return LabelEmbeddings.mean([self._train(run, everyone, methods) for run in runs])

    def _start(self, seed: int) -> LabelEmbeddings:
        return LabelEmbeddings.start(self.betas, self.seen, self.dimension, seed)

    def _train(self, run: int, rows: NDArray[np.bool_], methods: HeadMethods) -> LabelEmbeddings:
        seed = seed_from(self.seed, run)
        features, y = self.features[rows], self.places[rows]
        return train_embeddings(self._start(seed), features, y, self.how, methods, seed)
