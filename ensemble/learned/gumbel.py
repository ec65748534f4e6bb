"""A subset of k members, chosen by straight-through Gumbel-Softmax gates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.members import Members
from ensemble.pools import linear_pool
from postproc.scores.arrays import Array, as_numpy, softmax
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import check_count
from postproc.scores.gumbel import gumbel_noise
from postproc.scores.kinds import LEAST_PROBABILITY

Floats = NDArray[np.float64]

#: Temperature of the gates at the first and at the last step.
TEMPERATURES = (1.0, 0.01)

#: Subsets drawn for each step; step and decays of Adam.
DRAWS = 8
STEP, DECAYS, LEAST = 0.1, (0.9, 0.999), 1e-8


class GumbelSelection(Ensemble):
    r"""The mean of k different members, chosen by gates that are trained on the log-loss.

    Each member has a gate with a logit θ. A step draws Gumbel noise g, opens the k gates with the
    highest θ + g and takes the log-loss of the mean of these members. Its gradient flows through
    softmax((θ + g) / τ) instead of the open gates (straight through); τ falls from 1 to .01. Of all
    subsets that were drawn the one with the least log-loss is kept.

    Parameters
    ----------
    size : int
        k >= 1; all members where there are fewer.
    n_steps : int
        Number of steps >= 1.
    seed : int
        Seed of the noise.

    Attributes
    ----------
    member_weights_ : ndarray of shape (M,)
        1/k for the members that were chosen, 0 for the others.
    log_loss_ : float
        Their log-loss on the fit split, in nats.
    n_tried_ : int
        Number of different subsets that were drawn.

    References
    ----------
    Jang, Gu, Poole (2017). Categorical Reparameterization with Gumbel-Softmax. ICLR.

    Examples
    --------
    >>> right, wrong = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.7, 0.3]]
    >>> GumbelSelection(size=1).fit([wrong, right], [0, 1]).member_weights_
    array([0., 1.])
    """

    reads_logs = False

    def __init__(self, *, size: int = 3, n_steps: int = 200, seed: int = 0) -> None:
        self.size = size
        self.n_steps = n_steps
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        size = min(check_count(self.size, "size", low=1), len(members))
        n_steps = check_count(self.n_steps, "n_steps", low=1)
        generator = np.random.default_rng(check_count(self.seed, "seed", low=0))
        losses = _search(_true_probabilities(members, y), size, n_steps, generator)
        chosen = min(losses, key=lambda subset: (losses[subset], subset))
        self.member_weights_ = np.zeros(len(members))
        self.member_weights_[list(chosen)] = 1 / size
        self.log_loss_, self.n_tried_ = losses[chosen], len(losses)

    def _combine(self, members: Members, rows: slice) -> Array:
        chosen = np.flatnonzero(self.member_weights_).tolist()
        probs = [members[m].probabilities(rows) for m in chosen]
        return linear_pool(probs, self.member_weights_[chosen])


def gates(noisy: Floats, size: int, temperature: float) -> tuple[NDArray[np.int64], Floats]:
    """Open gates (draws, k), in order, and relaxed gates (draws, M), from noisy logits."""
    opened = np.sort(np.argsort(-noisy, axis=1, kind="stable")[:, :size], axis=1)
    return opened, np.asarray(softmax(noisy / temperature))


def _true_probabilities(members: Members, y: NDArray[np.int64]) -> Floats:
    """What each member gives to the true classes, (M, n): all that the log-loss of means needs."""
    true = np.empty((len(members), len(y)))
    for rows in row_blocks(len(y), members.n_classes, block_bytes=DEFAULT_SIZES.member):
        for m, member in enumerate(members):
            block = as_numpy(member.probabilities(rows))
            true[m, rows] = block[np.arange(len(block)), y[rows]]
    return true


def _search(
    true: Floats, size: int, n_steps: int, generator: np.random.Generator
) -> dict[tuple[int, ...], float]:
    """The log-loss of each subset that was drawn while the gates were trained."""
    first, last = TEMPERATURES
    theta, mean, square = np.zeros((3, len(true)))
    losses: dict[tuple[int, ...], float] = {}
    slopes: dict[tuple[int, ...], Floats] = {}
    for step in range(1, n_steps + 1):
        temperature = first * (last / first) ** (step / n_steps)
        noisy = theta + gumbel_noise(generator, (DRAWS, len(true)))
        opened, relaxed = gates(noisy, size, temperature)
        gradient = np.zeros(len(true))
        for subset, soft in zip(map(tuple, opened.tolist()), relaxed, strict=True):
            if subset not in losses:
                pooled = np.maximum(true[list(subset)].mean(axis=0), LEAST_PROBABILITY)
                losses[subset] = float(-np.log(pooled).mean())
                slopes[subset] = -(true / pooled).mean(axis=1)
            slope = slopes[subset]
            gradient += soft * (slope - soft @ slope) / (temperature * DRAWS)
        mean += (1 - DECAYS[0]) * (gradient - mean)
        square += (1 - DECAYS[1]) * (gradient**2 - square)
        scaled = square / (1 - DECAYS[1] ** step)
        theta = theta - STEP * mean / (1 - DECAYS[0] ** step) / (np.sqrt(scaled) + LEAST)
    return losses
