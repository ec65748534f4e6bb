"""Plots as SVG files of their own."""

import xml.etree.ElementTree as ET

from postproc.reports.picture import picture
from postproc.reports.svg import Chart, Scale


def test_what_is_drawn_is_in_the_picture():
    chart = Chart(Scale(0, 1, 10, 110), Scale(0, 1, 90, 0))
    chart.text("a < b & c", 5, 6)
    chart.mark(0.5, 0, "accent")
    text = picture(chart.plot("key", "Title <x>", "what it says", 120))
    root = ET.fromstring(text)
    assert root.get("viewBox") == "0 0 324 120"
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}title").text == "Title <x>"
    assert root.find(f"{name}desc").text == "what it says"
    assert root.find(f"{name}text").text == "a < b & c"
    assert root.find(f"{name}path").get("transform") == "translate(60.0 90.0)"
    styled = root.find(f"{name}style").text
    assert all(f".{style} " in styled for style in ("accent", "grid", "line", "mark", "muted"))
