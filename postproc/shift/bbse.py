"""Class prior of an unlabelled target by inverting a confusion matrix (BBSE)."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.calibration.affine import Floats, Ints, class_counts
from postproc.scores.arrays import Array
from postproc.scores.checks import check_count, check_labels, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.shift.evidence import PredictionMoments, check_probabilities
from postproc.shift.prior import PriorEstimate

#: Bootstrap resamples for standard errors.
N_BOOTSTRAP = 100


@takes_frames("probs", "fit_probs", labels={"fit_labels": "fit_probs"})
def bbse_prior(
    probs: Array,
    fit_probs: Array,
    fit_labels: Any,
    *,
    soft: bool = True,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> PriorEstimate:
    """Estimate the target prior by inverting the fit split's confusion matrix (BBSE).

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Probabilities of the target rows.
    fit_probs : array or tensor of shape (m, C)
        Probabilities of labelled rows, preferably out of fold.
    fit_labels : array_like of shape (m,)
        Their labels, integers in 0..C-1.
    soft : bool
        Average probabilities; otherwise count the predicted classes.
    n_bootstrap : int
        Bootstrap resamples >= 2 of both sets, for the standard errors.
    seed : int
        Seed of the resamples.

    Returns
    -------
    PriorEstimate
        The least-squares solution without negative entries, scaled to sum 1.

    Raises
    ------
    TypeError
        If an argument is not of the right type.
    ValueError
        If one is not valid, or the confusion matrix is singular, because a class has no fit label
        or the predictions do not tell two classes apart.

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
        target, fit = one_hot_winners(target), one_hot_winners(fit)
    moments = PredictionMoments.of(target)
    return solve_confusion(moments, fit, labels, n_bootstrap=n_bootstrap, seed=seed)


def one_hot_winners(probs: Floats) -> Floats:
    """One-hot rows of the predicted classes, shape (n, C)."""
    return np.asarray(np.eye(probs.shape[1])[probs.argmax(axis=1)])


def solve_confusion(
    target: PredictionMoments,
    fit: Floats,
    labels: Ints,
    *,
    n_bootstrap: int,
    seed: int,
    groups: Ints | None = None,
) -> PriorEstimate:
    """Pure core of `bbse_prior`, which needs only the moments of the target's predictions.

    Resamples of fit rows in groups 0..G-1, (m,), are of whole groups.
    """
    n_classes = fit.shape[1]
    confusion = _confusion(fit, labels)
    rank = int(np.linalg.matrix_rank(confusion))
    if rank < n_classes:
        fail(
            "confusion matrix of fit_probs",
            f"of rank {n_classes}, the number of classes",
            f"rank {rank}",
            "a class has no label, or two classes are not told apart; use `map_prior`, which "
            "inverts no matrix",
        )
    rng = np.random.default_rng(seed)
    # Means of resamples of the target, by the central limit theorem: its rows are not available.
    means = rng.multivariate_normal(
        target.mean, target.scatter / target.n_rows**2, size=n_bootstrap, method="eigh"
    )
    draws = []
    members = None
    if groups is not None:
        members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    for mean in means:
        if members is None:
            i = rng.integers(len(labels), size=len(labels))
        else:
            i = np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
        # Least squares, because a resample may lack a class.
        draws.append(_solve(_confusion(fit[i], labels[i]), mean))
    prior = _solve(confusion, target.mean)
    return PriorEstimate(prior, np.std(draws, axis=0, ddof=1), 0, True, None)


def _confusion(probs: Floats, labels: Ints) -> Floats:
    """P(predicted = row | label = column), (C, C); zeros in the columns of unseen classes."""
    n_classes = probs.shape[1]
    sums = np.zeros((n_classes, n_classes))
    np.add.at(sums, labels, probs)
    return np.asarray((sums / np.maximum(class_counts(labels, n_classes), 1.0)[:, None]).T)


def _solve(confusion: Floats, mean: Floats) -> Floats:
    from scipy.optimize import nnls

    solution = nnls(confusion, mean)[0]
    total = solution.sum()
    return np.asarray(solution / total if total > 0 else np.full(len(mean), 1.0 / len(mean)))
