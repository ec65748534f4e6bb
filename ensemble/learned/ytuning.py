"""Y-Tuning: label embeddings, aligned with the members' frozen scores, in a log pool with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.heads import label_losses, warn_unseen
from ensemble.learned.label_embeddings import LabelEmbeddings, Matrix
from ensemble.learned.log_pool import warn_unconverged
from ensemble.members import Members
from ensemble.training.head_methods import (
    LEAST_ROWS,
    PLAIN,
    TrainingChoice,
    check_training,
    choose_methods,
    gain_of,
)
from postproc.calibration.log_pool import PoolTask, fit_log_pool, weighted_sum
from postproc.evaluation.folds import row_order
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_count, check_number

if TYPE_CHECKING:
    from ensemble.learned.triplets import Training


class YTuning(Ensemble):
    r"""Learned log pool of the members and of label embeddings aligned with their scores.

    .. math:: p = \mathrm{softmax}(\sum_m w_m \log P_m + w \, h(x) \cdot e_y), \quad h(x) = f(x) A

    f(x) are the calibrated log-probabilities of all members side by side. They stay as they are;
    the embeddings e_y of the labels and the map A are learned by a triplet loss,

    .. math:: L = \max(0, \gamma - h(x) \cdot e_y + \max_{y' \ne y} h(x) \cdot e_{y'}).

    That is (M + 1) C d parameters where stacking has M C². The weights are those of the least
    out-of-fold log-loss. The embeddings are left out (w = 0, the log pool of the members) unless
    the interval of their out-of-fold gain lies above zero.

    Parameters
    ----------
    dimension : int, optional
        Dimension d >= 1 of the embeddings, at most C; None takes 8.33 ln C, or C if that is less.
    margin : float
        γ > 0.
    epochs : int
        Most epochs >= 1.
    patience : int
        Epochs >= 1 without progress on the inner rows, a fifth of the rows, after which training
        ends. The best epoch is kept.
    seeds : int
        Number >= 1 of trainings that are averaged, with embeddings and inner rows of their own.
    training : dict of str to float, "auto" or None
        Training methods, as for `DevilsAdvocate`.
    n_folds : int
        Number of folds >= 2.
    device : {"cpu", "cuda"}
        Where to train. A fitted ensemble needs NumPy only.
    seed : int
        Seed of everything random.

    Attributes
    ----------
    embeddings_ : LabelEmbeddings or None
        The embeddings; None if they are left out.
    label_weight_ : float
        Their weight w.
    member_weights_ : ndarray of shape (M,)
        The weights w_m.
    gain_ : ndarray of shape (3,), or None
        Out-of-fold gain of the embeddings over the log pool in log-loss, in nats, and its 95 %
        interval; None with fewer than ten rows or two classes to learn from.
    training_, training_gain_
        As of `DevilsAdvocate`.

    Notes
    -----
    The published method embeds labels by a transformer that attends to the hidden states of a
    frozen language model. Here the states are saved scores, and a map and dot products take its
    place; the triplet loss is recalled, with the label that scores highest as the wrong one.

    References
    ----------
    Liu, An, Qiu (2022). Y-Tuning: An Efficient Tuning Paradigm for Large-Scale Pre-Trained Models
    via Label Representation Learning. arXiv:2202.09817.

    Examples
    --------
    >>> a = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]] * 5
    >>> YTuning(seeds=1).fit([a, a], [0, 0, 1, 1] * 5).predict([a, a])[:4]
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        dimension: int | None = None,
        margin: float = 1.0,
        epochs: int = 100,
        patience: int = 5,
        seeds: int = 3,
        training: TrainingChoice = None,
        n_folds: int = 5,
        device: Literal["cpu", "cuda"] = "cpu",
        seed: int = 0,
    ) -> None:
        self.dimension = dimension
        self.margin = margin
        self.epochs = epochs
        self.patience = patience
        self.seeds = seeds
        self.training = training
        self.n_folds = n_folds
        self.device = device
        self.seed = seed

    @property
    def part_weights_(self) -> dict[str, float]:
        """The weight of the label embeddings; none where they are left out."""
        return {"label embeddings": self.label_weight_} if self.label_weight_ else {}

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        from ensemble.learned.triplets import Rehearsal

        how, methods = self._check_options(members.n_classes), check_training(self.training)
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        n_seeds = check_count(self.seeds, "seeds", low=1)
        seed = check_count(self.seed, "seed", low=0)
        fate = "they keep what the log pool of the members gives them"
        warn_unseen(y, members.n_classes, self.class_names_, fate=fate)
        logs = members.log_tensor(slice(0, len(y)))
        order = row_order(logs, y, seed)
        logs, y = logs[:, order], y[order]
        pool = fit_log_pool(PoolTask(logs, y))
        warn_unconverged(pool.converged, pool.n_iter)
        self.member_weights_, self.label_weight_ = pool.weights, 0.0
        self.embeddings_: LabelEmbeddings | None = None
        self.gain_: Matrix | None = None
        self.training_: dict[str, float] = {}
        self.training_gain_: Matrix | None = None
        if len(np.unique(y)) < 2 or len(y) < LEAST_ROWS:
            return
        rehearsal = Rehearsal(logs, y, how, n_folds=n_folds, seed=seed)
        chosen = methods[0] if len(methods) == 1 else PLAIN
        outcome = rehearsal.attempt(chosen)
        if len(methods) > 1:
            tried = {each: rehearsal.attempt(each) for each in methods}
            losses = {each: own.losses for each, own in tried.items()}
            found = choose_methods(outcome.losses, losses, rehearsal.held)
            self.training_gain_, chosen = found.gain, found.chosen
            outcome = tried.get(chosen, outcome)
        self.training_ = chosen.to_dict()
        self.gain_ = gain_of(label_losses(pool.log_scores(logs), y) - outcome.losses)
        if self.gain_[1] > 0:
            weights = outcome.pool.weights
            self.member_weights_, self.label_weight_ = weights[:-1], float(weights[-1])
            self.embeddings_ = rehearsal.final(chosen, n_seeds)

    def _combine(self, members: Members, rows: slice) -> Array:
        logs = members.log_tensor(rows)
        z = weighted_sum(self.member_weights_, logs)
        if self.embeddings_ is not None:
            z += self.label_weight_ * self.embeddings_.scores(logs)
        return softmax(z)

    def _check_options(self, n_classes: int) -> Training:
        from ensemble.devil.fit import check_device
        from ensemble.learned.triplets import Training

        dimension = self.dimension
        if dimension is not None:
            dimension = check_count(dimension, "dimension", low=1, high=n_classes)
        return Training(
            dimension=dimension,
            margin=check_number(self.margin, "margin", low=0.0, open_low=True),
            epochs=check_count(self.epochs, "epochs", low=1),
            patience=check_count(self.patience, "patience", low=1),
            device=check_device(self.device),
        )
