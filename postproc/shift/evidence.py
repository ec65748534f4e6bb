"""Test of "no shift": whether a target has the mean prediction of the fit split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from postproc.calibration.affine import Floats, Ints
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.checks import check_count, check_saved, fail
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import check_scores, probabilities

#: Floor of the source prior: a share of zero would make all likelihood ratios of a class infinite.
LEAST_SHARE = 1e-9

#: Directions in which fewer rows vary are far from normal.
FEWEST_ROWS_A_DIRECTION = 5.0


@dataclass(frozen=True)
class PredictionMoments:
    """Mean and scatter of predictions: all that the test of "no shift" needs of a sample.

    Of rows in groups, the scatter is that of the sums of the groups' deviations.
    """

    n_rows: int
    mean: Floats  # (C,)
    scatter: Floats  # sum of the outer products of the deviations from the mean, (C, C)
    n_groups: int | None = None  # where rows do not stand alone

    def check_saved(self) -> None:
        """Refuse moments that no rows have."""
        check_count(self.n_rows, "n_rows", low=1)
        check_saved(self.mean, "mean", (len(self.mean),))
        check_covariance(self.scatter, "scatter", len(self.mean), most=float(self.n_rows))

    @classmethod
    def of(cls, probs: Floats) -> PredictionMoments:
        """Moments of probabilities of shape (n, C)."""
        mean = probs.mean(axis=0)
        inside = probs - mean
        return cls(len(probs), mean, inside.T @ inside)

    @classmethod
    def of_sums(cls, sums: Floats) -> PredictionMoments:
        """Moments of rows in groups, from what `sums_by_group` gives of all of them."""
        values, counts = sums[:, :-1], sums[:, -1:]
        n_rows, n_groups = int(counts.sum()), len(sums)
        mean = values.sum(axis=0) / n_rows
        inside = values - counts * mean
        return cls(n_rows, mean, inside.T @ inside * (n_groups / (n_groups - 1)), n_groups)

    @property
    def n_units(self) -> int:
        """Number of rows or groups that are independent."""
        return self.n_rows if self.n_groups is None else self.n_groups

    @property
    def standard_error(self) -> Floats:
        """Standard error of the mean prediction, shape (C,)."""
        return np.asarray(np.sqrt(np.diag(self.scatter)) / self.n_rows)

    def merge(self, other: PredictionMoments) -> PredictionMoments:
        """Moments of the rows of both (Chan, Golub, LeVeque 1983, equation 2.1)."""
        n_rows = self.n_rows + other.n_rows
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.n_rows / n_rows)
        between = np.outer(apart, apart) * (self.n_rows * other.n_rows / n_rows)
        return PredictionMoments(n_rows, mean, self.scatter + other.scatter + between)


def check_covariance(values: Floats, name: str, size: int, *, most: float) -> None:
    """Refuse a saved covariance of probabilities, (size, size), with numbers that none has."""
    check_saved(values, name, (size, size), low=-most, high=most)
    diagonal = np.diag(values)
    check_saved(diagonal, name, (size,), high=most)
    most_apart = np.sqrt(np.outer(diagonal, diagonal)) + 1e-6 * diagonal.max(initial=0.0)
    if (np.abs(values) > (1 + 1e-6) * most_apart).any():  # inequality of Cauchy and Schwarz
        fail(name, "a covariance", "correlations beyond 1", "it is damaged")


def sums_by_group(values: Floats, groups: Ints) -> tuple[Ints, Floats]:
    """The groups of some rows (g,), and sums of values (n, k) and of ones in each, (g, k + 1)."""
    found, places = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(found), values.shape[1] + 1))
    np.add.at(sums, places, np.column_stack([values, np.ones(len(values))]))
    return found, sums


@dataclass(frozen=True)
class NoShiftTest:
    """Result of the test that the target has the class distribution of the fit split.

    Attributes
    ----------
    p_value : float
        Probability of a statistic this large without a shift.
    ratio : float
        The F statistic; about 1 without a shift.
    dof : int
        Its degrees of freedom: the directions in which predictions vary.
    """

    p_value: float
    ratio: float
    dof: int


@takes_frames("probs", "fit_probs")
def no_shift_test(probs: Array, fit_probs: Array) -> NoShiftTest:
    """Test whether target rows have the same mean prediction as the fit rows.

    Hotelling's two-sample T² of the class probabilities. The slope of l(q) at q = s is the mean of
    p_ij / s_j, so this is the score test of q = s. Its variance has the sampling error of both
    sets, because the source prior is itself an estimate. Directions in which about five rows or
    fewer vary are left out.

    Parameters
    ----------
    probs : array or tensor of shape (n, C)
        Calibrated probabilities of the target rows.
    fit_probs : array or tensor of shape (m, C)
        Calibrated probabilities of the fit rows, preferably out of fold.

    Returns
    -------
    NoShiftTest
        Its p-value is 1 if there are too few rows for a test.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    References
    ----------
    Hotelling (1931). The generalization of Student's ratio. Annals of Mathematical Statistics 2.

    Examples
    --------
    >>> fit = [[0.9, 0.1], [0.1, 0.9]] * 50
    >>> no_shift_test([[0.9, 0.1]] * 60 + [[0.1, 0.9]] * 20, fit).p_value < 0.01
    True
    """
    target = check_probabilities(probs)
    fit = check_probabilities(fit_probs, name="fit_probs", n_classes=target.shape[1])
    return compare_moments(PredictionMoments.of(target), PredictionMoments.of(fit))


def compare_moments(target: PredictionMoments, fit: PredictionMoments) -> NoShiftTest:
    """Pure core of `no_shift_test`."""
    from scipy.stats import f as f_distribution

    n, m = target.n_rows, fit.n_rows
    units, fewest = target.n_units + fit.n_units, min(target.n_units, fit.n_units)
    overall = (n * target.mean + m * fit.mean) / (n + m)
    scale = np.sqrt(np.maximum(overall, LEAST_SHARE))
    difference = (target.mean - fit.mean) / scale
    both = 1.0 / n + 1.0 / m
    covariance = (target.scatter + fit.scatter) / max(n + m - 2, 1)
    if units < n + m:  # scatters of groups of other sizes are not alike
        covariance = (target.scatter / n**2 + fit.scatter / m**2) / both
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > FEWEST_ROWS_A_DIRECTION / fewest
    dof, rest = int(kept.sum()), units - 1 - int(kept.sum())
    if dof == 0 or rest < 1:
        return NoShiftTest(1.0, 0.0, 0)
    squared = (vectors[:, kept].T @ difference) ** 2 / values[kept] / both
    ratio = float(squared.sum()) * rest / ((units - 2) * dof)
    return NoShiftTest(float(f_distribution.sf(ratio, dof, rest)), ratio, dof)


def check_probabilities(
    probs: Array, *, name: str = "probs", n_classes: int | None = None
) -> Floats:
    """Checked probabilities in float64, (n, C) with n >= 1, each row summing to 1."""
    checked, kind = check_scores(probs, kind="probs", name=name)
    values = np.asarray(probabilities(as_numpy(checked).astype(np.float64), kind))
    if len(values) == 0:
        fail(name, "an array of one row or more", "no row")
    if n_classes is not None and values.shape[1] != n_classes:
        fail(name, f"an array of {n_classes} columns like `probs`", f"{values.shape[1]} columns")
    return values
