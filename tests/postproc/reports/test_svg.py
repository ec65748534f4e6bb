"""Plots as SVG for a page: labels that fit, colours and letters of the page."""

import pytest
from matplotlib.figure import Figure

from postproc.reports.svg import (
    ACCENT,
    CUT,
    LABEL_ROOM,
    line_axes,
    page_style,
    printable,
    shortened,
    text_width,
    to_svg,
)


@pytest.mark.parametrize("size", [7, 10, 14])
@pytest.mark.parametrize(
    "name", ["short", "long " * 40, "\u65b9\u6cd5" * 40], ids=["short", "long", "wide"]
)
def test_labels_are_cut_to_the_room(name, size):
    with page_style():
        cut = shortened(name, 120.0, size=size)
        assert text_width(cut, size) <= 120.0
        assert cut == name or cut.endswith(CUT)
        # Another letter would not have fitted.
        assert cut == name or text_width(name[: len(cut)] + CUT, size) > 120.0


def test_a_label_is_one_line_that_xml_can_hold():
    assert shortened(" a\n b\t\x01c ") == "a b  c"
    assert printable("a\ud800b") == "a b"


def test_room_for_labels_can_be_left_to_others():
    with page_style():
        _, axes = line_axes(["x" * 200], room=50.0)
        _, wide = line_axes(["x" * 200])
    assert text_width(axes.texts[0].get_text()) <= 50.0
    assert 50.0 < text_width(wide.texts[0].get_text()) <= LABEL_ROOM


def test_colours_and_letters_are_those_of_the_page():
    with page_style():
        figure = Figure()
        figure.add_axes((0, 0, 1, 1)).set_title("$title$", color=ACCENT)
        svg = to_svg(figure, "k", "a <b>", "c & d")
    assert "fill: var(--accent)" in svg
    assert ">$title$</text>" in svg
    assert "font-family" not in svg
    assert '<title id="k-title">a &lt;b&gt;</title><desc id="k-desc">c &amp; d</desc>' in svg
