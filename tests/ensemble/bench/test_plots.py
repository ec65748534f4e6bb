"""Plots of a benchmark: what they say, and how far their axes go."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.bench.plots import Gain, gain_limits, gain_plot, rank_plot, spread, time_plot
from ensemble.bench.results import Estimate
from ensemble.bench.tables import Cost


def gain(name, mean, reach=0.005, *, is_bound=False):
    return Gain(name, Estimate(mean, mean - reach, mean + reach), is_bound)


def texts(plot):
    return {e.text for e in plot.elements} | {part for n in plot.names for part in n.parts}


def marks(plot):
    return [e.attributes["class"] for e in plot.elements if "mark" in e.attributes["class"]]


def test_a_gain_plot_says_its_numbers():
    plot = gain_plot([gain("a", 0.02), gain("o", 0.05, is_bound=True)], title="t", key="k")
    assert {"a", "o (bound)", "+2.00 ±0.50", "+5.00 ±0.50"} <= texts(plot)
    assert plot.description == "a: +2.00, +1.50 to +2.50; o (bound): +5.00, +4.50 to +5.50"


def test_an_interval_that_is_not_symmetric_shows_both_limits():
    plot = gain_plot([Gain("a", Estimate(0.01, 0.0, 0.05))], title="t", key="k")
    assert "+1.00 (+0.00 to +5.00)" in texts(plot)


def test_marks_of_sure_gains_and_losses_are_filled_and_coloured():
    plot = gain_plot(
        [gain("up", 0.02), gain("down", -0.02), gain("open", 0.001)], title="t", key="k"
    )
    assert marks(plot) == ["mark good", "mark bad", "mark muted hollow"]


@pytest.mark.parametrize(
    ("gains", "limits"),
    [
        # All fit.
        ([gain("a", 0.02), gain("b", -0.01)], (-1.5, 2.5)),
        # A loss far beyond the largest gain does not squeeze the rest, nor does a bound.
        ([gain("a", 0.02), gain("b", 0.01), gain("c", -0.3)], (-2.5, 2.5)),
        ([gain("a", 0.02), gain("b", 0.01), gain("o", 0.1, is_bound=True)], (-0.5, 3.75)),
        ([gain("a", 0.02), gain("b", 0.01), gain("o", 0.03, is_bound=True)], (-0.5, 3.5)),
        # Where most lose, that shows.
        ([gain("a", -0.04), gain("b", -0.05), gain("c", -0.3)], (-10.0, 0.5)),
        # Nothing at all still has an axis.
        ([gain("a", 0.0, 0.0)], (-0.5, 0.5)),
        ([gain("o", 0.1, is_bound=True)], (-0.5, 10.5)),
        # A single draw may have no interval.
        ([Gain("a", Estimate(0.02, math.nan, math.nan))], (-0.5, 2.0)),
    ],
)
def test_limits_of_an_axis(gains, limits):
    assert gain_limits(gains) == pytest.approx(limits)


def test_a_gain_without_an_interval_is_a_mark_alone():
    plot = gain_plot([Gain("a", Estimate(0.02, math.nan, math.nan))], title="t", key="k")
    assert "nan" not in str(plot.elements)
    assert marks(plot) == ["mark muted hollow"]


def test_ranks_stand_beside_their_names():
    plot = rank_plot(["best", "rest"], [1.25, 1.75], 1.1, key="k")
    assert {"best", "1.25", "rest", "1.75"} <= texts(plot)
    assert plot.description == "best: 1.25; rest: 1.75"
    assert "critical difference 1.10" in plot.title


def test_ranks_beyond_the_difference_lose_their_colour():
    def colours(difference):
        return marks(rank_plot(["a", "b"], [1.0, 2.0], difference, key="k"))

    assert colours(1.01) == ["mark accent", "mark accent"]
    assert colours(0.99) == ["mark accent", "mark muted"]


def test_a_time_plot_numbers_its_marks_and_says_what_lies_beyond():
    costs = [Cost("fast", 0.01, 0.01), Cost("slow", 100.0, 0.02), Cost("bad", 1.0, -0.3)]
    plot = time_plot(costs, title="t", key="k")
    assert {"1", "2", "3", "0.01", "100"} <= texts(plot)
    badges = [e.attributes for e in plot.elements if "badge" in e.attributes["class"]]
    assert [("hollow" in badge["class"]) for badge in badges] == [False, False, True]
    assert badges[0]["cx"] < badges[2]["cx"] < badges[1]["cx"]
    assert badges[1]["cy"] < badges[0]["cy"] < badges[2]["cy"]
    assert plot.description == ("fast: +1.00 in 0.01 s; slow: +2.00 in 100 s; bad: -30.00 in 1 s")


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_one_mark_has_a_scale(seconds):
    plot = time_plot([Cost("a", seconds, 0.01)], title="t", key="k")
    assert len(texts(plot) & {"1e-05", "0.0001", "0.001", "0.1", "10"}) >= 2


@given(
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 250)), min_size=1, max_size=40),
    st.booleans(),
)
def test_marks_that_would_overlap_are_spread(points, at_one_place):
    found = [complex(*(points[0] if at_one_place else point)) for point in points]
    places = spread(found, 17.0, 0j, 300 + 250j)
    for number, (mark, place) in enumerate(zip(found, places, strict=True)):
        assert all(abs(place - other) >= 17.0 for other in places[:number])
        assert 0 <= place.real <= 300
        assert 0 <= place.imag <= 250
        if all(abs(mark - other) > 17.01 for other in places[:number]):
            assert abs(place - mark) < 0.01
