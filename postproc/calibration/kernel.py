"""Kernel ridge regression on one-hot labels, with exact leave-one-out predictions.

Features are mapped to Φ, where ΦΦᵀ is the kernel matrix (or, with fewer landmarks than rows, its
Nyström approximation): Φ = K_nm L⁻ᵀ with K_mm = L Lᵀ. With ΦᵀΦ = U diag(a) Uᵀ one
eigendecomposition gives every ridge r: predictions F = Ψ(ΨᵀY / (a + r)), Ψ = ΦU, leverages
h_i = Σ_k Ψ_ik² / (a_k + r), and without row i (F_i - h_i Y_i) / (1 - h_i).
"""

from __future__ import annotations

from dataclasses import dataclass

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import Floats, Ints
from postproc.scores.arrays import Array, beside, row_sums
from postproc.scores.blocks import row_blocks

#: Added to the diagonal of the landmarks' kernel matrix, which may be singular.
JITTER = 1e-8


@dataclass(frozen=True)
class KernelScores:
    """Scores k(x, landmarks) @ coef, k(x, z) = exp(-‖x - z‖²/width)."""

    landmarks: Floats
    coef: Floats
    width: float

    def __call__(self, features: Array) -> Array:
        """Scores of shape (k, C), from features of shape (k, p)."""
        landmarks, coef = beside(self.landmarks, features), beside(self.coef, features)
        blocks = [*row_blocks(len(features), len(landmarks))] or [slice(0, 0)]
        parts = [radial_kernel(features[rows], landmarks, self.width) @ coef for rows in blocks]
        return api.array_namespace(features).concat(parts)


def radial_kernel(left: Array, right: Array, width: float) -> Array:
    """Return exp(-‖x - z‖²/width) for all pairs, shape (k, m)."""
    xp = api.array_namespace(left)
    squares = left @ right.T
    squares *= 2.0 / width
    squares -= row_sums(left * left)[:, None] / width
    squares -= row_sums(right * right) / width
    return xp.exp(xp.clip(squares, None, 0.0))


class KernelRidge:
    """The regression of one-hot labels (n, C) on n rows, prepared for every ridge.

    The kernel's width is four times the mean squared distance of two rows.
    """

    def __init__(self, features: Floats, y: Ints, n_classes: int, chosen: Ints) -> None:
        from scipy.linalg import solve_triangular

        centred = features - features.mean(axis=0)
        self.width = max(8.0 * float(np.mean(np.einsum("ij,ij->i", centred, centred))), 1e-12)
        self.landmarks = features[chosen]
        self.y = y
        between = radial_kernel(self.landmarks, self.landmarks, self.width)
        between[np.diag_indices(len(chosen))] += JITTER
        root = np.linalg.cholesky(between)
        kernel = radial_kernel(features, self.landmarks, self.width)
        phi = solve_triangular(root, kernel.T, lower=True, check_finite=False).T
        self.values, axes = np.linalg.eigh(phi.T @ phi)
        self.values = np.maximum(self.values, 0.0)
        self.psi = phi @ axes
        self.to_coef = solve_triangular(root, axes, trans="T", lower=True, check_finite=False)
        self.sums = np.zeros((n_classes, self.psi.shape[1]))
        np.add.at(self.sums, y, self.psi)

    def left_out(self, ridge: float, some: Ints) -> Floats:
        """Scores of some rows, each by a fit to all others, shape (k, C); the landmarks stay."""
        inverse = 1.0 / (self.values + ridge)
        psi = self.psi[some]
        scores = psi @ (self.sums * inverse).T
        leverages = (psi**2) @ inverse
        scores[np.arange(len(some)), self.y[some]] -= leverages
        return np.asarray(scores / (1.0 - leverages)[:, None])

    def scores(self, ridge: float, factor: float = 1.0) -> KernelScores:
        """The fit to all rows, times a factor."""
        inverse = 1.0 / (self.values + ridge)
        coef = factor * (self.to_coef @ (self.sums * inverse).T)
        return KernelScores(self.landmarks, coef, self.width)
