"""The reference shows every public name once; figures that pages quote were measured."""

import re

import pytest

from tests.pages import FENCE, ROOT

DOCS = ROOT / "docs"
SHOWN = [
    name
    for page in sorted((DOCS / "reference" / "python").glob("*.md"))
    for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
]
MEASURED = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "benchmarks").rglob("README.md"))
)
QUOTING = [
    ROOT / "README.md",
    DOCS / "index.md",
    *DOCS.glob("methods/*.md"),
    *DOCS.glob("howto/*.md"),
]


@pytest.mark.parametrize("package", ["postproc", "ensemble"])
def test_every_public_name_is_shown_once(package):
    stub = (ROOT / package / "__init__.pyi").read_text(encoding="utf-8")
    public = re.findall(r"\bas (\w+)", stub)
    assert sorted(name for name in SHOWN if name.startswith(f"{package}.")) == sorted(
        f"{package}.{name}" for name in public
    )


@pytest.mark.parametrize("page", QUOTING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_figures_are_those_of_the_benchmarks(page):
    prose = FENCE.sub("", page.read_text(encoding="utf-8")).replace("Python 3.11", "Python")
    quoted = re.findall(r"(?<![\w.])[+-]?\d*\.\d{2,4}\b", prose)
    assert [figure for figure in quoted if figure.lstrip("+-") not in MEASURED] == []
