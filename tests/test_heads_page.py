"""The page on heads: its commands and its example run, and it names all training methods."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import numpy as np

from ensemble.training.head_methods import HeadMethods
from tests.ensemble.conftest import make_members

PAGE = Path(__file__).parents[1] / "docs" / "heads.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_commands_run(tmp_path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    Path("RUNDIR").mkdir()
    for split, seed in (("val", 0), ("test", 1)):
        members, y = make_members(seed=seed, n_rows=60, n_classes=3, n_members=2)
        for name, z in zip("ab", members, strict=True):
            np.save(f"RUNDIR/{name}.{split}.npy", z)
        np.save(f"RUNDIR/labels.{split}.npy", y)
    commands = re.findall(r"^\$ postproc (.+)$", TEXT, re.M)
    assert len(commands) == 3
    for command in commands:
        run_cli(*shlex.split(command))


def test_the_example_uses_its_embeddings(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    exec(compile(code, str(PAGE), "exec"), {})
    assert float(capsys.readouterr().out.split()[0]) > 0


def test_all_methods_are_named():
    named = re.findall(r"^\| `(\w+)=", TEXT, re.M)
    assert named == [field.name for field in fields(HeadMethods)]
