import math

import numpy as np
import pytest
from scipy import stats

from ensemble.bench.results import (
    Result,
    accuracy_estimate,
    contrast,
    draws_interval,
    gain_estimate,
)
from postproc import paired_gain_interval, wilson_interval


def result(right, baseline, *, n=100, method="m", model="a", shift="none", error=None):
    gained = [max(r - b, 0) + 2 for r, b in zip(right, baseline, strict=True)]
    lost = [max(b - r, 0) + 2 for r, b in zip(right, baseline, strict=True)]
    counts = ([n] * len(right), right, baseline, gained, lost)
    return Result("t", model, "member", shift, method, *map(tuple, counts), 0.5, 1.0, error)


def test_interval_is_t_times_the_spread_over_draws():
    gains = np.array([0.01, 0.03, 0.02, 0.06])
    found = draws_interval(gains)
    reach = stats.t.ppf(0.975, 3) * gains.std(ddof=1)  # the bootstrap's standard error: no root
    np.testing.assert_allclose(found, [gains.mean(), gains.mean() - reach, gains.mean() + reach])


def test_gain_and_accuracy_of_a_cell():
    cell = result([80, 90], [70, 85])
    np.testing.assert_allclose(cell.gains, [0.1, 0.05])
    assert cell.gain == pytest.approx(0.075)
    assert cell.accuracy == pytest.approx(0.85)
    assert cell.gain_ci == draws_interval(cell.gains)[1:]
    assert cell.accuracy_ci == draws_interval(cell.accuracies)[1:]


def test_cells_are_averaged_draw_by_draw():
    # Opposite errors cancel: the mean has no spread, though each cell has.
    cells = [result([80, 90], [80, 80]), result([90, 80], [80, 80], model="b")]
    mean, low, high = gain_estimate(cells)
    assert (mean, high - low) == pytest.approx((0.05, 0.0))


def test_one_draw_has_the_intervals_of_counts():
    cell = result([80], [70])
    assert cell.gain_ci == pytest.approx(paired_gain_interval(12, 2, 100))
    assert cell.accuracy_ci == pytest.approx(wilson_interval(80, 100))
    both = gain_estimate([cell, result([70], [70], model="b")])
    limits = [paired_gain_interval(12, 2, 100), paired_gain_interval(2, 2, 100)]
    assert both.interval == pytest.approx(tuple(np.mean(limits, axis=0)))


def test_contrast_is_paired_and_leaves_out_what_failed():
    own = [result([80, 90], [1, 1]), result([50, 50], [1, 1], model="b")]
    other = [result([70, 80], [1, 1], method="o"), result([], [], model="b", error="no")]
    assert contrast(own, other) == pytest.approx((0.1, 0.1, 0.1))
    assert math.isnan(contrast(own[1:], other).mean)
    assert math.isnan(contrast([result([80], [1])], [result([70], [1])]).low)


def test_failed_cells_are_unknown_and_do_not_count():
    failed = result([], [], error="no")
    assert math.isnan(failed.gain)
    assert failed.to_dict()["gain_ci"] == [None, None]
    assert gain_estimate([failed, result([80, 90], [70, 85])]).mean == pytest.approx(0.075)


def test_unlike_numbers_of_draws_are_an_error():
    with pytest.raises(ValueError, match="same number of draws, got 1 and 2"):
        accuracy_estimate([result([80], [80]), result([80, 80], [80, 80])])


def test_json_is_in_fractions_and_rows_of_a_draw():
    assert result([80, 90], [70, 85]).to_dict() | {"gain_ci": None} == {
        "task": "t", "model": "a", "scope": "member", "shift": "none", "method": "m",
        "accuracy": pytest.approx(0.85), "gain": pytest.approx(0.075), "gain_ci": None,
        "seconds": 0.5, "fit_seconds": 1.0, "fixed": 9.5, "broken": 2.0, "draws": 2, "rows": 100.0,
    }  # fmt: skip
