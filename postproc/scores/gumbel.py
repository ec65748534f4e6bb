"""Samples from probabilities by Gumbel noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, beside, softmax
from postproc.scores.checks import check_count, check_number
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind, check_scores, log_probabilities


@takes_frames("scores", returns="scores")
def gumbel_softmax(
    scores: Array, *, temperature: float = 1.0, kind: Kind | None = None, seed: int = 0
) -> Array:
    """Draw a class for each row, relaxed to a distribution.

    softmax((log π - log(-log u)) / τ) with u ~ U(0, 1) for each entry. Its largest entry is class i
    with probability π_i, whatever τ; a small τ comes near to one-hot rows.

    Parameters
    ----------
    scores : array or tensor of shape (n, C)
        Scores of n rows for C classes; π are their probabilities.
    temperature : float
        τ > 0.
    kind : {"logits", "probs", "votes"}, optional
        What the scores are; detected by default.
    seed : int
        Seed of the draw.

    Returns
    -------
    array or tensor of shape (n, C)
        Probabilities; `argmax` along the classes gives the sampled classes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    References
    ----------
    Jang, Gu, Poole (2017). Categorical reparameterization with Gumbel-Softmax. ICLR. Equation 2.

    Examples
    --------
    >>> drawn = gumbel_softmax([[0.5, 0.3, 0.2]] * 4000, temperature=0.1)
    >>> (np.bincount(drawn.argmax(axis=1)) / 4000).round(1)
    array([0.5, 0.3, 0.2])
    """
    tau = check_number(temperature, "temperature", low=0.0, open_low=True)
    generator = np.random.default_rng(check_count(seed, "seed", low=0))
    logs = log_probabilities(*check_scores(scores, kind=kind))
    noise = beside(gumbel_noise(generator, tuple(logs.shape)), logs)
    return softmax((logs + noise) / tau)


def gumbel_noise(
    generator: np.random.Generator, shape: int | tuple[int, ...]
) -> NDArray[np.float64]:
    """-log(-log u), u ~ U(0, 1): argmax(log π + noise) is i with probability π_i."""
    return -np.log(generator.standard_exponential(shape))
