"""Inspection: what a prediction file holds, and what in it looks suspicious."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.checks import fail
from postproc.confidence import DEFAULT_TOP_K, top_k_entropy
from postproc.predictions import Predictions

#: Bins of the histograms, each 1/N_BINS wide over [0, 1].
N_BINS = 10


@dataclass(frozen=True)
class Inspection:
    """Figures of one prediction file.

    Attributes
    ----------
    name, kind, dtype : str
        What is inspected.
    rows, classes : int
        Its shape.
    class_names : list of str
        Names of the classes, their numbers where they have none.
    entropy_histogram, confidence_histogram : list of int
        Rows by top-3 entropy and by largest probability, in ten bins of [0, 1].
    mean_entropy, mean_confidence : float
        Means of the two.
    mean_prediction : list of float
        Mean probability of every class.
    predicted : list of int
        Rows that predict each class.
    prior : list of float or None
        The prior that was given.
    prior_distance : float or None
        Total variation between it and the mean prediction.
    suspicions : list of str
        What a user should look at, a sentence each.
    """

    name: str
    kind: str
    dtype: str
    rows: int
    classes: int
    class_names: list[str]
    entropy_histogram: list[int]
    confidence_histogram: list[int]
    mean_entropy: float
    mean_confidence: float
    mean_prediction: list[float]
    predicted: list[int]
    prior: list[float] | None
    prior_distance: float | None
    suspicions: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python objects."""
        return asdict(self)


def inspect_predictions(
    predictions: Predictions, *, prior: NDArray[np.float64] | None = None
) -> Inspection:
    """Measure entropies, confidence and mean prediction, and look for what is suspicious.

    Parameters
    ----------
    predictions : Predictions
        Scores of shape (n, C), n >= 1.
    prior : ndarray of shape (C,), optional
        A class prior to hold the mean prediction against.

    Returns
    -------
    Inspection
        The figures.

    Raises
    ------
    ValueError
        If the prior has another length.
    """
    n_rows, n_classes = predictions.n_rows, predictions.n_classes
    if prior is not None and prior.shape != (n_classes,):
        fail("prior", f"of shape ({n_classes},)", f"shape {prior.shape}")
    entropies, confidences = np.zeros(N_BINS, dtype=int), np.zeros(N_BINS, dtype=int)
    sums = {"entropy": 0.0, "confidence": 0.0}
    mass = np.zeros(n_classes)
    predicted = np.zeros(n_classes, dtype=int)
    tied, zeros, largest, alike = 0, 0, 0.0, True
    first = predictions.probabilities(slice(0, 1))
    for rows in predictions.blocks():
        probs = predictions.probabilities(rows)
        entropy = top_k_entropy(probs, min(DEFAULT_TOP_K, n_classes))
        confidence = probs.max(axis=1)
        entropies += _histogram(entropy)
        confidences += _histogram(confidence)
        sums["entropy"] += float(entropy.sum())
        sums["confidence"] += float(confidence.sum(dtype=np.float64))
        mass += probs.sum(axis=0, dtype=np.float64)
        predicted += np.bincount(probs.argmax(axis=1), minlength=n_classes)
        tied += int(((probs == confidence[:, None]).sum(axis=1) > 1).sum())
        zeros += int((probs == 0).sum())
        largest = max(largest, float(confidence.max()))
        alike = alike and bool((probs == first).all())
    suspicions = list(_suspicions(predictions, tied, zeros, largest, alike and n_rows > 1))
    if (predicted == 0).any() and n_rows >= 10 * n_classes:
        never = [predictions.class_name(int(j)) for j in np.flatnonzero(predicted == 0)]
        shown = ", ".join(never[:3]) + (", ..." if len(never) > 3 else "")
        suspicions.append(f"{len(never)} of {n_classes} classes are never predicted ({shown})")
    mean = mass / n_rows
    return Inspection(
        name=predictions.name,
        kind=predictions.kind,
        dtype=str(predictions.scores.dtype),
        rows=n_rows,
        classes=n_classes,
        class_names=[predictions.class_name(j) for j in range(n_classes)],
        entropy_histogram=entropies.tolist(),
        confidence_histogram=confidences.tolist(),
        mean_entropy=sums["entropy"] / n_rows,
        mean_confidence=sums["confidence"] / n_rows,
        mean_prediction=mean.tolist(),
        predicted=predicted.tolist(),
        prior=None if prior is None else prior.tolist(),
        prior_distance=None if prior is None else float(np.abs(mean - prior).sum() / 2),
        suspicions=suspicions,
    )


def _histogram(values: NDArray[Any]) -> NDArray[np.int64]:
    bins = np.minimum((values * N_BINS).astype(np.int64), N_BINS - 1)
    return np.bincount(bins, minlength=N_BINS)


def _suspicions(
    predictions: Predictions, tied: int, zeros: int, largest: float, alike: bool
) -> list[str]:
    n_rows, n_classes = predictions.n_rows, predictions.n_classes
    # The softmax of probabilities cannot pass the value that it gives to a one-hot row.
    ceiling = math.e / (math.e + n_classes - 1)
    found = []
    if predictions.kind == "probs" and largest <= ceiling * (1 + 1e-6):
        found.append(
            f"softmaxed twice? the largest probability is {largest:.4f} and never passes "
            f"e/(e + C - 1) = {ceiling:.4f}; if so, their logarithm is the first softmax again, "
            "but for a constant in each row"
        )
    if alike:
        found.append("all rows are alike: the predictions say nothing about the rows")
    if tied:
        found.append(
            f"{tied} of {n_rows} rows have ties for the largest score; the lowest class wins them"
        )
    if zeros > 0.5 * n_rows * n_classes:
        share = 100 * zeros / (n_rows * n_classes)
        found.append(f"{share:.0f} % of the probabilities are exact zeros: rounded, or hard votes?")
    return found
