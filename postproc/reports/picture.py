"""A plot as a picture of its own, an SVG file."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from postproc.reports.svg import Plot

#: What the page's own style says of plots, in colours for light and dark.
STYLE = """
svg { --paper: #fdfdfb; --ink: #1c2230; --muted: #586174; --line: #dcdfe6;
  --accent: #2b5fc7; --good: #17754a; --bad: #b1342a; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14171d; --ink: #e5e8ee; --muted: #a3abba; --line: #323846;
    --accent: #8db0ff; --good: #62cb93; --bad: #f28b7f; }
}
.paper { fill: var(--paper); }
text { font: 10px system-ui, sans-serif; fill: var(--muted); paint-order: stroke;
  stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.grid { stroke: var(--line); }
.line { fill: none; stroke: currentColor; stroke-width: 2; }
.thin { stroke-width: 1.2; }
.dashed { stroke-width: 1; stroke-dasharray: 3 3; }
.mark { fill: currentColor; stroke: currentColor; stroke-width: 2; }
.ink { color: var(--ink); } .muted { color: var(--muted); } .accent { color: var(--accent); }
.good { color: var(--good); } .bad { color: var(--bad); }
"""


def picture(plot: Plot) -> str:
    """The SVG of a plot without names of lines, which only pages can cut to their width."""
    size = {"width": str(plot.width), "height": f"{plot.height:g}"}
    view = {"viewBox": f"0 0 {plot.width} {plot.height:g}", "role": "img"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **view})
    ET.SubElement(root, "title").text = plot.title
    ET.SubElement(root, "desc").text = plot.description
    ET.SubElement(root, "style").text = STYLE
    ET.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    for element in plot.elements:
        attributes = {name: str(value) for name, value in element.attributes.items()}
        ET.SubElement(root, element.tag, attributes).text = element.text or None
    ET.indent(root, "")
    return ET.tostring(root, encoding="unicode") + "\n"
