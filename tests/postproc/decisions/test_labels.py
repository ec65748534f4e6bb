"""Labels by weights and costs against loops, and bad input."""

import numpy as np
import pytest

from postproc import decide
from postproc.decisions.costs import CostCheck, LeastCost


def least_cost_loop(probs, costs):
    """The decision of least expected cost, one row and one decision after the other."""
    found = []
    for row in probs:
        expected = [sum(p * k for p, k in zip(row, column, strict=True)) for column in costs.T]
        best = min(range(len(expected)), key=lambda d: (round(expected[d], 12), d))
        found.append(-1 if best == len(costs) else best)
    return found


@pytest.mark.parametrize("abstains", [False, True])
def test_costs_are_those_of_the_loop(probs, abstains):
    costs = np.random.default_rng(1).exponential(size=(4, 4 + abstains))
    costs[np.arange(4), np.arange(4)] = 0
    found = decide(probs, kind="probs", costs=costs)
    assert found.tolist() == least_cost_loop(probs, costs)
    if abstains:
        cheap = decide(probs, kind="probs", costs=np.column_stack([costs[:, :4], np.zeros(4)]))
        assert (cheap[probs.max(axis=1) < 0.999] == -1).all()


def test_equal_costs_and_weights_are_the_likeliest_class(probs):
    plain = decide(probs, kind="probs")
    assert plain.dtype == np.int64
    assert plain.tolist() == probs.argmax(axis=1).tolist()
    assert decide(probs, costs=1 - np.eye(4)).tolist() == plain.tolist()
    assert decide(probs, weights=[3.0] * 4).tolist() == plain.tolist()
    assert decide(probs, weights=[1, 1, 1, 1e9]).tolist() == [3] * len(probs)


def test_two_classes_of_unequal_cost_have_the_textbook_threshold():
    p = np.linspace(0.01, 0.99, 99)
    false_alarm, miss = 1.0, 4.0
    found = decide(np.stack([1 - p, p], axis=1), costs=[[0, false_alarm], [miss, 0]])
    assert ((p > false_alarm / (false_alarm + miss)) == found)[np.abs(p - 0.2) > 1e-9].all()


def test_no_row_is_decided_as_no_label():
    assert decide(np.empty((0, 3)), kind="probs").shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [1, 2]}, "`weights` must be 4 numbers, one a class, got shape"),
        ({"weights": [1, 2, 0, 1]}, r"`weights\[2\]` must be a finite number > 0, got 0"),
        ({"costs": np.eye(3)}, "`costs` must be an array of 4 rows"),
        ({"costs": np.full((4, 4), np.nan)}, "`costs, row 0, column 0` must be a finite number"),
        ({"costs": np.eye(4), "weights": [1] * 4}, "`weights` must be None where `costs` are"),
    ],
)
def test_bad_options_are_named(probs, options, message):
    with pytest.raises(ValueError, match=message):
        decide(probs, kind="probs", **options)


def test_poor_calibration_is_doubted_and_good_is_not():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([0.5] * 3, 4000)
    y = np.array([rng.choice(3, p=row) for row in probs])
    rule = LeastCost(10.0 * (1 - np.eye(3)))
    good = CostCheck.of(rule, probs, y)
    assert good.doubt is None
    assert good.promised == pytest.approx(10 * (1 - probs.max(axis=1)).mean())
    sharp = probs**4 / (probs**4).sum(axis=1, keepdims=True)
    assert "calibrate them first" in CostCheck.of(rule, sharp, y).doubt
