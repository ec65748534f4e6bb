"""The README's examples run word for word."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(word):
    """Commands of the one section that holds a word."""
    (section,) = [block for block in blocks("console") if word in block]
    lines = re.sub(r"\\\n\s*", "", section).strip().splitlines()
    return [line.removeprefix("$ ") for line in lines]


@pytest.mark.parametrize("page", [README, README.parent / "docs" / "dataframes.md"])
def test_python(page, capsys):
    for block in blocks("python", page):
        exec(compile(block, str(page), "exec"), {})
    assert "Against a" in capsys.readouterr().out


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    run_cli("demo")
    assert len(commands("postproc-demo")) > 5
    for command in commands("postproc-demo"):
        run_cli(*shlex.split(command.removeprefix("postproc ")))


@pytest.mark.slow
def test_a_benchmark_of_ones_own(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    prepare, bench = commands("benchmarks.gains.prepare")
    subprocess.run(
        [sys.executable, *shlex.split(prepare)[1:]],
        check=True,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
    )
    assert "auto" in run_cli(*shlex.split(bench.removeprefix("postproc "))).stdout
