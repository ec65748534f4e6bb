r"""Class prior of an unlabelled target.

Under label shift p(x | y) stays and p(y) moves. With calibrated source probabilities p_ij and the
source prior s, the log-likelihood of a target prior q is, up to a constant,

.. math:: l(q) = \sum_i \log \sum_j p_{ij} q_j / s_j

which is concave in q (Saerens, Latinne, Decaestecker, Neural Computation 14, 2002). `em_prior`
maximises it, `map_prior` adds a Dirichlet penalty, `bbse_prior` solves the confusion matrix
instead.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from postproc.affine import Floats, Ints, class_counts
from postproc.arrays import Array
from postproc.checks import check_count, check_labels, check_number, fail
from postproc.prior import class_prior
from postproc.shift_test import (
    LEAST_SHARE,
    PredictionMoments,
    check_probabilities,
    compare_moments,
)

#: An excess of the test's F over 1 below this counts as this: the weight of no shift is finite.
LEAST_EXCESS = 1e-3

TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class PriorEstimate:
    """An estimated class prior.

    Attributes
    ----------
    prior : ndarray of shape (C,)
        Class distribution of the target; sums to 1.
    std : ndarray of shape (C,)
        Standard error of each entry: from the sampling of the target, and for BBSE from that of
        the fit rows too.
    n_iter : int
        Iterations; 0 for a closed form.
    converged : bool
        Whether the iteration met its tolerance.
    log_likelihood : float or None
        l(prior) - l(source prior), in nats; None where the method has no likelihood.
    strength : float
        Pseudo-rows that held the estimate back; 0 for none.
    """

    prior: Floats
    std: Floats
    n_iter: int
    converged: bool
    log_likelihood: float | None
    strength: float = 0.0


def em_prior(
    probs: Array, source_prior: Any, *, max_iter: int = 1000, tol: float = 1e-6
) -> PriorEstimate:
    r"""Estimate the target prior by maximum likelihood (EM).

    .. math:: r_{ij} \propto p_{ij} q_j / s_j, \quad q \leftarrow \frac{1}{n} \sum_i r_i

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Calibrated probabilities of the target rows.
    source_prior : array_like of shape (C,)
        Class distribution s that they were calibrated under: the mean calibrated prediction of the
        fit split.
    max_iter : int
        Most iterations.
    tol : float
        Stop when the entries of q move by less than this in sum.

    Returns
    -------
    PriorEstimate
        With standard errors from the observed information.

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
    Saerens, Latinne, Decaestecker (2002). Adjusting the Outputs of a Classifier to New a Priori
    Probabilities. Neural Computation 14, equation 2.9.

    Examples
    --------
    >>> probs = [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]
    >>> em_prior(probs, [0.5, 0.5]).prior.round(2)
    array([0.81, 0.19])
    """
    return map_prior(probs, source_prior, strength=0.0, max_iter=max_iter, tol=tol)


def map_prior(
    probs: Array,
    source_prior: Any,
    *,
    strength: float | None = None,
    fit_probs: Array | None = None,
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> PriorEstimate:
    r"""Estimate the target prior with pseudo-rows that hold it back at the source prior (MAP-EM).

    .. math:: q \leftarrow (\sum_i r_i + \lambda s) / (n + \lambda)

    Without `strength` the evidence of a shift chooses: λ = n / (F - 1) pseudo-rows of the source
    prior, F the statistic of `no_shift_test`, which gives the data the weight 1 - 1/F of the
    positive-part James-Stein estimator, and a pseudo-row for every class, at most n in all.

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Calibrated probabilities of the target rows.
    source_prior : array_like of shape (C,)
        Class distribution s that they were calibrated under.
    strength : float, optional
        Number λ >= 0 of pseudo-rows; 0 is maximum likelihood.
    fit_probs : array or tensor of shape (m, C), optional
        Calibrated predictions of the fit rows, best out-of-fold; needed where `strength` is None.
    max_iter, tol
        As for `em_prior`.

    Returns
    -------
    PriorEstimate
        With standard errors from the observed information.

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
        test = compare_moments(PredictionMoments.of(p), PredictionMoments.of(fit))
        pseudo = pseudo_counts(1.0, test.ratio, len(p), source)
    return estimate_prior(likelihood_ratios(p, source), source, pseudo, max_iter=max_iter, tol=tol)


def estimate_prior(
    ratios: Floats, source: Floats, pseudo: Floats, *, max_iter: int, tol: float
) -> PriorEstimate:
    """Pure core of `map_prior`: likelihood ratios (n, C), pseudo-rows of each class (C,)."""
    n_classes = len(source)
    # A start inside the simplex: EM never leaves a face that it starts on.
    start = (source + 1e-6 / n_classes) / (1.0 + 1e-6)
    q, n_iter, converged = expectation_maximization(
        ratios, start, pseudo, max_iter=max_iter, tol=tol
    )
    if not converged:
        msg = f"the prior still moves after {n_iter} iterations; raise `max_iter`, now {max_iter}"
        warnings.warn(msg, UserWarning, stacklevel=3)
    gain = _log_likelihood(ratios, q) - _log_likelihood(ratios, source)
    std = _information_std(ratios, q, pseudo)
    return PriorEstimate(q, std, n_iter, converged, gain, float(pseudo.sum()))


def expectation_maximization(
    ratios: Floats, start: Floats, pseudo: Floats, *, max_iter: int, tol: float
) -> tuple[Floats, int, bool]:
    """Iterate q <- (Σ_i r_i + pseudo) / total, r_ij proportional to ratios_ij q_j.

    Parameters
    ----------
    ratios : array of shape (n, C)
        Likelihood ratios.
    start : array of shape (C,)
        First q; entries of zero stay zero where `pseudo` is zero.
    pseudo : array of shape (C,)
        Pseudo-rows of each class; zeros for plain EM.
    max_iter : int
        Most iterations.
    tol : float
        Stop when the entries of q move by less than this in sum.

    Returns
    -------
    tuple of q (C,), number of iterations, whether they converged
    """
    total = len(ratios) + pseudo.sum()
    q = start
    for step in range(1, max_iter + 1):
        mixture = np.maximum(ratios @ q, TINY)
        # Σ_i r_ij = q_j Σ_i ratios_ij / mixture_i: two matrix-vector products, no (n, C) copy.
        new = (q * (ratios.T @ (1.0 / mixture)) + pseudo) / total
        # Exact in exact arithmetic; rows whose mass underflowed would otherwise leak.
        new /= new.sum()
        moved = float(np.abs(new - q).sum())
        q = new
        if moved < tol:
            return q, step, True
    return q, max_iter, False


def bbse_prior(
    probs: Array,
    fit_probs: Array,
    fit_labels: Any,
    *,
    soft: bool = True,
    n_bootstrap: int = 50,
    seed: int = 0,
) -> PriorEstimate:
    """Estimate the target prior by inverting the fit split's confusion matrix (BBSE).

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Probabilities of the target rows.
    fit_probs : array or tensor of shape (m, C)
        Probabilities of labelled rows, best out-of-fold.
    fit_labels : array_like of shape (m,)
        Their labels, integers in 0..C-1.
    soft : bool
        Average probabilities; otherwise count the predicted classes.
    n_bootstrap : int
        Resamples >= 2 of both sets behind the standard errors.
    seed : int
        Seed of the resamples.

    Returns
    -------
    PriorEstimate
        Negative entries of the solution are cut to zero and the rest is scaled to sum 1.

    Raises
    ------
    TypeError
        If an argument is not of the right type.
    ValueError
        If one is not valid, or the confusion matrix is singular: two classes are predicted alike,
        or one has no fit label.

    References
    ----------
    Lipton, Wang, Smola (2018). Detecting and Correcting for Label Shift with Black Box Predictors.
    ICML, equation 3.

    Examples
    --------
    >>> fit = [[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]
    >>> target = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.2, 0.8]]
    >>> bbse_prior(target, fit, [0, 0, 1, 1]).prior.round(2)
    array([0.75, 0.25])
    """
    target = check_probabilities(probs)
    n_classes = target.shape[1]
    fit = check_probabilities(fit_probs, name="fit_probs", n_classes=n_classes)
    labels = check_labels(fit_labels, n_classes=n_classes, n_rows=len(fit), name="fit_labels")
    check_count(n_bootstrap, "n_bootstrap", low=2)
    check_count(seed, "seed", low=0)
    if not soft:
        target, fit = (np.eye(n_classes)[a.argmax(axis=1)] for a in (target, fit))
    confusion = _confusion(fit, labels)
    rank = int(np.linalg.matrix_rank(confusion))
    if rank < n_classes:
        fail(
            "confusion matrix of fit_probs",
            f"of rank {n_classes}, the number of classes",
            f"rank {rank}",
            "a class has no label or two are predicted alike: use `map_prior`, which inverts "
            "nothing",
        )
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_bootstrap):
        i = rng.integers(len(labels), size=len(labels))
        j = rng.integers(len(target), size=len(target))
        # Least squares, since a resample may lose a class that the full set has.
        draws.append(_solve(_confusion(fit[i], labels[i]), target[j].mean(axis=0)))
    prior = _solve(confusion, target.mean(axis=0))
    return PriorEstimate(prior, np.std(draws, axis=0, ddof=1), 0, True, None)


def pseudo_counts(flat: float, ratio: float, n_rows: int, source: Floats) -> Floats:
    """Pseudo-rows of each class, shape (C,), that hold an estimated prior back.

    Parameters
    ----------
    flat : float
        Rows for every class; together they never outnumber the target.
    ratio : float
        Statistic F of the test of "no shift".
    n_rows : int
        Number of target rows n.
    source : array of shape (C,)
        Source prior, which gets n / (F - 1) rows: the estimate then has the weight 1 - 1/F of the
        positive-part James-Stein estimator.
    """
    evenly = min(flat, n_rows / len(source))
    return np.asarray(evenly + n_rows / max(ratio - 1.0, LEAST_EXCESS) * source)


def likelihood_ratios(probs: Floats, source: Floats) -> Floats:
    """p_ij / s_j, proportional to p(x_i | y = j), shape (n, C)."""
    return probs / np.maximum(source, LEAST_SHARE)


def _log_likelihood(ratios: Floats, q: Floats) -> float:
    return float(np.log(np.maximum(ratios @ q, TINY)).sum())


def _information_std(ratios: Floats, q: Floats, pseudo: Floats) -> Floats:
    """Return standard errors from the observed information, restricted to Σ q = 1."""
    scaled = ratios / np.maximum(ratios @ q, TINY)[:, None]
    # In z = q^-1/2 dq the information of well separated classes is n times the identity, so that
    # classes of very different size do not spoil the conditioning.
    root = np.sqrt(np.maximum(q, 1.0 / (1e3 * len(ratios))))
    information = scaled.T @ scaled * np.outer(root, root)
    information[np.diag_indices_from(information)] += pseudo * (root / np.maximum(q, 1e-12)) ** 2
    basis = np.linalg.svd(root[None, :])[2][1:].T
    covariance = basis @ np.linalg.pinv(basis.T @ information @ basis, hermitian=True) @ basis.T
    return np.asarray(root * np.sqrt(np.maximum(np.diag(covariance), 0.0)))


def _confusion(probs: Floats, labels: Ints) -> Floats:
    """Return P(predicted = row | label = column), shape (C, C); no label, a column of zeros."""
    n_classes = probs.shape[1]
    sums = np.zeros((n_classes, n_classes))
    np.add.at(sums, labels, probs)
    return np.asarray((sums / np.maximum(class_counts(labels, n_classes), 1.0)[:, None]).T)


def _solve(confusion: Floats, mean: Floats) -> Floats:
    solution = np.maximum(np.linalg.lstsq(confusion, mean, rcond=None)[0], 0.0)
    total = solution.sum()
    return np.asarray(solution / total if total > 0 else np.full(len(mean), 1.0 / len(mean)))
