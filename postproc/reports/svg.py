"""Plots as SVG that takes its colours from the page it stands in and tells what it shows."""

from __future__ import annotations

import io
import re
import warnings
from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width in inches; at 72 units an inch a plot fits a phone without being scaled down.
WIDTH = 4.5
#: Height of one line of a plot that lists things: a label and its mark.
LINE_HEIGHT = 0.44
#: Size of labels, and the room for one, in units.
FONT_SIZE = 10
LABEL_ROOM = 0.94 * 72 * WIDTH
#: Stands for the rest of a label that is cut.
CUT = "\N{HORIZONTAL ELLIPSIS}"

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

# Colours that matplotlib draws with, and the page's own colours that take their place.
INK, MUTED, GRID, ACCENT, GOOD, BAD, PAPER = (f"#0{j}0{j}0{j}" for j in range(1, 8))
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    PAPER: "var(--paper)",
}
STYLE: Any = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",  # letters stay letters: they can be selected, and read aloud
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw with marks and colours that `to_svg` turns into those of the page."""
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        # The page's fonts draw the letters; what matplotlib's own font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def line_axes(names: Sequence[str], *, room: float = LABEL_ROOM) -> tuple[Figure, Axes]:
    """Axes with one line for each name, its label above it, cut to the room."""
    from matplotlib.figure import Figure

    above, below = 0.05, 0.5
    height = LINE_HEIGHT * max(1, len(names)) + above + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.03, below / height, 0.94, 1 - (above + below) / height))
    axes.set_ylim(len(names) - 0.6, -0.6)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x")
    for line, name in enumerate(names):
        axes.text(
            0,
            line - 0.2,
            shortened(name, room),
            transform=axes.get_yaxis_transform(),
            va="bottom",
        )
    strip(axes)
    return figure, axes


def strip(axes: Axes) -> None:
    """Leave the lower edge of the axes only."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=5)


def shortened(name: str, room: float = LABEL_ROOM, *, size: float = FONT_SIZE) -> str:
    """A name on one line, cut to the room, without what XML cannot hold."""
    text = printable(" ".join(name.split()))
    if text_width(text, size) <= room:
        return text
    fits = bisect_right(
        range(len(text)), room, key=lambda length: text_width(text[:length] + CUT, size)
    )
    return text[: max(0, fits - 1)] + CUT


def printable(text: str) -> str:
    """Return the text without what XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Width in units of matplotlib's font, which is wider than those of most pages."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # It has no letters as wide as they are high and takes a narrower sign in their place.
    return float(width) + size * sum(east_asian_width(letter) in "WF" for letter in text) / 2


def to_svg(figure: Figure, key: str, title: str, description: str) -> str:
    """Figure as an SVG element for a page: own ids, colours of the page, a text alternative."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(file.getvalue())
    for part in ("metadata", "defs"):
        found = root.find(f"{{{SVG}}}{part}")
        # The first definitions are a style sheet, which would rule the whole page.
        if found is not None and (part == "metadata" or found.find(f"{{{SVG}}}style") is not None):
            root.remove(found)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _for_page(name, value, key))
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    for at, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{key}-{tag}"})
        element.text = printable(text)
        root.insert(at, element)
    return ElementTree.tostring(root, encoding="unicode")


def _for_page(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == f"{{{XLINK}}}href":
        return value.replace("#", f"#{key}-")
    value = value.replace("url(#", f"url(#{key}-")
    if name == "style":
        value = re.sub(
            r"font-family: [^;]*;\s*", "", value
        )  # the page's letters, not a list of ours
    return re.sub(r"#(0\d)\1\1", lambda found: PAGE_COLOURS.get(found[0], found[0]), value)
