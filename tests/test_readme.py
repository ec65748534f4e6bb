"""The README's examples run word for word."""

import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def test_python(capsys):
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), {})
    assert "Against a" in capsys.readouterr().out


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    run_cli("demo")
    (section,) = [block for block in blocks("console") if "postproc-demo" in block]
    commands = re.sub(r"\\\n\s*", "", section).strip().splitlines()
    assert len(commands) > 5
    for command in commands:
        run_cli(*shlex.split(command.removeprefix("$ postproc ")))
