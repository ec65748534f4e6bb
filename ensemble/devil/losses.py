"""The losses and the vote of the Devil's Advocate, as pure functions on tensors.

Jo, Lim, Zhang (2021). Devil's Advocate: Novel Boosting Ensemble Method from Psychological Findings
for Text Classification. Findings of EMNLP, 2021.findings-emnlp.187.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from postproc.scores.checks import check_choice, check_number, fail

Negatives = Literal["sampled", "expected"]
NEGATIVES = ("sampled", "expected")


def devil_loss(
    z_0: torch.Tensor,
    y: torch.Tensor,
    *,
    negatives: Negatives = "sampled",
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Loss that trains the devil to be wrong: cross-entropy with labels other than the true one.

    .. math:: L = \sum_{r=1}^{C-1} \mathrm{CE}(z_0, \tilde y_r)

    where each ỹ_r is drawn uniformly from the C - 1 wrong classes. Its expectation is C - 1 times
    the mean cross-entropy over the wrong classes.

    Parameters
    ----------
    z_0 : tensor of shape (n, C)
        The devil's logits; C >= 2.
    y : tensor of shape (n,), int64
        True classes.
    negatives : {"sampled", "expected"}
        Whether labels are drawn anew, as published, or the expectation is taken.
    generator : torch.Generator, optional
        Where labels are drawn from, on the device of `z_0`; torch's own by default.

    Returns
    -------
    tensor of shape ()
        Mean over the rows, in nats.

    Raises
    ------
    ValueError
        If `negatives` is another, or there are fewer than two classes.

    Examples
    --------
    >>> devil_loss(torch.zeros(1, 3), torch.tensor([0]), negatives="expected")
    tensor(2.1972)
    """
    check_choice(negatives, "negatives", NEGATIVES)
    n_rows, n_classes = z_0.shape
    if n_classes < 2:
        fail("z_0", "logits of two classes or more", f"{n_classes}")
    if negatives == "sampled":
        steps = torch.randint(
            1, n_classes, (n_rows, n_classes - 1), generator=generator, device=z_0.device
        )
        wrong = (y[:, None] + steps) % n_classes
        return -functional.log_softmax(z_0, dim=1).gather(1, wrong).sum(dim=1).mean()
    right = z_0.gather(1, y[:, None]).squeeze(1)
    return ((n_classes - 1) * z_0.logsumexp(dim=1) - (z_0.sum(dim=1) - right)).mean()


def discussion_loss(
    z: torch.Tensor, z_0: torch.Tensor | None, y: torch.Tensor, *, discussion_weight: float = 1.0
) -> torch.Tensor:
    r"""Losses of the norm models in the discussion with the devil.

    .. math:: L_m = \mathrm{CE}(z_m + \mathrm{softmax}(z_0), y)
              + \lambda \, \mathrm{MSE}(z_m, \mathrm{stopgrad}(z_{next(m)}))

    where next(m) is the next norm model in the ring. The devil's probabilities are added to the
    logits, as published. No gradient reaches the devil or the next model.

    Parameters
    ----------
    z : tensor of shape (K, n, C)
        Logits of the K norm models. Of a single one the next is itself.
    z_0, y
        As for `devil_loss`; without z_0 the devil is left out.
    discussion_weight : float
        λ >= 0, 1 as published; 0 leaves the norm models on their own.

    Returns
    -------
    tensor of shape (K,)
        L_m, means over the rows (and classes, in the MSE).

    Raises
    ------
    ValueError
        If λ is negative.

    Examples
    --------
    >>> z = torch.tensor([[[0.0, 0.0]], [[2.0, 0.0]]])
    >>> discussion_loss(z, None, torch.tensor([0]))
    tensor([2.6931, 2.1269])
    """
    weight = check_number(discussion_weight, "discussion_weight", low=0.0)
    n_models, n_rows, _ = z.shape
    heard = z if z_0 is None else z + functional.softmax(z_0.detach(), dim=1)
    losses = functional.cross_entropy(
        heard.flatten(0, 1), y.expand(n_models, n_rows).flatten(), reduction="none"
    )
    loss = losses.view(n_models, n_rows).mean(dim=1)
    if weight == 0 or n_models == 1:
        return loss
    return loss + weight * (z - z.detach().roll(-1, 0)).square().mean(dim=(1, 2))


def devil_vote(z: torch.Tensor, z_0: torch.Tensor | None, w: float = 1.0) -> torch.Tensor:
    r"""Scores of the vote, :math:`\sum_m z_m - w z_0`; the highest wins.

    Parameters
    ----------
    z, z_0
        As for `discussion_loss`.
    w : float
        Weight of the devil >= 0, 1 as published; 0 is the vote of the norm models alone.

    Returns
    -------
    tensor of shape (n, C)
        Scores.

    Raises
    ------
    ValueError
        If w is negative.

    Examples
    --------
    >>> devil_vote(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[-1.0, 2.0]]), 0.5)
    tensor([[ 1.5000, -1.0000]])
    """
    weight = check_number(w, "w", low=0.0)
    total = z.sum(dim=0)
    return total if z_0 is None or weight == 0 else total - weight * z_0
