"""Metrics of decided labels that do not exclude each other: zeros and ones (n, m)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.label_metrics import Measured

Matrix = NDArray[Any]


def subset_accuracy(labels: Matrix, decided: Matrix, weights: NDArray[np.float64]) -> Measured:
    """Share of rows whose labels are all right."""
    right = (labels == decided).all(axis=1).astype(np.float64)
    value = float(weights @ right)
    return Measured(value, right - value)


def hamming_loss(labels: Matrix, decided: Matrix, weights: NDArray[np.float64]) -> Measured:
    """Share of labels that are wrong."""
    wrong = (labels != decided).mean(axis=1)
    value = float(weights @ wrong)
    return Measured(value, wrong - value)


def micro_f1(labels: Matrix, decided: Matrix, weights: NDArray[np.float64]) -> Measured:
    """F1 of all labels together; 0 if there is neither label nor decision."""
    both = 2.0 * (labels * decided).sum(axis=1)
    sizes = labels.sum(axis=1, dtype=np.float64) + decided.sum(axis=1)
    size = float(weights @ sizes)
    if size == 0:
        return Measured(0.0, np.full(len(labels), np.nan))
    value = float(weights @ both) / size
    return Measured(value, (both - value * sizes) / size)


def macro_f1(labels: Matrix, decided: Matrix, weights: NDArray[np.float64]) -> Measured:
    """Mean F1 of the labels; 0 for a label that is neither given nor decided."""
    sizes = labels.astype(np.float64) + decided
    both = 2.0 * labels * decided
    size = weights @ sizes
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    f1 = weights @ both * inverse
    return Measured(float(f1.mean()), (both @ inverse - sizes @ (f1 * inverse)) / len(size))
