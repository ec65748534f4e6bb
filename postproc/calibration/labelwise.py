r"""Logistic maps of many labels at once, each shrunk to a map that all of them share.

With log-odds z_m of members m, the log-odds of label l become

.. math:: \mathrm{logit}\, p'_l = \sum_m w_{lm} z_m + b_l, \quad w_{lm} \ge 0

A normal prior around the shared map, worth λ rows of an average label, keeps a label with few
positive rows close to it. λ is chosen by the log-loss of held-out rows; infinite λ is the shared
map alone. One member is calibration, several are a log pool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.folds import label_folds
from postproc.scores.arrays import Array, beside
from postproc.scores.zeros import Zeros, find_zeros

Floats = NDArray[np.float64]

#: Strengths λ of the prior that cross-validation chooses from, in rows; strong ones first.
STRENGTHS = (math.inf, 1000.0, 300.0, 100.0, 30.0, 10.0)

#: Newton's method stops where a step promises to lower the mean log-loss of a label by less.
TOLERANCE = 1e-12
MAX_STEPS = 100

#: Shortest share of a Newton step.
SHORTEST = 1e-6

#: Curvature that keeps a prior proper where a member says the same of all rows.
LEAST_CURVATURE = 1e-12


@dataclass(frozen=True)
class LabelMaps:
    """Fitted maps of m labels."""

    weights: Floats  # (m, M), none negative
    bias: Floats  # (m,)
    most: Floats | None = None  # larger log-odds of a member count as this, (M,), as do zeros

    def log_odds(self, z: Array) -> Array:
        """Log-odds (n, m) of those of M members, (n, m, M)."""
        xp = api.array_namespace(z)
        if self.most is not None:
            most = beside(self.most, z)
            z = xp.minimum(xp.maximum(z, -most), most)
        return xp.sum(z * beside(self.weights, z), axis=2) + beside(self.bias, z)


@dataclass(frozen=True)
class LabelFit:
    """Maps of labels, and how they were found."""

    maps: LabelMaps
    shared: LabelMaps  # of one label: the map that all are shrunk to
    strength: float  # λ
    held_out: Floats  # log-odds (n, m) of the fit rows, each by a fit without its fold
    log_loss: float  # of these, mean over rows and labels, in nats
    converged: bool
    zeros: list[Zeros]  # of each member


def label_losses(z: Floats, y: NDArray[Any]) -> Floats:
    """Log-losses (n, m) of log-odds (n, m) and labels (n, m), in nats."""
    return np.logaddexp(0.0, np.where(y == 1, -z, z))


def fit_labels(z: Floats, y: NDArray[Any], *, n_folds: int, seed: int) -> LabelFit:
    """Fit maps of log-odds (n, m, M) to labels (n, m)."""
    folds = label_folds(z, y, min(n_folds, len(z)), seed)
    zeros = [find_zeros([log_sigmoid(-np.abs(member))]) for member in np.moveaxis(z, 2, 0)]
    most = None
    if any(each.share for each in zeros):
        log_zeros = np.array([each.log for each in zeros])
        most = np.log1p(-np.exp(log_zeros)) - log_zeros
        z = np.clip(z, -most, most)
    held_out = np.empty((len(STRENGTHS), *y.shape))
    for fold in np.unique(folds):
        held = folds == fold
        for k, maps in enumerate(_path(z[~held], y[~held], STRENGTHS)[0]):
            held_out[k, held] = maps.log_odds(z[held])
    losses = [float(label_losses(each, y).mean()) for each in held_out]
    best = int(np.argmin(losses))
    found, shared, converged = _path(z, y, STRENGTHS[: best + 1])
    maps = replace(found[best], most=most)
    return LabelFit(maps, shared, STRENGTHS[best], held_out[best], losses[best], converged, zeros)


def _path(
    z: Floats, y: NDArray[Any], strengths: Sequence[float]
) -> tuple[list[LabelMaps], LabelMaps, bool]:
    """Maps of each strength, the map they are shrunk to, and whether all have converged."""
    n_rows, n_labels, n_members = z.shape
    x = np.concatenate([z, np.ones((n_rows, n_labels, 1))], axis=2)
    pool = np.append(np.full(n_members, 1 / n_members), 0.0)
    flat = x.reshape(-1, 1, n_members + 1), y.reshape(-1, 1)
    shared, converged = _shrunk(*flat, pool, pool[None], 1.0)
    theta, found = np.repeat(shared, n_labels, axis=0), []
    for strength in strengths:
        if math.isfinite(strength):
            theta, sure = _shrunk(x, y, shared[0], theta, strength)
            converged &= sure
        found.append(LabelMaps(theta[:, :-1], theta[:, -1]))
    return found, LabelMaps(shared[:, :-1], shared[:, -1]), converged


def _shrunk(
    x: Floats, y: NDArray[Any], centre: Floats, start: Floats, strength: float
) -> tuple[Floats, bool]:
    """Maps (m, k) of features (n, m, k), the last one the constant, and whether they converged."""
    p = sigmoid(x @ centre)
    spread = np.einsum("nm,nmk->k", p * (1 - p), x**2) / p.size
    ridge = strength * np.maximum(spread, LEAST_CURVATURE)
    is_free = np.ones(start.shape, np.bool_)
    while True:
        theta, converged = _newton(x, y, centre, np.where(is_free, start, 0.0), ridge, is_free)
        negative = (theta < 0) & is_free
        negative[:, -1] = False
        if not negative.any():
            return theta, converged
        is_free &= ~negative  # those weights are zero, and the others are fitted again


def _newton(
    x: Floats,
    y: NDArray[Any],
    centre: Floats,
    start: Floats,
    ridge: Floats,
    is_free: NDArray[np.bool_],
) -> tuple[Floats, bool]:
    """Newton's method for all labels at once, on the weights (m, k) that are free."""
    n_rows, n_features = len(x), x.shape[2]
    theta = start.copy()

    def loss_at(values: Floats) -> Floats:
        losses = label_losses(np.einsum("nmk,mk->nm", x, values), y).sum(axis=0)
        return np.asarray(losses + ((values - centre) ** 2 @ ridge) / 2)

    loss = loss_at(theta)
    is_open = np.ones(len(theta), np.bool_)  # labels that have not converged
    for _ in range(MAX_STEPS):
        p = sigmoid(np.einsum("nmk,mk->nm", x, theta))
        slope = np.einsum("nm,nmk->mk", p - y, x) + ridge * (theta - centre)
        slope *= is_free
        curve = np.einsum("nm,nmj,nmk->mjk", p * (1 - p), x, x, optimize=True)
        curve[:, np.arange(n_features), np.arange(n_features)] += ridge
        curve *= is_free[:, :, None] & is_free[:, None, :]
        at = np.arange(n_features)
        curve[:, at, at] += ~is_free
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        drop = np.einsum("mk,mk->m", slope, step)
        is_open &= drop > TOLERANCE * n_rows
        if not is_open.any():
            return theta, True
        length = is_open.astype(np.float64)
        while True:
            new = theta - length[:, None] * step
            reached = loss_at(new)
            is_worse = is_open & (reached > loss - 1e-4 * length * drop)
            if not is_worse.any():
                break
            length[is_worse] /= 4
            stuck = is_worse & (length < SHORTEST)  # rounding errors hide what is left to gain
            is_open &= ~stuck
            length[stuck] = 0.0
        theta, loss = new, reached
    return theta, False


def log_sigmoid(z: Floats) -> Floats:
    """Logarithms of the probabilities of log-odds."""
    return -np.logaddexp(0.0, -z)


def sigmoid(z: Floats) -> Floats:
    """Probabilities of log-odds."""
    return np.exp(log_sigmoid(z))
