"""Plots of a benchmark: what they say, and how far their axes go."""

import math
import re
from xml.etree import ElementTree

import pytest

from ensemble.bench.plots import Cost, Gain, gain_limits, gain_plot, rank_plot, time_plot
from ensemble.bench.results import Estimate
from postproc.reports.svg import SVG

NASTY = "<script>alert(1)</script>&\"'$x$ \u0001 \u4e2d"
LONG = "a_name_without_an_end_" * 8


def gain(name, mean, reach=0.005, *, is_bound=False):
    return Gain(name, Estimate(mean, mean - reach, mean + reach), is_bound)


def texts(svg):
    root = ElementTree.fromstring(svg)
    return [element.text for element in root.iter(f"{{{SVG}}}text")]


def description(svg):
    return ElementTree.fromstring(svg).find(f"{{{SVG}}}desc").text


def test_a_gain_plot_says_its_numbers():
    svg = gain_plot([gain("a", 0.02), gain("o", 0.05, is_bound=True)], title="t", key="k")
    assert {"a", "o (bound)", "+2.00 ± 0.50", "+5.00 ± 0.50"} <= set(texts(svg))
    assert description(svg) == "a: +2.00, +1.50 to +2.50; o (bound): +5.00, +4.50 to +5.50"


def test_an_interval_that_is_not_symmetric_shows_both_limits():
    svg = gain_plot([Gain("a", Estimate(0.01, 0.0, 0.05))], title="t", key="k")
    assert "+1.00 (+0.00 to +5.00)" in texts(svg)


def test_marks_of_sure_gains_and_losses_are_filled_and_coloured():
    svg = gain_plot(
        [gain("up", 0.02), gain("down", -0.02), gain("open", 0.001)], title="t", key="k"
    )
    for colour in ("--good", "--bad"):
        assert f"fill: var({colour})" in svg
    assert "stroke: var(--muted)" in svg
    assert "fill: var(--paper)" in svg


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


def test_ranks_stand_beside_their_names():
    svg = rank_plot(["best", "rest"], [1.25, 1.75], 1.1, key="k")
    assert {"best", "1.25", "rest", "1.75"} <= set(texts(svg))
    assert description(svg) == "best: 1.25; rest: 1.75"
    assert "critical difference 1.10" in svg


def test_ranks_beyond_the_difference_lose_their_colour():
    def colours(difference):
        return rank_plot(["a", "b"], [1.0, 2.0], difference, key="k").count("var(--accent)")

    assert colours(1.01) > colours(0.99) > 0


def test_a_time_plot_names_its_marks_and_says_what_lies_beyond():
    costs = [Cost("fast", 0.01, 0.01), Cost("slow", 100.0, 0.02), Cost("bad", 1.0, -0.3)]
    svg = time_plot(costs, title="t", key="k")
    assert {"fast", "slow", "bad -30.0", "0.01", "1", "100"} <= set(texts(svg))
    assert description(svg) == "fast: +1.00 in 0.01 s; slow: +2.00 in 100 s; bad: -30.00 in 1 s"


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_one_mark_has_a_scale(seconds):
    svg = time_plot([Cost("a", seconds, 0.01)], title="t", key="k")
    # Two decades or more can be read beside the ticks of the gain.
    assert len(set(texts(svg)) & {"1e-05", "0.0001", "0.001", "0.1", "1", "10"}) >= 2


@pytest.mark.parametrize(
    "name",
    [NASTY, LONG, "$\\frac$", "方法" * 40, "ש" * 60],
    ids=["nasty", "long", "dollar", "wide", "right"],
)
def test_any_name_can_be_drawn(name):
    drawn = (
        gain_plot([gain(name, 0.01)], title=name, key="k"),
        rank_plot([name, "b"], [1, 2], 1.0, key="k"),
        time_plot([Cost(name, 1.0, 0.01)], title=name, key="k"),
    )
    for svg in drawn:
        assert "<script" not in svg
        ElementTree.fromstring(svg)
        assert re.findall(r"#0\d0\d0\d", svg) == []
