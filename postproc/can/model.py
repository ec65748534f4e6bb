"""CAN on a set of predictions: find the ambiguous rows, adjust them, warn of risks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.can.bounds import Condensed, condense
from postproc.can.options import CANOptions
from postproc.can.reference import Reference
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, Sizes
from postproc.scores.checks import fail
from postproc.scores.codes import coded
from postproc.scores.confidence import top_k_entropy
from postproc.scores.names import first_few

#: Warn if the total variation between a target's mean prediction and the prior is larger ...
FAR_FROM_PRIOR = 0.08
#: ... and also this many standard deviations above what chance alone would give.
FAR_BEYOND_CHANCE = 4.0


@dataclass(frozen=True)
class CANModel:
    """A reference and a prior, ready to adjust any rows."""

    options: CANOptions  # with k filled in
    prior: NDArray[np.float64]  # (C,): class prior q
    reference: Reference | Condensed
    n_confident: int  # rows that were found; the reference may be a sample of them
    confident_mass: NDArray[np.float64]  # (C,): sum of these rows

    @classmethod
    def fit(
        cls,
        blocks: Iterable[Array],
        prior: NDArray[np.float64],
        options: CANOptions,
        *,
        seed: int = 0,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> CANModel:
        """Collect the confident rows from blocks of probabilities, each of shape (rows, C)."""
        options = options.check(len(prior))
        parts = [block[~is_ambiguous(block, options), :] for block in blocks]
        xp = api.array_namespace(*parts)
        rows = xp.concat(parts)
        found = Confident.of(rows)
        if options.reference_sample == "stratified":
            rows = rows[xp.asarray(stratified_sample(rows, seed), device=api.device(rows)), :]
        return cls.of(rows, prior, options, found, sizes=sizes)

    @classmethod
    def of(
        cls,
        rows: Array,
        prior: NDArray[np.float64],
        options: CANOptions,
        found: Confident,
        *,
        weights: Array | None = None,
        dtype: Any = None,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> CANModel:
        """The model with these rows (n, C) as its reference, which stand for the confident ones."""
        xp = api.array_namespace(rows)
        reference = Reference.build(
            rows,
            xp.asarray(prior, dtype=xp.float64, device=api.device(rows)),
            alpha=options.alpha,
            iterations=options.iterations,
            smoothing=options.smoothing,
            weights=weights,
            dtype=rows.dtype if dtype is None else dtype,
            sizes=sizes,
        )
        condensed = condense(reference, options.reference_size)
        return cls(options, prior, condensed, found.n_rows, found.mass)

    def adjust(self, probs: Array) -> tuple[Array, Array]:
        """Adjust the ambiguous rows of probabilities (n, C); also return which these are (n,)."""
        xp = api.array_namespace(probs)
        ambiguous = is_ambiguous(probs, self.options)
        adjusted = xp.asarray(probs, copy=True)
        if xp.any(ambiguous):
            adjusted[ambiguous, :] = self.reference.adjust(probs[ambiguous, :])
        return adjusted, ambiguous

    def risks(self, class_names: Iterable[str] | None = None) -> Iterator[str]:
        """Yield what in the reference and prior calls for caution, one sentence each."""
        if self.options.threshold == math.inf:
            yield coded("no-change", "the configuration leaves every row unchanged")
            return
        names = list(class_names or map(str, range(len(self.prior))))
        barred = np.flatnonzero(self.prior == 0)
        if len(barred):
            yield coded(
                "reference",
                f"the prior of {_listing(barred, names)} is zero: no ambiguous row can get "
                f"{'it' if len(barred) == 1 else 'them'}",
            )
        if self.n_confident == 0:
            yield coded(
                "reference",
                "no row is confident, so the identity matrix takes the reference's place; "
                "raise the threshold or use another reference",
            )
        elif self.options.smoothing < 1:
            bare = np.flatnonzero((self.confident_mass < 1) & (self.prior > 0))
            if len(bare):
                yield coded(
                    "reference",
                    f"{_listing(bare, names)} {'has' if len(bare) == 1 else 'have'} less than one "
                    "confident row's worth of mass and may take nearly every ambiguous row; "
                    "increase the smoothing (to 1, say) or the threshold",
                )

    def mismatch(self, mean: NDArray[Any], error: NDArray[Any]) -> str | None:
        """A warning if a target's mean prediction, with standard errors, is far from the prior."""
        if self.options.threshold == math.inf:  # nothing is pulled anywhere
            return None
        distance = 0.5 * float(np.abs(mean - self.prior).sum())
        # Under the prior itself each class is off by |N(0, e²)| / 2, e its standard error.
        chance = float(error.sum()) * np.sqrt(2 / np.pi) / 2
        deviation = float(np.sqrt((error**2).sum() * (1 - 2 / np.pi))) / 2
        if distance <= max(FAR_FROM_PRIOR, chance + FAR_BEYOND_CHANCE * deviation):
            return None
        return coded(
            "far-prior",
            f"the target's mean prediction lies far from the prior (total variation "
            f"{distance:.2f}): CAN pulls ambiguous rows towards the prior, which hurts if the "
            "target's classes are distributed differently; pass the target's own prior, or "
            "calibrate first",
        )


@dataclass(frozen=True)
class Confident:
    """How many confident rows were found, and their sum (C,)."""

    n_rows: int
    mass: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Array) -> Confident:
        """All of these rows (n, C) are confident."""
        xp = api.array_namespace(rows)
        return cls(int(rows.shape[0]), as_numpy(xp.sum(rows, axis=0, dtype=xp.float64)))

    def merge(self, other: Confident) -> Confident:
        """Those of both."""
        return Confident(self.n_rows + other.n_rows, self.mass + other.mass)


class Moments:
    """Mean prediction of a target and its standard error, block by block, without covariances."""

    def __init__(self, n_classes: int) -> None:
        self.n_rows = 0
        self.sums = np.zeros(n_classes)
        self.squares = np.zeros(n_classes)

    def add(self, probs: NDArray[Any]) -> None:
        """Add a block of probabilities of shape (rows, C)."""
        sums = probs.sum(axis=0, dtype=np.float64)
        self.merge(len(probs), sums, np.einsum("ij,ij->j", probs, probs, dtype=np.float64))

    def merge(self, n_rows: int, sums: NDArray[Any], squares: NDArray[Any]) -> None:
        """Add the sums over other rows of probabilities and of their squares, each (C,)."""
        self.n_rows += n_rows
        self.sums += sums
        self.squares += squares

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean prediction, shape (C,)."""
        return self.sums / max(self.n_rows, 1)

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Standard error of the mean prediction, shape (C,)."""
        n_rows = max(self.n_rows, 1)
        variance = np.maximum(self.squares / n_rows - self.mean**2, 0.0)
        return np.sqrt(variance / n_rows)


def is_ambiguous(probs: Array, options: CANOptions) -> Array:
    """Which rows are ambiguous: top-k entropy at or above the threshold."""
    if options.top_k is None:
        fail("top_k", "filled in by `CANOptions.check`", None)
    return top_k_entropy(probs, options.top_k) >= options.threshold


def stratified_sample(rows: Array, seed: int) -> NDArray[np.int64]:
    """Indices of at most max(5C, 1000) rows; each predicted class keeps its share of the rows."""
    return stratified_picks(as_numpy(rows).argmax(axis=1), rows.shape[1], seed)


def stratified_picks(predicted: NDArray[Any], n_classes: int, seed: int) -> NDArray[np.int64]:
    """Indices of `stratified_sample` for rows of these predicted classes."""
    wanted = max(5 * n_classes, 1000)
    if len(predicted) <= wanted:
        return np.arange(len(predicted))
    # A random order within classes, the classes one after another, and every n/wanted-th row.
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(predicted)), predicted))
    picks = (np.arange(wanted) * len(predicted)) // wanted
    return np.sort(order[picks])


def _listing(classes: NDArray[Any], names: list[str]) -> str:
    shown = first_few([names[j] for j in classes])
    if len(classes) == 1:
        return f"class {shown}"
    return f"{len(classes)} classes ({shown})"
