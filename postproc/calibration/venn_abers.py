r"""Venn-Abers prediction: two isotonic fits, with the new row once in each class.

.. math:: p = p_1 / (1 - p_0 + p_1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from postproc.calibration.affine import Floats, Ints
from postproc.calibration.binary import TwoClassCalibrator
from postproc.calibration.log_odds import log_odds
from postproc.calibration.mixing import MixedMap
from postproc.calibration.score_maps import as_logs, check_like_fitted
from postproc.scores.arrays import Array, as_numpy, beside
from postproc.scores.checks import fail

#: Log-odds are rounded to so many decimals, so that rounding errors make no ties and break none.
DECIMALS = 9


@dataclass(frozen=True)
class VennAbersMap:
    """Both probabilities of a row by where its log-odds stand among those of the fit rows."""

    known: Floats  # (k,), log-odds of the fit rows, ascending and distinct
    lower: Floats  # (k + 1,), p_0 by the number of log-odds that are not above the row's
    upper: Floats  # (k + 1,), p_1 by the number of log-odds that are below the row's

    def __post_init__(self) -> None:
        """Refuse bounds that no labels give, of which NaN could come."""
        if not ((self.lower >= 0) & (self.lower < 1) & (self.upper > 0) & (self.upper <= 1)).all():
            fail("model", "one of probabilities p_0 in [0, 1) and p_1 in (0, 1]", "others")

    def __call__(self, logs: Array) -> Array:
        """Log-probabilities of both classes, the merged ones, shape (n, 2)."""
        p0, p1 = self.bounds(as_numpy(log_odds(logs))).T
        both = np.log(np.stack([1.0 - p0, p1], axis=1)) - np.log(1.0 - p0 + p1)[:, None]
        return beside(both, logs)

    def bounds(self, z: Floats) -> Floats:
        """Probabilities p_0 and p_1 of the second class, shape (n, 2)."""
        z = np.round(z, DECIMALS)
        return np.stack(
            [
                self.lower[np.searchsorted(self.known, z, side="right")],
                self.upper[np.searchsorted(self.known, z, side="left")],
            ],
            axis=1,
        )


def fit_venn_abers(z: Floats, y: Ints) -> VennAbersMap:
    """Both isotonic fits for every place of a new row, in O(n log n)."""
    known, place = np.unique(np.round(z, DECIMALS), return_inverse=True)
    rows = np.bincount(place.reshape(-1)).astype(np.float64)
    positive = np.bincount(place.reshape(-1), y).astype(np.float64)
    # Turned around, with the classes exchanged, the lower probability is an upper one.
    lower = 1.0 - upper_probabilities(rows[::-1], (rows - positive)[::-1])[::-1]
    return VennAbersMap(known, lower, upper_probabilities(rows, positive))


def upper_probabilities(rows: Floats, positive: Floats) -> Floats:
    """Isotonic value of a new positive row in front of each of k groups and behind all, (k + 1,).

    The isotonic fit is the slope of the lower hull of the cumulative sums. The new row is a step
    (1, 1) that moves through them from left to right; the hull right of its start is kept on a
    stack. What lies left of a start on the hull never returns, as the slopes rise with the place.
    """
    xs, ys = (np.concatenate([[0.0], np.cumsum(values)]).tolist() for values in (rows, positive))
    hull: list[tuple[float, float]] = []
    for x, y in zip(reversed(xs), reversed(ys), strict=True):
        _push(hull, (x + 1.0, y + 1.0))
    _push(hull, (0.0, 0.0))
    upper = np.ones(len(xs))
    for group in range(len(xs) - 1):
        (x0, y0), (x1, y1) = hull[-1], hull[-2]
        upper[group] = (y1 - y0) / (x1 - x0)
        x, y = xs[group + 1], ys[group + 1]  # where the step starts next
        if (y - y0) * (x1 - x0) < (y1 - y0) * (x - x0):
            hull.pop()
            _push(hull, (x, y))
    return upper


def _push(hull: list[tuple[float, float]], point: tuple[float, float]) -> None:
    """Add a point at the left end of a lower hull; corners that it covers go."""
    x, y = point
    while len(hull) > 1:
        (x0, y0), (x1, y1) = hull[-1], hull[-2]
        if (y0 - y) * (x1 - x) < (y1 - y) * (x0 - x):
            break
        hull.pop()
    hull.append(point)


class VennAbersCalibration(TwoClassCalibrator):
    r"""Inductive Venn-Abers prediction of two classes: p = p₁ / (1 - p₀ + p₁).

    p₀ and p₁ are isotonic fits of the labels to the scores, with the new row added once as negative
    and once as positive. One of them is calibrated, whatever the scores are.

    Parameters
    ----------
    kind, n_folds, max_iter, random_state
        As for `TemperatureScaling`.

    Attributes
    ----------
    temperature_, inverse_temperature_, improved_, held_out_log_loss_, identity_log_loss_
        As of `TemperatureScaling`; the temperature is that of temperature scaling.
    out_of_fold_, kind_, classes_, n_rows_, n_features_in_, unseen_, converged_, n_iter_, model_
        As of `TemperatureScaling`; the model is a `VennAbersMap`.

    References
    ----------
    Vovk, Petej, Fedorova (2015). Large-scale probabilistic predictors with and without guarantees
    of validity. NeurIPS, sections 2 to 4.

    Examples
    --------
    >>> logits, labels = [3.5, -3.5, 3.5, -3.5] * 50, [1, 0, 1, 1] * 50
    >>> scaling = VennAbersCalibration(kind="logits").fit(logits, labels)
    >>> scaling.predict_proba([3.5, -3.5]).round(2)
    array([0.99, 0.5 ])
    >>> scaling.predict_bounds([3.5, -3.5]).round(3)
    array([[0.99 , 1.   ],
           [0.495, 0.505]])
    """

    def predict_bounds(self, scores: Array) -> Floats:
        """Probabilities p₀ and p₁ of the second class, for scores that `fit` would take.

        Returns
        -------
        ndarray of shape (n, 2)
            Float64; both are the calibrated probability where the fit has not been kept.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If scores are not valid.
        """
        logs = as_logs(check_like_fitted(self, scores), self.kind_)
        if isinstance(self.model_, MixedMap):
            fitted = cast(VennAbersMap, self.model_.model)
            return fitted.bounds(log_odds(self.model_.raised(logs)))
        return np.repeat(np.exp(self.model_(logs))[:, 1:], 2, axis=1)

    def _fit_map(self, logs: Floats, y: Ints) -> VennAbersMap:
        return fit_venn_abers(log_odds(logs), y)
