"""Log pool of least log-loss: weights w >= 0 of several predictions, and a class bias.

Over w and b, it minimizes

    -1/n Σ_i log softmax(Σ_a w_a log P_ai + b)_{y_i} + λ/2n Σ_a (w_a - m_a)² + λ_b/2n Σ_c b_c²

by Newton's method; m is 1/A unless another is given. The problem is convex, and the quadratic
models keep to w >= 0. Given doubts h in [0, 1] of every prediction in every row, each counts as
two, (1 - h) log P and h log P, so that its weight moves with h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from postproc.calibration.affine import Floats, Ints
from postproc.scores.arrays import row_sums
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks

#: Decrease of the loss, promised by a Newton step, that is not worth the step.
DROP = 1e-11

#: Shortest share of a Newton step.
SHORTEST = 1e-8

#: Share of the largest curvature that keeps a singular one invertible.
JITTER = 1e-12

#: With more rows times classes, the fit starts from that to about as many.
START_SIZE = 2_000_000


#: A product of matrices wants some rows, more than fit the cache beside what is weighted.
ROWS_OF_PRODUCT = 512


@dataclass(frozen=True)
class PoolTask:
    """Log-probabilities (A, n, C), perhaps with their doubts (A, n), and classes (n,)."""

    logs: NDArray[Any]
    y: Ints
    doubts: Floats | None = None
    centre: Floats | None = None  # m, (A,) or (2 A,)

    @property
    def middle(self) -> Floats:
        """The weights that the prior draws to, one for each."""
        equal = np.full(self.n_weights, 1 / self.n_weights)
        return equal if self.centre is None else self.centre

    @property
    def n_weights(self) -> int:
        """The number of weights, A or 2 A."""
        return len(self.logs) * (1 if self.doubts is None else 2)

    def take(self, rows: Ints) -> Self:
        """Some of the rows."""
        doubts = None if self.doubts is None else self.doubts[:, rows]
        return type(self)(self.logs[:, rows], self.y[rows], doubts, self.centre)

    def read(self, rows: slice | Ints) -> Floats:
        """What is weighted, in float64: shape (A, k, C) or (2 A, k, C), first all (1 - h) log P."""
        part = self.logs[:, rows].astype(np.float64)
        if self.doubts is None:
            return part
        doubtful = self.doubts[:, rows, None] * part
        return np.concatenate([part - doubtful, doubtful])


@dataclass(frozen=True)
class PoolFit:
    """What the optimiser found."""

    weights: Floats
    bias: Floats
    loss: float = float("nan")
    converged: bool = True
    n_iter: int = 0

    def log_scores(self, logs: Floats) -> Floats:
        """Σ_a w_a log P_a + b, shape (k, C), from all that is weighted, (A, k, C)."""
        return weighted_sum(self.weights, logs) + self.bias


def weighted_sum(weights: Floats, logs: Floats) -> Floats:
    """Σ_a w_a log P_a."""
    return np.asarray((weights @ logs.reshape(len(logs), -1)).reshape(logs.shape[1:]))


def fit_log_pool(
    task: PoolTask,
    *,
    ridge: float = 1.0,
    bias_ridge: float | None = None,
    start: PoolFit | None = None,
    max_iterations: int = 100,  # it needs about ten
) -> PoolFit:
    """Minimize the objective; without `bias_ridge` there is no bias."""
    n_rows, n_classes = task.logs.shape[1:]
    centre = task.middle
    w, b = centre, np.zeros(n_classes)
    stride = n_rows * n_classes // START_SIZE
    if start is None and stride > 1:
        few = task.take(np.arange(0, n_rows, stride))
        start = fit_log_pool(few, ridge=ridge, bias_ridge=bias_ridge)
    if start is not None:
        w, b = start.weights, start.bias
    everyone = slice(0, n_rows)

    def at(w: Floats, b: Floats) -> PoolCurves:
        curves = PoolCurves.at(task, everyone, w, b, with_bias=bias_ridge is not None)
        return curves.penalized(w - centre, b, ridge, bias_ridge or 0.0)

    curves = at(w, b)
    for n_iter in range(max_iterations):
        step_w, step_b = curves.newton_step(w)
        drop = -float(curves.slope_w @ step_w + curves.slope_b @ step_b)
        if drop <= DROP:
            return PoolFit(w, b, curves.loss, True, n_iter)
        length = 1.0
        while True:
            new_w, new_b = w + length * step_w, b + length * step_b
            new = at(new_w, new_b)
            if new.loss <= curves.loss - 1e-4 * length * drop:
                break
            length /= 4.0
            if length < SHORTEST:  # rounding errors hide what is left to gain
                return PoolFit(w, b, curves.loss, drop <= 1e4 * DROP, n_iter)
        w, b, curves = new_w, new_b, new
    return PoolFit(w, b, curves.loss, False, max_iterations)


def left_out_scores(
    task: PoolTask, fit: PoolFit, folds: Ints, *, ridge: float, bias_ridge: float | None
) -> Floats:
    """Scores of each fold (n, C) by the fit that one Newton step makes of `fit` without the fold.

    One pass gives all: sums over the other folds are sums over all rows less those of the fold.
    """
    n_rows, n_classes = task.logs.shape[1:]
    rows = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    weights, bias, with_bias = fit.weights, fit.bias, bias_ridge is not None
    inside = [PoolCurves.at(task, held, weights, bias, with_bias=with_bias) for held in rows]
    total = PoolCurves.sum(inside)
    out = np.empty((n_rows, n_classes))
    for held, own in zip(rows, inside, strict=True):
        rest = total.less(own)
        if rest.n_rows:
            rest = rest.penalized(weights - task.middle, bias, ridge, bias_ridge or 0.0)
            step_w, step_b = rest.newton_step(weights)
            moved = PoolFit(weights + step_w, bias + step_b)
        else:
            moved = fit
        for block in _blocks(len(held), task):
            out[held[block]] = moved.log_scores(task.read(held[block]))
    return out


def _blocks(n_rows: int, task: PoolTask) -> list[slice]:
    size = DEFAULT_SIZES.cached // 4
    return list(row_blocks(n_rows, task.logs.shape[2], block_bytes=size))


@dataclass(frozen=True)
class PoolCurves:
    """Mean log-loss of a log pool on some rows, and its derivatives in weights w and bias b."""

    n_rows: int
    loss: float
    slope_w: Floats  # (A,)
    slope_b: Floats  # (C,); zero without a bias, as are the curves in it
    curve_w: Floats  # (A, A)
    curve_wb: Floats  # (A, C)
    curve_b: Floats  # (C, C)

    @classmethod
    def at(
        cls, task: PoolTask, rows: slice | Ints, w: Floats, b: Floats, *, with_bias: bool
    ) -> Self:
        """Sum them over blocks of the rows, a slice from 0 or numbers of rows."""
        n_rows = rows.stop if isinstance(rows, slice) else len(rows)
        n_weights, n_classes = len(w), len(b)
        loss, slope_w, curve_w = 0.0, np.zeros(n_weights), np.zeros((n_weights, n_weights))
        slope_b, curve_wb = np.zeros(n_classes), np.zeros((n_weights, n_classes))
        products = np.zeros((n_classes, n_classes))
        together: list[Floats] = []
        blocks = _blocks(n_rows, task)
        for block in blocks:
            these = block if isinstance(rows, slice) else rows[block]
            part, mine = task.read(these), task.y[these]
            flat = part.reshape(n_weights, -1)
            z = (w @ flat).reshape(part.shape[1:]) + b
            z -= z.max(axis=1, keepdims=True)
            picked = np.arange(len(z)), mine
            loss -= float(z[picked].sum())
            np.exp(z, out=z)
            total = row_sums(z)
            loss += float(np.log(total).sum())
            z /= total[:, None]
            weighed = part * z
            expected = np.einsum("akc->ak", weighed)
            slope_w += (expected - part[:, picked[0], mine]).sum(axis=1)
            curve_w += weighed.reshape(n_weights, -1) @ flat.T - expected @ expected.T
            if with_bias:
                slope_b += z.sum(axis=0)
                curve_wb += weighed.sum(axis=1) - expected @ z
                together.append(z)
                if block is blocks[-1] or sum(map(len, together)) >= ROWS_OF_PRODUCT:
                    probs = np.concatenate(together)
                    products -= probs.T @ probs
                    together = []
        if with_bias:
            products[np.diag_indices(n_classes)] += slope_b
            y = task.y[:n_rows] if isinstance(rows, slice) else task.y[rows]
            slope_b -= np.bincount(y, minlength=n_classes)
        parts = (slope_w, slope_b, curve_w, curve_wb, products)
        return cls(n_rows, loss / n_rows, *(part / n_rows for part in parts))

    @classmethod
    def sum(cls, parts: list[Self]) -> Self:
        """The curves of all rows of several."""
        whole = parts[0]
        for part in parts[1:]:
            whole = whole._with(part, 1)
        return whole

    def less(self, part: Self) -> Self:
        """The curves of the rows that are not in `part`."""
        return self._with(part, -1)

    def _with(self, part: Self, sign: int) -> Self:
        n_rows = self.n_rows + sign * part.n_rows
        mine, its = self.n_rows / max(n_rows, 1), sign * part.n_rows / max(n_rows, 1)
        return type(self)(
            n_rows,
            mine * self.loss + its * part.loss,
            mine * self.slope_w + its * part.slope_w,
            mine * self.slope_b + its * part.slope_b,
            mine * self.curve_w + its * part.curve_w,
            mine * self.curve_wb + its * part.curve_wb,
            mine * self.curve_b + its * part.curve_b,
        )

    def penalized(self, w: Floats, b: Floats, ridge: float, bias_ridge: float) -> Self:
        """Add (ridge ‖w‖² + bias_ridge ‖b‖²)/2n."""
        ridge, bias_ridge = ridge / self.n_rows, bias_ridge / self.n_rows
        return type(self)(
            self.n_rows,
            self.loss + float(ridge * (w @ w) + bias_ridge * (b @ b)) / 2,
            self.slope_w + ridge * w,
            self.slope_b + bias_ridge * b,
            self.curve_w + ridge * np.eye(len(w)),
            self.curve_wb,
            self.curve_b + bias_ridge * np.eye(len(b)),
        )

    def newton_step(self, w: Floats) -> tuple[Floats, Floats]:
        """Steps in w and b to the minimum of the quadratic model that keeps the weights >= 0."""
        from scipy.linalg import cho_factor, cho_solve
        from scipy.optimize import nnls

        curve, slope, step_b = self.curve_w, self.slope_w, np.zeros_like(self.slope_b)
        with_bias = bool(self.curve_b.any())
        if with_bias:  # b is eliminated
            right = np.column_stack([self.curve_wb.T, self.slope_b])
            solved = cho_solve(cho_factor(self.curve_b), right)
            curve = curve - self.curve_wb @ solved[:, :-1]
            slope = slope - self.curve_wb @ solved[:, -1]
        jitter = JITTER * max(float(np.diag(self.curve_w).max()), JITTER)
        root = np.linalg.cholesky(curve + jitter * np.eye(len(w)))
        new, _ = nnls(root.T, np.linalg.solve(root, curve @ w - slope), maxiter=100 * len(w))
        if with_bias:
            step_b = -solved[:, -1] - solved[:, :-1] @ (new - w)
        return new - w, step_b
