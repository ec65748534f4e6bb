r"""One cut of the log-odds of each label for the F1 of many labels, shrunk to a cut in common.

At cut t a label with P positive rows has T(t) right ones among D(t) decided. Its F1 is that of its
own rows and of λ positive rows of an average label, with the rates of all labels together:

.. math:: F(t) = 2 (T + \lambda T_*) / (P + \lambda + D + \lambda D_*)

So a label with few positive rows keeps close to the cut that is best for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.decisions.rules import Floats

#: Cuts that are compared, at most; more are taken at even ranks.
MOST_CUTS = 500

#: Micro-F1 as a price of decisions has converged when it moves by less, or after so many steps.
PRICE_TOLERANCE = 1e-9
PRICE_STEPS = 50


@dataclass(frozen=True)
class _Line:
    """Sorted log-odds of positive rows and of all rows."""

    positive: Floats
    every: Floats

    @classmethod
    def of(cls, z: Floats, y: NDArray[Any]) -> _Line:
        """From log-odds and zeros and ones, both (k,)."""
        return cls(np.sort(z[y == 1]), np.sort(z))

    def counts(self, cuts: Floats) -> tuple[Floats, Floats]:
        """Numbers of right and of decided rows at each cut, (g,)."""
        return tuple(  # type: ignore[return-value]  # of two
            (len(own) - np.searchsorted(own, cuts)).astype(np.float64)
            for own in (self.positive, self.every)
        )

    def cuts(self) -> Floats:
        """Cuts between neighbouring values, and beyond them."""
        levels = np.unique(self.every)
        if len(levels) > MOST_CUTS:
            levels = levels[np.linspace(0, len(levels) - 1, MOST_CUTS).astype(np.intp)]
        middles = (levels[1:] + levels[:-1]) / 2
        return np.concatenate([levels[:1] - 1.0, middles, levels[-1:] + 1.0])


def fit_cuts(z: Floats, y: NDArray[Any], strengths: Sequence[float], metric: str) -> Floats:
    """Cuts (strengths, m) of log-odds (n, m) for "macro_f1" or "micro_f1"; infinite λ: in common.

    Rows at a cut or above it have the label.
    """
    lines = [_Line.of(z[:, j], y[:, j]) for j in range(y.shape[1])]
    pool = _Line.of(z.ravel(), y.ravel())
    common = _common_cut(lines, pool, metric)
    found = np.full((len(strengths), len(lines)), common)
    positives = max(1, len(pool.positive))
    for cuts, strength in zip(found, strengths, strict=True):
        if math.isinf(strength):
            continue
        tables = []
        for line in lines:
            own = np.append(line.cuts(), common)
            scale = strength / positives
            right, decided = (
                a + scale * b for a, b in zip(line.counts(own), pool.counts(own), strict=True)
            )
            tables.append((own, right, decided, len(line.positive) + strength))
        if metric == "macro_f1":
            values = [2 * right / (rows + decided) for _, right, decided, rows in tables]
        else:
            price = _price(tables)
            values = [2 * right - price * decided for _, right, decided, _ in tables]
        cuts[:] = [
            _nearest_best(table[0], value, common)
            for table, value in zip(tables, values, strict=True)
        ]
    return found


def _common_cut(lines: Sequence[_Line], pool: _Line, metric: str) -> float:
    """The cut that is best for all labels; of tied ones that nearest to even odds."""
    cuts = pool.cuts()

    def f1(line: _Line) -> Floats:
        right, decided = line.counts(cuts)
        return np.asarray(2 * right / np.maximum(1, len(line.positive) + decided))

    values = f1(pool) if metric == "micro_f1" else np.mean([f1(line) for line in lines], axis=0)
    return _nearest_best(cuts, values, 0.0)


def _price(tables: Sequence[tuple[Floats, Floats, Floats, float]]) -> float:
    """The best micro-F1 F, at which labels maximize 2 T - F D each by itself (Dinkelbach)."""
    price = 0.0
    for _ in range(PRICE_STEPS):
        right = size = 0.0
        for _, true, decided, rows in tables:
            best = int(np.argmax(2 * true - price * decided))
            right, size = right + 2 * true[best], size + rows + decided[best]
        before, price = price, right / max(size, 1e-300)
        if price - before < PRICE_TOLERANCE:
            break
    return price


def _nearest_best(cuts: Floats, values: Floats, centre: float) -> float:
    """Of the best cuts the one nearest to a centre."""
    ties = np.flatnonzero(values >= values.max() - 1e-12)
    return float(cuts[ties[np.abs(cuts[ties] - centre).argmin()]])
