"""Log pool of multi-label members with weights for each label, shrunk to weights in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble.base import Ensemble
from ensemble.learned.log_pool import warn_unconverged
from ensemble.members import Members
from postproc.calibration.labelwise import MAX_STEPS, LabelMaps, fit_labels
from postproc.scores.arrays import Array, softmax
from postproc.scores.checks import check_count, fail
from postproc.scores.zeros import warn_of_zeros


class LabelPool(Ensemble):
    r"""Log pool of labels that do not exclude each other, with weights for each label.

    .. math:: \mathrm{logit}\, p_l = \sum_m w_{lm} \mathrm{logit}\, P_{ml} + b_l, \quad w \ge 0

    A normal prior around weights and an offset that all labels share, worth λ rows, keeps a label
    with few positive rows close to them. λ is chosen by the log-loss of held-out rows.

    Parameters
    ----------
    n_folds : int
        Number of folds >= 2 of that cross-validation.
    seed : int
        Seed of the folds.

    Attributes
    ----------
    maps_ : LabelMaps
        The weights (C, M) and offsets (C,) of the labels.
    member_weights_ : ndarray of shape (M,)
        The weights that all labels share.
    strength_ : float
        λ; infinite where all labels have the shared weights.
    log_loss_ : float
        Log-loss of a label out of fold, in nats.

    Examples
    --------
    >>> a, b = [[0.9, 0.2], [0.2, 0.6]] * 20, [[0.6, 0.1], [0.6, 0.1]] * 20
    >>> pool = LabelPool().fit([a, b], [[1, 0], [0, 1]] * 20, multilabel=True)
    >>> pool.predict([[[0.9, 0.2]], [[0.6, 0.1]]])
    array([[1, 0]])
    """

    reads_logs = False  # `fit_labels` sees to zeros

    maps_: LabelMaps

    def __init__(self, *, n_folds: int = 5, seed: int = 0) -> None:
        self.n_folds = n_folds
        self.seed = seed

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        assert y is not None
        n_folds = check_count(self.n_folds, "n_folds", low=2)
        seed = check_count(self.seed, "seed", low=0)
        if not self.multilabel_:
            rule = "multi-label predictions for a pool of labels"
            fail("members", rule, "classes that exclude each other", "use LearnedLogPool")
        labels = y.reshape(-1, self.n_classes_)
        if len(labels) < 2:
            fail("members", "arrays of 2 rows or more", f"{len(labels)}")
        z = log_odds_of(members, slice(0, len(y)), self.n_classes_)
        found = fit_labels(z, labels, n_folds=n_folds, seed=seed)
        warn_unconverged(found.converged, MAX_STEPS)
        warn_of_zeros(found.zeros, members.names, stacklevel=5)
        self.maps_, self.member_weights_ = found.maps, found.shared.weights[0]
        self.strength_, self.log_loss_ = found.strength, found.log_loss

    def _combine(self, members: Members, rows: slice) -> Array:
        return two_columns_of(self.maps_.log_odds(log_odds_of(members, rows, self.n_classes_)))


def log_odds_of(members: Members, rows: slice, n_labels: int) -> NDArray[np.float64]:
    """Log-odds (k, m, M) of M members' k·m rows of two classes."""
    logs = members.log_tensor(rows)
    z = (logs[:, :, 1] - logs[:, :, 0]).reshape(len(members), -1, n_labels)
    return np.ascontiguousarray(z.transpose(1, 2, 0))


def two_columns_of(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of both classes, (k·m, 2), of the log-odds (k, m) of labels."""
    flat = z.reshape(-1)
    both: NDArray[np.float64] = softmax(np.stack([np.zeros_like(flat), flat], axis=1))
    return both
