"""Ambiguity of rows: the top-k entropy decides which predictions are ambiguous."""

from __future__ import annotations

import math
from typing import Literal

import array_api_compat as api
import numpy as np

from postproc.scores.arrays import Array, as_array, as_floating
from postproc.scores.binary import as_column, is_one_column, two_columns
from postproc.scores.checks import check_count, fail
from postproc.scores.frames.arguments import takes_frames

TopK = int | Literal["max"]

#: k of the published method, or the number of classes if it is smaller.
DEFAULT_TOP_K = 3

#: Up to FEW largest entries of at least FEW_OF times as many are found by repeated argmax.
FEW = 5
FEW_OF = 32


def check_top_k(top_k: object, n_classes: int) -> TopK:
    """Return `top_k` if it is "max" or an integer in 2..n_classes."""
    if isinstance(top_k, str):
        if top_k != "max":
            fail("top_k", f'"max" or an integer in 2..{n_classes}', repr(top_k))
        return "max"
    return check_count(top_k, "top_k", low=2, high=n_classes)


@takes_frames("probs", returns="rows")
def top_k_entropy(probs: Array, k: TopK = DEFAULT_TOP_K) -> Array:
    r"""Entropy of the k largest entries of each row, renormalized and scaled to [0, 1].

    .. math:: H = -\sum_{j=1}^{k} \hat p_j \log \hat p_j / \log k

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Rows of non-negative numbers with a positive sum.
    k : int in 2..C or "max"
        Number of entries; "max" takes the largest H over all k in 2..C.

    Returns
    -------
    array or tensor of shape (n,)
        Entropies, in units of log k: 0 if one class has all mass, 1 if the k largest are equal.

    Raises
    ------
    TypeError
        If k is neither an integer nor "max".
    ValueError
        If k lies outside 2..C or `probs` is not two-dimensional.

    References
    ----------
    Jia, Reiter, Lim, Artzi, Cardie (2021). When in Doubt: Improving Classification Performance
    with Alternating Normalization. Findings of EMNLP, equation 1. arXiv:2109.13449.

    Examples
    --------
    >>> top_k_entropy([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], 2).round(6)
    array([1., 0.])
    """
    p = as_floating(as_array(probs, "probs"))
    if is_one_column(p):
        p = two_columns(as_column(p), "probs")
    if p.ndim != 2:
        fail("probs", "two-dimensional, (rows, classes)", f"shape {tuple(p.shape)}")
    xp = api.array_namespace(p)
    k = check_top_k(k, p.shape[1])
    p = xp.astype(_largest(p, p.shape[1] if k == "max" else k), xp.float64)
    # With S = Σ p and T = Σ p log p over the k largest, H = (log S - T / S) / log k.
    terms = p * xp.log(xp.where(p > 0, p, xp.ones_like(p)))
    if k == "max":
        mass, terms = (xp.cumulative_sum(x, axis=1)[:, 1:] for x in (p, terms))
        widths = xp.arange(2, p.shape[1] + 1, dtype=xp.float64, device=api.device(p))
        entropy = xp.max((xp.log(mass) - terms / mass) / xp.log(widths), axis=1)
    else:
        mass, terms = xp.sum(p, axis=1), xp.sum(terms, axis=1)
        entropy = (xp.log(mass) - terms / mass) / math.log(k)
    return xp.clip(entropy, 0.0, 1.0)


def _largest(p: Array, k: int) -> Array:
    """The k largest entries of each row, in descending order."""
    if api.is_torch_array(p):
        return p.topk(k, dim=1).values
    if k <= FEW and FEW_OF * k <= p.shape[1]:
        each, rest = np.arange(len(p)), p.copy()
        largest = np.empty((len(p), k), p.dtype)
        for i in range(k):  # k times argmax is much faster than a partition
            best = rest.argmax(axis=1)
            largest[:, i] = rest[each, best]
            rest[each, best] = -np.inf
        return largest
    if k < p.shape[1]:
        p = np.partition(p, p.shape[1] - k, axis=1)[:, -k:]
    return np.sort(p, axis=1)[:, ::-1]
