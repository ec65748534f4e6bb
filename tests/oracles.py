"""Naive loops, written straight from the equations: what the fast code must agree with."""

from __future__ import annotations

import numpy as np


def alternating_normalization_loop(rows, reference, prior, alpha, iterations, smoothing=0):
    """Section 3 of the CAN paper, one ambiguous row after the other; (d, k, C)."""
    rows, reference = np.asarray(rows, float), np.asarray(reference, float)
    n_classes = rows.shape[1]
    prior = np.asarray(prior, float) / np.sum(prior)
    if len(reference) == 0:
        reference = np.eye(n_classes)
    reference = np.vstack([reference] + [np.eye(n_classes)] * smoothing)
    depths = np.empty((iterations, *rows.shape))
    for number, row in enumerate(rows):
        stacked = np.vstack([reference, row])
        for depth in range(iterations):
            stacked = stacked**alpha
            columns = stacked.sum(axis=0)
            stacked = np.divide(stacked, columns, where=columns > 0, out=np.zeros_like(stacked))
            stacked = stacked * prior
            sums = stacked.sum(axis=1, keepdims=True)
            stacked = np.divide(stacked, sums, where=sums > 0, out=np.zeros_like(stacked))
            depths[depth, number] = stacked[-1]
    return depths


def top_k_entropy_loop(probs, k):
    """Equation 1 of the CAN paper, one row after the other."""
    result = []
    for row in np.asarray(probs, float):
        if k == "max":
            result.append(
                max(top_k_entropy_loop([row], size)[0] for size in range(2, len(row) + 1))
            )
            continue
        largest = np.sort(row)[::-1][:k]
        largest = largest / largest.sum()
        result.append(-sum(p * np.log(p) for p in largest if p > 0) / np.log(k))
    return np.array(result)
