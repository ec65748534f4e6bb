"""Inspection: what a prediction file holds, and what in it looks suspicious."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.files.doubts import kind_doubts, order_doubts
from postproc.scores.arrays import as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, MapBlocks, Sizes, in_order
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.confidence import DEFAULT_TOP_K, top_k_entropy
from postproc.scores.kinds import two_class_rows
from postproc.scores.names import first_few
from postproc.scores.predictions import Predictions
from postproc.scores.prior import class_prior

#: Bins of the histograms, each 1/N_BINS wide over [0, 1].
N_BINS = 10

#: Rows softmaxed twice are probabilities once that is undone, and often have an entry near 0. Flat
#: rows may be so by accident, but then none or many of their entries are near 0, and some below.
#: Both are in shares of 1/C; entries may be a little below 0 by rounding.
NEAR_EDGE, OFF_EDGE = 0.1, 0.02
#: Share and number of rows that must have an entry there.
EDGE_SHARE, LEAST_AT_EDGE = 0.1, 10


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
        Rows by top-3 entropy and by largest probability, in ten bins of [0, 1]; of labels that do
        not exclude each other, rows times labels.
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
    multilabel : bool
        Whether every column is a label of its own.
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
    multilabel: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python objects."""
        return asdict(self)


def inspect_predictions(
    predictions: Any,
    *,
    prior: Any = None,
    declared: bool = False,
    map_blocks: MapBlocks = in_order,
    sizes: Sizes = DEFAULT_SIZES,
) -> Inspection:
    """Measure entropies, confidence and mean prediction, and look for what is suspicious.

    Parameters
    ----------
    predictions : Predictions, or array, tensor or table of shape (n, C)
        Scores, n >= 1.
    prior : array_like of shape (C,), optional
        A class prior to hold the mean prediction against; a Series may name the classes.
    declared : bool
        Whether the kind was declared, and not seen from the values.
    map_blocks : callable
        Takes a function of row slices and the slices, and gives its results in order; as `map`
        does, or with progress, or elsewhere.

    Returns
    -------
    Inspection
        The figures.

    Raises
    ------
    ValueError
        If the prior has another length.
    """
    if not isinstance(predictions, Predictions):
        predictions = Predictions.check(predictions)
    n_rows, n_classes = predictions.n_rows, predictions.n_classes
    if prior is not None and predictions.multilabel:
        fail("prior", "omitted for labels that do not exclude each other", "a prior")
    if prior is not None and not isinstance(prior, np.ndarray):
        prior = class_prior(prior, n_classes=n_classes, classes=predictions.classes)
    if prior is not None and prior.shape != (n_classes,):
        fail("prior", f"of shape ({n_classes},)", f"shape {prior.shape}")
    first = as_numpy(predictions.probabilities(slice(0, 1)))
    cuts = predictions.cuts(sizes)
    sums = reduce(RowSums.merge, map_blocks(InspectRows(predictions, first), cuts, "inspecting"))
    odd = _suspicions(predictions, sums)
    n_entries = n_rows * (n_classes if predictions.multilabel else 1)  # rows of one choice
    if (sums.predicted == 0).any() and n_rows >= 10 * n_classes:
        never = [predictions.class_name(int(j)) for j in np.flatnonzero(sums.predicted == 0)]
        shown = first_few(never)
        what = "labels" if predictions.multilabel else "classes"
        odd.append(f"{len(never)} of {n_classes} {what} are never predicted ({shown})")
    suspicions = kind_doubts(predictions, declared=declared) + order_doubts(predictions)
    suspicions += [coded("suspicious", each) for each in odd]
    mean = sums.mass / n_rows
    return Inspection(
        name=predictions.name,
        kind=predictions.kind,
        dtype=str(predictions.scores.dtype),
        rows=n_rows,
        classes=n_classes,
        class_names=[predictions.class_name(j) for j in range(n_classes)],
        entropy_histogram=sums.entropies.tolist(),
        confidence_histogram=sums.confidences.tolist(),
        mean_entropy=sums.entropy / n_entries,
        mean_confidence=sums.confidence / n_entries,
        mean_prediction=mean.tolist(),
        predicted=sums.predicted.tolist(),
        prior=None if prior is None else prior.tolist(),
        prior_distance=None if prior is None else float(np.abs(mean - prior).sum() / 2),
        suspicions=suspicions,
        multilabel=predictions.multilabel,
    )


@dataclass(frozen=True)
class RowSums:
    """What inspection counts and sums up over rows; histograms and classes are arrays."""

    entropies: NDArray[np.int64]
    confidences: NDArray[np.int64]
    entropy: float
    confidence: float
    mass: NDArray[np.float64]
    predicted: NDArray[np.int64]
    tied: int
    zeros: int
    at_edge: int
    beyond: int
    alike: bool

    def merge(self, other: RowSums) -> RowSums:
        """Over the rows of both."""
        return RowSums(
            self.entropies + other.entropies,
            self.confidences + other.confidences,
            self.entropy + other.entropy,
            self.confidence + other.confidence,
            self.mass + other.mass,
            self.predicted + other.predicted,
            self.tied + other.tied,
            self.zeros + other.zeros,
            self.at_edge + other.at_edge,
            self.beyond + other.beyond,
            self.alike and other.alike,
        )


@dataclass(frozen=True)
class InspectRows:
    """Sums over some rows; `first` is the row that others may all be like, shape (1, C)."""

    predictions: Predictions
    first: NDArray[Any]

    def __call__(self, rows: slice) -> RowSums:
        """Sums over the rows start..stop."""
        n_classes = self.predictions.n_classes
        probs = as_numpy(self.predictions.probabilities(rows))
        predicted = np.bincount(probs.argmax(axis=1), minlength=n_classes)
        alike, mass = bool((probs == self.first).all()), probs.sum(axis=0, dtype=np.float64)
        if self.predictions.multilabel:  # each label of a row is a choice of two classes
            predicted = (probs >= 0.5).sum(axis=0)
            probs = as_numpy(two_class_rows(probs, "probs"))
        entropy = top_k_entropy(probs, min(DEFAULT_TOP_K, probs.shape[1]))
        confidence = probs.max(axis=1)
        least = least_undone(probs) * probs.shape[1]
        return RowSums(
            entropies=_histogram(entropy),
            confidences=_histogram(confidence),
            entropy=float(entropy.sum()),
            confidence=float(confidence.sum(dtype=np.float64)),
            mass=mass,
            predicted=predicted,
            tied=int(((probs == confidence[:, None]).sum(axis=1) > 1).sum()),
            zeros=int((probs == 0).sum()),
            at_edge=int(((least >= -OFF_EDGE) & (least < NEAR_EDGE)).sum()),
            beyond=int((least < -OFF_EDGE).sum()),
            alike=alike,
        )


def least_undone(probs: NDArray[Any]) -> NDArray[np.float64]:
    """The least entry of each row, (k,), were one softmax undone; far below 0 beside a zero."""
    logs = np.log(probs.astype(np.float64).clip(1e-300))
    return np.asarray(logs.min(axis=1) - logs.mean(axis=1) + 1 / probs.shape[1])


def _histogram(values: NDArray[Any]) -> NDArray[np.int64]:
    bins = np.minimum((values * N_BINS).astype(np.int64), N_BINS - 1)
    return np.bincount(bins, minlength=N_BINS)


def _suspicions(predictions: Predictions, sums: RowSums) -> list[str]:
    n_rows, n_classes = predictions.n_rows, predictions.n_classes
    found = []
    is_exclusive = not predictions.multilabel
    is_pressed = sums.beyond == 0 and sums.at_edge >= max(LEAST_AT_EDGE, EDGE_SHARE * n_rows)
    if is_exclusive and predictions.kind == "probs" and is_pressed:
        found.append(
            f"softmaxed twice? undone by one softmax, no row has an entry below 0, and "
            f"{sums.at_edge} of {n_rows} have one just above; if so, undo it with postproc convert "
            "--undo-softmax"
        )
    if sums.alike and n_rows > 1:
        found.append("all rows are alike: the predictions say nothing about the rows")
    if sums.tied and is_exclusive:
        found.append(
            f"{sums.tied} of {n_rows} rows have ties for the largest score; the lowest class wins "
            "them"
        )
    n_entries = n_rows * n_classes * (1 if is_exclusive else 2)
    if sums.zeros > (0.5 if is_exclusive else 0.4) * n_entries:
        share = 100 * sums.zeros / n_entries
        found.append(f"{share:.0f} % of the probabilities are exact zeros: rounded, or hard votes?")
    return found
