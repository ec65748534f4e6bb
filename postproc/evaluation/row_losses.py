"""Metrics that are means over rows of what probabilities say of the label: their row values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail
from postproc.scores.kinds import LEAST_PROBABILITY

Floats = NDArray[np.float64]


def log_losses(labels: NDArray[Any], probs: NDArray[Any]) -> Floats:
    """Negative log-probability of each row's label in nats, (n,); labels (n, m): mean over them."""
    if labels.ndim == 2:
        own = np.where(labels == 1, probs, 1 - probs.astype(np.float64))
        return np.asarray(-np.log(np.maximum(own, LEAST_PROBABILITY)).mean(axis=1))
    own = probs[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.maximum(own, LEAST_PROBABILITY)))


def briers(labels: NDArray[Any], probs: NDArray[Any]) -> Floats:
    """Squared distance to the one-hot label, summed over classes; labels (n, m): mean over them."""
    wide = probs.astype(np.float64)
    if labels.ndim == 2:
        return np.asarray(((wide - labels) ** 2).mean(axis=1))
    wide[np.arange(len(labels)), labels] -= 1
    return np.asarray((wide**2).sum(axis=1))


def top_k_hits(labels: NDArray[Any], probs: NDArray[Any], *, k: int) -> Floats:
    """Whether the label is among the first k by score, then by class: 0 or 1, (n,)."""
    own = probs[np.arange(len(labels)), labels][:, None]
    ahead = (probs > own) | ((probs == own) & (np.arange(probs.shape[1]) < labels[:, None]))
    return np.asarray(ahead.sum(axis=1) < k, dtype=np.float64)


def least_costly(probs: Floats, costs: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The decision of least expected cost, the first of tied ones, and that cost, (n,) each."""
    expected = probs @ costs
    chosen = expected.argmin(axis=1)
    return chosen, np.take_along_axis(expected, chosen[:, None], axis=1)[:, 0]


def costs_of_decisions(labels: NDArray[Any], probs: NDArray[Any], *, costs: Floats) -> Floats:
    """Cost of the decision of least expected cost in each row, (n,)."""
    _check_costs(probs, costs)
    return np.asarray(costs[labels, least_costly(probs, costs)[0]])


def costs_of_labels(labels: NDArray[Any], probs: NDArray[Any], *, costs: Floats) -> Floats:
    """Cost of deciding the likeliest class in each row, (n,), where predictions are labels."""
    _check_costs(probs, costs)
    return np.asarray(costs[labels, probs.argmax(axis=1)])


def _check_costs(probs: NDArray[Any], costs: Floats) -> None:
    if len(costs) != probs.shape[1]:
        rule = f"a table of {probs.shape[1]} classes like the predictions"
        fail("cost", rule, f"{len(costs)}")


def predicted_shares(labels: NDArray[Any], probs: NDArray[Any]) -> Floats:
    """Probability of the second of two classes, (n,)."""
    return np.asarray(probs[:, 1], np.float64)


def observed_shares(labels: NDArray[Any], probs: NDArray[Any]) -> Floats:
    """Whether the label is the second of two classes: 0 or 1, (n,)."""
    return np.asarray(labels == 1, np.float64)


def share_differences(labels: NDArray[Any], probs: NDArray[Any]) -> Floats:
    """How far the probability of the second of two classes exceeds what the label is, (n,)."""
    return predicted_shares(labels, probs) - observed_shares(labels, probs)
