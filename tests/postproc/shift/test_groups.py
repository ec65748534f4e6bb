"""Groups of rows in the test of a shift and in standard errors: only groups are independent."""

import numpy as np
import pytest

from postproc import LabelShiftAdapter, softmax
from postproc.scores.blocks import in_order
from postproc.scores.predictions import Predictions
from postproc.shift.evidence import PredictionMoments, compare_moments, sums_by_group
from postproc.shift.streaming import ReadRows, target_moments

COPIES = 4


def sample(n, shares, seed):
    rng = np.random.default_rng(seed)
    y = rng.choice(len(shares), n, p=shares)
    return softmax(1.5 * np.eye(len(shares))[y] + rng.normal(size=(n, len(shares)))), y


def moments_by_loop(values, groups):
    """Mean and scatter of the sums of the groups' deviations, group by group."""
    mean = values.mean(axis=0)
    names = np.unique(groups)
    scatter = np.zeros((values.shape[1], values.shape[1]))
    for name in names:
        total = sum(row - mean for row in values[groups == name])
        scatter += np.outer(total, total)
    return mean, scatter * len(names) / (len(names) - 1)


def test_moments_of_groups_are_those_of_a_loop_over_them():
    values, _ = sample(300, [0.5, 0.3, 0.2], 0)
    groups = np.random.default_rng(1).integers(0, 40, 300)
    groups = np.unique(groups, return_inverse=True)[1]
    mean, scatter = moments_by_loop(values, groups)
    cuts = [slice(0, 70), slice(70, 71), slice(71, 300)]
    read = ReadRows(Predictions(values, "probs"), cuts)
    for found in (
        PredictionMoments.of_sums(sums_by_group(values, groups)[1]),
        target_moments(read, in_order, "", groups=groups),
    ):
        np.testing.assert_allclose(found.mean, mean)
        np.testing.assert_allclose(found.scatter, scatter, atol=1e-12)
        assert (found.n_rows, found.n_units) == (300, len(np.unique(groups)))


@pytest.mark.parametrize("method", ["em", "bbse"])
@pytest.mark.parametrize("shares", [[0.7, 0.3], [0.2, 0.5, 0.3]])
def test_copies_of_rows_in_one_group_say_no_more_than_the_rows(method, shares):
    fit, y = sample(500, shares, 2)
    target, _ = sample(400, shares[::-1], 3)
    often = [np.repeat(each, COPIES, axis=0) for each in (fit, target)]
    groups = [np.repeat(np.arange(len(each)), COPIES) for each in (fit, target)]
    # Out-of-fold predictions of a calibrator would be others for copies.
    make = {"method": method, "calibration": "none", "kind": "probs"}
    once = LabelShiftAdapter(**make).fit(fit, y).adapt_to(target)
    many = LabelShiftAdapter(**make).fit(often[0], np.repeat(y, COPIES), groups=groups[0])
    many = many.adapt_to(often[1], groups=groups[1])
    np.testing.assert_allclose(many.prior.prior, once.prior.prior, atol=2e-3)
    # Half of the errors of rows alone are of copies; those of bbse are drawn.
    rel = 0.15 if method == "em" else 0.35
    np.testing.assert_allclose(many.prior.std, once.prior.std, rtol=rel)
    assert many.test.ratio == pytest.approx(once.test.ratio, rel=0.02)
    alone = LabelShiftAdapter(**make).fit(often[0], np.repeat(y, COPIES)).adapt_to(often[1])
    assert (alone.prior.std < 0.65 * many.prior.std).all()
    assert alone.test.ratio > 3 * many.test.ratio


def test_the_test_of_groups_rejects_as_often_as_it_says():
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sides = []
        for n_groups in (60, 90):
            z = rng.normal(size=(n_groups, 1)) + 0.7 * rng.normal(size=(n_groups, 8))
            p = 1 / (1 + np.exp(-z.reshape(-1)))
            groups = np.repeat(np.arange(n_groups), 8)
            sides.append((np.stack([1 - p, p], axis=1), groups))
        moments = [PredictionMoments.of_sums(sums_by_group(*side)[1]) for side in sides]
        alone = [PredictionMoments.of(side[0]) for side in sides]
        p_values.append([compare_moments(*each).p_value for each in (moments, alone)])
    grouped, of_rows = (np.array(p_values) < 0.05).mean(axis=0)
    assert grouped < 0.09
    assert of_rows > 0.3


def test_bad_groups_are_named():
    fit, y = sample(50, [0.5, 0.5], 4)
    adapter = LabelShiftAdapter(calibration="none", kind="probs")
    with pytest.raises(ValueError, match="`groups` must be two or more, got 1"):
        adapter.fit(fit, y, groups=np.zeros(50))
    with pytest.raises(ValueError, match="`groups` must be one name or number a row"):
        adapter.fit(fit, y).adapt_to(fit, groups=[0, 1])


def test_moments_of_a_damaged_model_are_no_covariance():
    mean, scatter = np.array([0.5, 0.5]), np.array([[0.0, 5.0], [5.0, 1.0]])
    with pytest.raises(ValueError, match="`scatter` must be a covariance, got correlations beyond"):
        PredictionMoments(100, mean, scatter).check_saved()
