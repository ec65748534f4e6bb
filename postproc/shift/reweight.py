"""Adaptation of probabilities to a class prior: re-weighting and joint normalization."""

from __future__ import annotations

import warnings
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import Floats
from postproc.calibration.score_maps import like_scores
from postproc.scores.arrays import Array, beside
from postproc.scores.checks import check_count, check_number
from postproc.scores.codes import coded
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.prior import class_prior
from postproc.shift.evidence import LEAST_SHARE, check_probabilities
from postproc.shift.prior import TINY, Likelihood


@takes_frames("probs", priors=("source_prior", "target_prior"), returns="scores")
def reweight(probs: Array, source_prior: Any, target_prior: Any) -> Array:
    r"""Turn posteriors under one class prior into posteriors under another.

    .. math:: p'_{ij} \propto p_{ij} q_j / s_j

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Calibrated probabilities under `source_prior`.
    source_prior, target_prior : array_like of shape (C,)
        Class distributions s and q.

    Returns
    -------
    array or tensor of shape (n, C)
        Rows sum to 1. A row with all its mass on classes that the target prior excludes is
        unchanged.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    References
    ----------
    Saerens, Latinne, Decaestecker (2002). Neural Computation 14, equation 2.4.

    Examples
    --------
    >>> reweight([[0.5, 0.5]], [0.5, 0.5], [0.8, 0.2])
    array([[0.8, 0.2]])
    """
    p = check_probabilities(probs)
    n_classes = p.shape[1]
    source = class_prior(source_prior, n_classes=n_classes, kind="vector", name="source_prior")
    target = class_prior(target_prior, n_classes=n_classes, kind="vector", name="target_prior")
    return like_scores(reweight_rows(p, source, target), probs)


def reweight_rows(probs: Array, source: Floats, target: Floats) -> Array:
    """Pure core of `reweight`."""
    return scale_columns(probs, prior_factors(source, target))


def prior_factors(source: Floats, target: Floats) -> Floats:
    """Column factors q_j / s_j from one class prior to another, shape (C,)."""
    return target / np.maximum(source, LEAST_SHARE)


def scale_columns(probs: Array, factors: Floats) -> Array:
    """Scale columns, then rows to sum 1; a row left without mass is unchanged."""
    xp = api.array_namespace(probs)
    scaled = probs * beside(factors, probs)
    total = xp.sum(scaled, axis=1, keepdims=True)
    has_mass = total > 0
    return xp.where(has_mass, scaled / xp.where(has_mass, total, xp.ones_like(total)), probs)


@takes_frames("probs", priors=("prior",), returns="scores")
def joint_normalization(
    probs: Array, prior: Any, *, strength: float = 1.0, max_iter: int = 1000, tol: float = 1e-8
) -> Array:
    """Scale columns to a prior and rows to sum 1, in turn until both hold (Sinkhorn).

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Probabilities.
    prior : array_like of shape (C,)
        Target mean of each column.
    strength : float
        In [0, 1]. With 1 the column means equal `prior`, with 0 columns are unchanged. In between,
        the column factors are the fixed point of c <- (prior / mean)^strength: optimal transport
        with a Kullback-Leibler penalty on the column marginal.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Stop when no logarithm of a column factor moves by more than this.

    Returns
    -------
    array or tensor of shape (n, C)
        Rows sum to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    Warns
    -----
    UserWarning
        If the iteration has not converged.

    References
    ----------
    Chizat, Peyré, Schmitzer, Vialard (2018). Scaling algorithms for unbalanced optimal transport
    problems. Mathematics of Computation 87, section 5.

    Examples
    --------
    >>> joint_normalization([[0.9, 0.1], [0.6, 0.4]], [0.5, 0.5]).round(2)
    array([[0.71, 0.29],
           [0.29, 0.71]])
    """
    p = check_probabilities(probs)
    q = class_prior(prior, n_classes=p.shape[1], kind="vector")
    power = check_number(strength, "strength", low=0.0, high=1.0)
    check_count(max_iter, "max_iter", low=1)
    check_number(tol, "tol", low=0.0)
    factors = match_columns(Likelihood.of(p), q, power, max_iter=max_iter, tol=tol)
    return like_scores(scale_columns(p, factors), probs)


def match_columns(
    sums: Likelihood, prior: Floats, power: float, *, max_iter: int = 1000, tol: float = 1e-8
) -> Floats:
    """Pure core of `joint_normalization`: column factors (C,) from sums over probabilities."""
    factors = np.ones(len(prior))
    for _ in range(max_iter):
        # Column means without their own factors: q / mass would make the columns exact, and its
        # power is the proximal step of the penalty.
        mass = sums.slope(factors) / sums.n_rows
        new = np.where(mass > 0, (prior / np.maximum(mass, TINY)) ** power, factors)
        new /= new.max()
        moved = np.abs(np.log(np.maximum(new, TINY)) - np.log(np.maximum(factors, TINY))).max()
        factors = new
        if moved <= tol:
            return factors
    msg = f"joint normalization has not converged after {max_iter} iterations; raise `max_iter`"
    warnings.warn(coded("converged", msg), UserWarning, stacklevel=4)
    return factors
