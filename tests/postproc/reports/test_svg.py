"""Plots as elements: scales, ticks, and what is drawn where."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc.reports.html import make_environment
from postproc.reports.svg import WIDTH, Chart, Row, Scale, interval_plot, list_chart
from tests.browser import Elements


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_numbers_within_the_scale(low, width):
    scale = Scale(low, low + width, 0, 300)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 7
    steps = {round(float(f"{b - a:.3g}"), 9) for a, b in pairwise(ticks)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"
    assert all(-0.01 <= scale(tick) <= 300.01 for tick in ticks)


def test_ticks_of_a_logarithmic_scale_are_powers_of_ten():
    scale = Scale(1e-3, 1e2, 0, 500, is_log=True)
    assert scale.ticks() == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10, 100])
    assert [scale(tick) for tick in scale.ticks()] == pytest.approx([0, 100, 200, 300, 400, 500])
    assert len(Scale(1e-12, 1e12, 0, 500, is_log=True).ticks()) <= 7


def test_each_line_has_its_name_and_its_numbers():
    rows = [Row("a", 1, 0, 2, "good", "+1"), Row("b", -1, -2, 0, "bad", "-1")]
    chart, height = interval_plot(rows, (-2, 2), "gain")
    assert [name.parts for name in chart.names] == [("a",), ("b",)]
    assert [name.y for name in chart.names] == [0, 32]
    assert all(name.width < WIDTH - 30 for name in chart.names)
    assert {"+1", "-1", "gain", "0"} <= {e.text for e in chart.elements if e.tag == "text"}
    assert all(e.attributes["y"] <= height for e in chart.elements if e.tag == "text")


@pytest.mark.parametrize(
    ("at", "low", "high", "shape", "n_lines"),
    [(0, -1, 1, "disc", 1), (0, -9, 9, "disc", 1), (5, 4, 6, "right", 0), (-5, -6, -4, "left", 0)],
)
def test_what_leaves_the_limits_is_cut_and_points_outwards(at, low, high, shape, n_lines):
    chart, _ = interval_plot([Row("a", at, low, high, "good")], (-2, 2), "gain", zero=False)
    expected = Chart(chart.x, chart.y)
    if n_lines:
        expected.line((max(low, -2), min(high, 2)), (0, 0), "good")
    expected.mark(min(max(at, -2), 2), 0, "good", shape)
    assert chart.elements[-len(expected.elements) :] == expected.elements
    assert sum(e.tag == "polyline" for e in chart.elements) == n_lines


def test_all_is_escaped_and_a_pair_is_joined():
    chart, height = list_chart([("<b>", 'x" y')], (0, 1), "<i>")
    macro = '{% from "macros.html" import drawing %}{{ drawing(plot) }}'
    page = make_environment().from_string(macro).render(plot=chart.plot("k", "<t>", "&", height))
    found = Elements(page)
    assert {tag for tag, _ in found.found}.isdisjoint({"b", "i", "t"})
    assert {"<b>", 'x" y'} <= {span.get("title") for span in found.all("span")}
    assert "<b>→x" in found.text
    assert [svg["aria-labelledby"] for svg in found.all("svg")] == ["k-title k-desc"]
