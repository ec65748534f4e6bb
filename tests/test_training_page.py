"""The examples of the page on training run, and its members are read as a run directory."""

import re
from pathlib import Path

from postproc.files import RunDirectory

PAGES = Path(__file__).parents[1] / "docs"


def run_example(page):
    """The names that the example of a page makes."""
    names = {}
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    exec(compile("".join(blocks), page, "exec"), names)
    return names


def test_the_example_of_text_members_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [z.shape for z in run_example("text-members.md")["scores"]] == [(2, 2)] * 3


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_example("training.md")
    names = [path.name for path in RunDirectory.open(tmp_path / "run").predictions("val")]
    assert names == ["norm1", "norm2"]
    for picture in ("accordance.svg", "temperature.svg"):
        assert (tmp_path / picture).read_text().startswith("<svg ")
