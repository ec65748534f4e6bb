"""Choice of head, λ and vote of a Devil's Advocate ensemble, on out-of-fold outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ensemble.devil.fit import Trained, Training, train_devil, train_norms
from ensemble.devil.heads import Matrix, devil_map, norm_change
from ensemble.learned.heads import label_losses
from ensemble.training.descent import inner_rows
from ensemble.training.head_methods import PLAIN, HeadMethods, Rehearsed, choose_methods
from postproc.calibration.affine import fit_temperature
from postproc.calibration.log_pool import PoolTask, fit_log_pool
from postproc.evaluation.folds import held_out, seed_from, stratified_folds
from postproc.scores.arrays import log_softmax

#: Weights of the devil in the published vote that cross-validation chooses from.
DEVIL_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)

#: The head that learns nothing: members as they are.
UNTOUCHED = "none"


@dataclass(frozen=True)
class Setting:
    """One way to hold the discussion."""

    head: str
    discussion_weight: float
    methods: HeadMethods = PLAIN

    def __str__(self) -> str:
        """How tables and saved models call it."""
        if self.head == UNTOUCHED:
            return UNTOUCHED
        words = [self.head, f"{self.discussion_weight:g}"]
        return ", ".join([*words, *([str(self.methods)] if self.methods.to_dict() else [])])


@dataclass(frozen=True)
class Vote:
    """Weights of a vote, and the log-loss of each row under it."""

    weights: Matrix
    devil_weight: float
    losses: Matrix


@dataclass(frozen=True)
class Choice:
    """What a search has found."""

    setting: Setting
    vote: Vote
    log_losses: dict[str, float]
    rehearsed: Rehearsed | None = None  # of training methods, where they were chosen from


class Rehearsal:
    """Folds of the fit split, with a devil trained on each; heads are tried out on them."""

    def __init__(
        self,
        inputs: Matrix,
        y: NDArray[np.int64],
        how: Training,
        *,
        learned: bool,
        devil_weight: float | None,
        n_folds: int,
        seed: int,
    ) -> None:
        self.inputs, self.y, self.how, self.seed = inputs, y, how, seed
        self.learned, self.devil_weight = learned, devil_weight
        self._votes: dict[tuple[Setting, bool], Vote] = {}
        self.z_0 = np.zeros(inputs.shape[1:])
        self.held: list[NDArray[np.bool_]] = []
        self._heard: list[Matrix] = []
        if how.epochs == 0:
            return
        self.held = held_out(stratified_folds(inputs, y, n_folds, seed))
        for fold, out in enumerate(self.held):
            devil = self._devil(~out, seed_from(self.seed, fold))
            self.z_0[out] = devil_map(inputs[:, out], devil.slopes, devil.biases)
            self._heard.append(devil_map(inputs[:, ~out], devil.slopes, devil.biases))

    def choose(
        self,
        heads: Sequence[str],
        discussion_weights: Sequence[float],
        methods: Sequence[HeadMethods],
        *,
        devil: bool,
    ) -> Choice:
        """Choose by out-of-fold log-loss: first the head, at the first λ, then λ, then methods."""
        plain = methods[0] if len(methods) == 1 else PLAIN
        tried: dict[Setting, Vote] = {}

        def attempt(setting: Setting) -> float:
            tried[setting] = self.vote(setting, devil=devil)
            return float(tried[setting].losses.mean())

        first, *others = discussion_weights
        best = min((Setting(head, first, plain) for head in heads), key=attempt)
        best = min((best, *(Setting(best.head, other, plain) for other in others)), key=attempt)
        if len(heads) > 1:
            untouched = Setting(UNTOUCHED, 0.0)
            attempt(untouched)
            if not _is_gain(tried[untouched].losses - tried[best].losses):
                best = untouched
        rehearsed = None
        if len(methods) > 1 and best.head != UNTOUCHED and self.held:
            kin = {each: replace(best, methods=each) for each in methods}
            for setting in kin.values():
                attempt(setting)
            losses_of = {each: tried[setting].losses for each, setting in kin.items()}
            rehearsed = choose_methods(tried[best].losses, losses_of, self.held)
            best = replace(best, methods=rehearsed.chosen)
        losses = {str(setting): float(vote.losses.mean()) for setting, vote in tried.items()}
        return Choice(best, tried[best], losses, rehearsed)

    def out_of_fold(self, setting: Setting, *, devil: bool) -> Matrix:
        """Logits of the norm models, each row's by heads that have not seen it: (M, n, S)."""
        z = self.inputs.copy()
        if setting.head == UNTOUCHED or self.how.epochs == 0:
            return z
        for fold, out in enumerate(self.held):
            heard = self._heard[fold] if devil else None
            trained = self._norms(~out, heard, setting, seed_from(self.seed, fold))
            z[:, out] += norm_change(self.inputs[:, out], trained.slopes, trained.biases)
        return z

    def vote(self, setting: Setting, *, devil: bool) -> Vote:
        """The vote under a setting, fitted on out-of-fold outputs; each is tried once."""
        key = (setting, devil)
        if key not in self._votes:
            z = self.out_of_fold(setting, devil=devil)
            self._votes[key] = self._fit_vote(z, devil=devil)
        return self._votes[key]

    def _fit_vote(self, z: Matrix, *, devil: bool) -> Vote:
        """Weights of the least log-loss; w = 0 is always on offer."""
        n_members = len(z)
        heard = devil and self.devil_weight != 0 and bool(self.z_0.any())
        if self.learned:
            voters = np.concatenate([z, -self.z_0[None]]) if heard else z
            pool = fit_log_pool(PoolTask(voters, self.y))
            losses = label_losses(pool.log_scores(voters), self.y)
            return Vote(pool.weights[:n_members], float(pool.weights[n_members:].sum()), losses)
        total = z.sum(axis=0)
        offers = DEVIL_WEIGHTS if self.devil_weight is None else (self.devil_weight,)
        votes = []
        for w in offers if heard else (0.0,):
            # The weights say who wins; how sure the vote is must not decide between them.
            logs = log_softmax(total - w * self.z_0)
            losses = label_losses(fit_temperature(logs, self.y) * logs, self.y)
            share = 1 / (n_members + w)
            votes.append(Vote(np.full(n_members, share), w * share, losses))
        return min(votes, key=lambda vote: float(vote.losses.mean()))

    def final(self, setting: Setting, n_seeds: int, *, devil: bool) -> tuple[list[Trained], ...]:
        """Train on all rows, once for each seed: devils and norm models."""
        everyone = np.ones(len(self.y), dtype=bool)
        devils: list[Trained] = []
        norms: list[Trained] = []
        if self.how.epochs == 0:
            return devils, norms
        for k in range(n_seeds):
            seed = seed_from(self.seed, len(self.held) + k)
            heard = None
            if devil:
                devils.append(self._devil(everyone, seed))
                heard = devil_map(self.inputs, devils[-1].slopes, devils[-1].biases)
            if setting.head != UNTOUCHED:
                norms.append(self._norms(everyone, heard, setting, seed))
        return devils, norms

    def _devil(self, rows: NDArray[np.bool_], seed: int) -> Trained:
        inputs, y = self.inputs[:, rows], self.y[rows]
        return train_devil(inputs, y, inner_rows(inputs, y, seed), self.how, seed)

    def _norms(
        self, rows: NDArray[np.bool_], z_0: Matrix | None, setting: Setting, seed: int
    ) -> Trained:
        inputs, y = self.inputs[:, rows], self.y[rows]
        return train_norms(
            inputs,
            y,
            z_0,
            inner_rows(inputs, y, seed),
            self.how,
            seed,
            head=setting.head,
            discussion_weight=setting.discussion_weight,
            methods=setting.methods,
        )


def _is_gain(differences: Matrix) -> bool:
    """Whether the 95 % interval of the mean lies above zero."""
    if len(differences) < 2:
        return False
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(differences.mean() > NormalDist().inv_cdf(0.975) * error)
