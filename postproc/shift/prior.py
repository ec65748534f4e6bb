r"""Class prior of an unlabelled target.

Under label shift p(x | y) is unchanged and p(y) moves. With calibrated source probabilities p_ij
and the source prior s, the log-likelihood of a target prior q is, up to a constant,

.. math:: l(q) = \sum_i \log \sum_j p_{ij} q_j / s_j

which is concave in q (Saerens, Latinne, Decaestecker, Neural Computation 14, 2002). `em_prior`
maximizes it, `map_prior` adds a Dirichlet penalty, and `bbse_prior` inverts the confusion matrix
instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import array_api_compat as api
import numpy as np

from postproc.calibration.affine import Floats
from postproc.scores.arrays import Array, as_numpy, beside
from postproc.scores.checks import check_count, check_number, fail
from postproc.scores.codes import coded
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.prior import class_prior
from postproc.shift.evidence import (
    LEAST_SHARE,
    PredictionMoments,
    check_probabilities,
    compare_moments,
)

#: Floor of the excess of the test's F over 1, so that the number of pseudo-rows is finite.
LEAST_EXCESS = 1e-3

#: EM stops after this many iterations, or when the entries of q move by less than this in sum.
MAX_ITER = 1000
TOLERANCE = 1e-6

TINY = float(np.finfo(np.float64).tiny)

#: Standard errors on either side of a 95 % interval.
Z_95 = 1.959964


@dataclass(frozen=True)
class PriorEstimate:
    """An estimated class prior.

    Attributes
    ----------
    prior : ndarray of shape (C,)
        Class distribution of the target; sums to 1.
    std : ndarray of shape (C,)
        Standard error of each entry, from the sampling of the target and, for BBSE, of the fit
        rows. Pseudo-rows do not make it smaller.
    n_iter : int
        Number of iterations; 0 for a closed form.
    converged : bool
        Whether the iteration met its tolerance.
    log_likelihood : float or None
        l(prior) - l(source prior), in nats; None if the method has no likelihood.
    strength : float
        Number of pseudo-rows that shrink the estimate to the source prior.
    """

    prior: Floats
    std: Floats
    n_iter: int
    converged: bool
    log_likelihood: float | None
    strength: float = 0.0

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """95 % interval of each entry."""
        return share_interval(self.prior, self.std)


def share_interval(share: Floats, std: Floats) -> tuple[Floats, Floats]:
    """95 % interval of shares, (C,), from their standard errors."""
    reach = Z_95 * std
    return np.maximum(share - reach, 0.0), np.minimum(share + reach, 1.0)


@takes_frames("probs", priors=("source_prior",))
def em_prior(
    probs: Array, source_prior: Any, *, max_iter: int = MAX_ITER, tol: float = TOLERANCE
) -> PriorEstimate:
    r"""Estimate the target prior by maximum likelihood (EM).

    .. math:: r_{ij} \propto p_{ij} q_j / s_j, \quad q \leftarrow \frac{1}{n} \sum_i r_i

    Parameters, result, errors and warnings are those of `map_prior`, without pseudo-rows.

    References
    ----------
    Saerens, Latinne, Decaestecker (2002). Adjusting the Outputs of a Classifier to New a Priori
    Probabilities. Neural Computation 14, equation 2.9.

    Examples
    --------
    >>> probs = [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]
    >>> em_prior(probs, [0.5, 0.5]).prior.round(2)
    array([0.81, 0.19])
    """
    return map_prior(probs, source_prior, strength=0.0, max_iter=max_iter, tol=tol)


@takes_frames("probs", "fit_probs", priors=("source_prior",))
def map_prior(
    probs: Array,
    source_prior: Any,
    *,
    strength: float | None = None,
    fit_probs: Array | None = None,
    max_iter: int = MAX_ITER,
    tol: float = TOLERANCE,
) -> PriorEstimate:
    r"""Estimate the target prior with pseudo-rows that shrink it to the source prior (MAP-EM).

    .. math:: q \leftarrow (\sum_i r_i + \lambda s) / (n + \lambda)

    Without `strength`, the evidence of a shift sets it: λ = n / (F - 1) pseudo-rows of the source
    prior, with F the statistic of `no_shift_test`, which gives the data the weight 1 - 1/F of the
    positive-part James-Stein estimator; and one pseudo-row per class, at most n in all.

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Calibrated probabilities of the target rows.
    source_prior : array_like of shape (C,)
        Class distribution s under which they were calibrated: the mean calibrated prediction of
        the fit split.
    strength : float, optional
        Number λ >= 0 of pseudo-rows; 0 is maximum likelihood.
    fit_probs : array or tensor of shape (m, C), optional
        Calibrated predictions of the fit rows, preferably out of fold; needed if `strength` is
        None.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Stop when the entries of q move by less than this in sum.

    Returns
    -------
    PriorEstimate
        With standard errors from the observed information of the rows, without the pseudo-rows.

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
    Saerens, Latinne, Decaestecker (2002). Neural Computation 14, equation 2.9. James, Stein (1961).
    Estimation with quadratic loss. Proc. 4th Berkeley Symposium 1.
    """
    p = check_probabilities(probs)
    n_classes = p.shape[1]
    source = class_prior(source_prior, n_classes=n_classes, kind="vector", name="source_prior")
    check_count(max_iter, "max_iter", low=1)
    check_number(tol, "tol", low=0.0)
    if strength is not None:
        pseudo = check_number(strength, "strength", low=0.0) * source
    elif fit_probs is None:
        fail("strength", "given, or `fit_probs` to choose it by", None)
    else:
        fit = check_probabilities(fit_probs, name="fit_probs", n_classes=n_classes)
        pseudo = evidence_counts(PredictionMoments.of(p), PredictionMoments.of(fit), source)
    likelihood = Likelihood.of(likelihood_ratios(p, source))
    return estimate_prior(likelihood, source, pseudo, max_iter=max_iter, tol=tol)


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a target prior, as sums over blocks of likelihood ratios."""

    n_rows: int
    #: Takes a function of the ratios of a block, and yields its value for every block in order.
    over_blocks: Callable[[Callable[[Array], Any]], Iterable[Any]]
    #: Takes a function of the ratios of rows, (n, k), and returns its sums over each group of rows,
    #: and numbers of rows, (G, k + 1); where rows do not stand alone.
    by_group: Callable[[Callable[[Array], Any]], Floats] | None = None

    @classmethod
    def of(cls, ratios: Floats) -> Likelihood:
        """The likelihood of ratios in memory, shape (n, C), as one block."""
        return cls(len(ratios), lambda part: [part(ratios)])

    def slope(self, q: Floats) -> Floats:
        """Slope of l at q: Σ_i ratios_ij / Σ_k ratios_ik q_k, shape (C,)."""
        return np.asarray(sum(self.over_blocks(partial(_slope, q=q))))

    def value(self, q: Floats) -> float:
        """Return l(q) in nats."""
        return float(sum(self.over_blocks(partial(_value, q=q))))

    def information(self, q: Floats) -> Floats:
        """Negative second derivative of l at q, shape (C, C)."""
        return np.asarray(sum(self.over_blocks(partial(_information, q=q))))


def _slope(ratios: Array, q: Floats) -> Floats:
    # Two matrix-vector products, no copy of the ratios.
    return as_numpy(ratios.T @ (1.0 / _mixture(ratios, q)))


def _slopes(ratios: Array, q: Floats) -> Floats:
    return as_numpy(ratios / _mixture(ratios, q)[:, None])


def _value(ratios: Array, q: Floats) -> float:
    xp = api.array_namespace(ratios)
    return float(xp.sum(xp.log(_mixture(ratios, q))))


def _information(ratios: Array, q: Floats) -> Floats:
    scaled = ratios / _mixture(ratios, q)[:, None]
    return as_numpy(scaled.T @ scaled)


def _mixture(ratios: Array, q: Floats) -> Array:
    return api.array_namespace(ratios).clip(ratios @ beside(q, ratios), TINY, None)


def estimate_prior(
    likelihood: Likelihood, source: Floats, pseudo: Floats, *, max_iter: int, tol: float
) -> PriorEstimate:
    """Pure core of `map_prior`, with `pseudo` rows of each class, shape (C,)."""
    n_classes = len(source)
    # A start inside the simplex: EM never leaves a face that it starts on.
    start = (source + 1e-6 / n_classes) / (1.0 + 1e-6)
    q, n_iter, converged = expectation_maximization(
        likelihood, start, pseudo, max_iter=max_iter, tol=tol
    )
    if not converged:
        msg = f"the prior has not converged after {n_iter} iterations; raise `max_iter`"
        warnings.warn(coded("converged", msg), UserWarning, stacklevel=4)
    gain = likelihood.value(q) - likelihood.value(source)
    std = _standard_errors(likelihood, q)
    return PriorEstimate(q, std, n_iter, converged, gain, float(pseudo.sum()))


def expectation_maximization(
    likelihood: Likelihood, start: Floats, pseudo: Floats, *, max_iter: int, tol: float
) -> tuple[Floats, int, bool]:
    """Iterate q <- (Σ_i r_i + pseudo) / total: q (C,), number of steps, whether it converged."""
    total = likelihood.n_rows + pseudo.sum()
    q = start
    for step in range(1, max_iter + 1):
        new = (q * likelihood.slope(q) + pseudo) / total
        # A no-op in exact arithmetic; the mass of rows that underflow would leak otherwise.
        new /= new.sum()
        moved = float(np.abs(new - q).sum())
        q = new
        if moved < tol:
            return q, step, True
    return q, max_iter, False


def evidence_counts(target: PredictionMoments, fit: PredictionMoments, source: Floats) -> Floats:
    """Pseudo-rows of each class set by the evidence of a shift, with one for every class."""
    test = compare_moments(target, fit)
    return pseudo_counts(1.0, test.ratio, target.n_rows, source)


def pseudo_counts(flat: float, ratio: float, n_rows: int, source: Floats) -> Floats:
    """Pseudo-rows of each class, shape (C,): `flat` for every class, and more like the source."""
    # Those for every class never outnumber the target. With n / (F - 1) rows, F the `ratio`, the
    # data have the weight 1 - 1/F of the positive-part James-Stein estimator.
    evenly = min(flat, n_rows / len(source))
    return np.asarray(evenly + n_rows / max(ratio - 1.0, LEAST_EXCESS) * source)


def likelihood_ratios(probs: Floats, source: Floats) -> Floats:
    """Ratios p_ij / s_j, proportional to p(x_i | y = j), shape (n, C)."""
    return probs / np.maximum(source, LEAST_SHARE)


def _standard_errors(likelihood: Likelihood, q: Floats) -> Floats:
    """Standard errors from the observed information of the rows, restricted to Σ q = 1.

    Those of rows in groups are never smaller than if the rows stood alone.
    """
    n_rows = likelihood.n_rows
    information = likelihood.information(q)
    # At a share of zero, the slope s of l matters and not its curvature: with Jeffreys' prior, the
    # density is x^-1/2 exp(-s x), whose standard deviation is 1 / (s sqrt(2)).
    slack = np.maximum(n_rows - likelihood.slope(q), 0.0)
    at_zero = 2.0 * np.where(slack * q < 0.5, slack, 0.0) ** 2
    # No share has a standard error above a half, however few the rows.
    information[np.diag_indices_from(information)] += at_zero + 4.0
    # In z = q^-1/2 dq, the information of well separated classes is n times the identity, so
    # classes of very different size do not make it ill-conditioned.
    root = np.sqrt(np.maximum(q, 1.0 / n_rows))
    basis = np.linalg.svd(root[None, :])[2][1:].T
    inside = basis.T @ (information * np.outer(root, root)) @ basis
    covariance = basis @ np.linalg.inv(inside) @ basis.T
    variances = np.diag(covariance)
    if likelihood.by_group is not None:  # between rows and groups: the sandwich of the slopes
        sums = likelihood.by_group(partial(_slopes, q=q))
        slopes = root * (sums[:, :-1] - sums[:, -1:])
        scatter = slopes.T @ slopes * (len(sums) / (len(sums) - 1))
        variances = np.maximum(variances, np.diag(covariance @ scatter @ covariance))
    return np.asarray(root * np.sqrt(np.maximum(variances, 0.0)))
