"""The examples of the page on training run, and its members are read as a run directory."""

import re
from pathlib import Path

from postproc.files import RunDirectory

PAGE = Path(__file__).parents[1] / "docs" / "training.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile("".join(found), str(PAGE), "exec"), {})
    names = [path.name for path in RunDirectory.open(tmp_path / "run").predictions("val")]
    assert names == ["norm1", "norm2"]
    for picture in ("accordance.svg", "temperature.svg"):
        assert (tmp_path / picture).read_text().startswith("<svg ")
