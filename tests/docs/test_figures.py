"""Figures that pages quote are those that were measured."""

import re

import pytest

from tests.pages import FENCE, ROOT

MEASURED = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "benchmarks").rglob("README.md"))
)
QUOTING = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    *ROOT.glob("docs/methods/*.md"),
    *ROOT.glob("docs/howto/*.md"),
    ROOT / "docs" / "multilabel.md",
    ROOT / "docs" / "statistics.md",
]


@pytest.mark.parametrize("page", QUOTING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_figures_are_those_of_the_benchmarks(page):
    prose = FENCE.sub("", page.read_text(encoding="utf-8")).replace("Python 3.11", "Python")
    quoted = re.findall(r"(?<![\w.])[+-]?\d*\.\d{2,4}\b", prose)
    assert [figure for figure in quoted if figure.lstrip("+-") not in MEASURED] == []
