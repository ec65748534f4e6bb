"""The protocol runs on run directories that anyone can make."""

import json

import numpy as np
import pytest

from benchmarks.gains.__main__ import main
from benchmarks.gains.methods import METHODS
from cli.demo_task import make_run_directories


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run_directories(tmp_path_factory.mktemp("runs"), seed=0)["digits"]


def test_every_method_on_the_demo(run, tmp_path, capsys):
    path = tmp_path / "gains.json"
    main([str(run), "--draws", "2", "--rows", "200", "--models", "forest", "--json", str(path)])
    cells = json.loads(path.read_text())["results"]
    assert len(cells) == 3 * len(METHODS)
    for cell in cells:
        assert (cell["task"], cell["model"]) == ("digits", "forest")
        assert 0 <= cell["accuracy"] <= 1
        assert np.isfinite(cell["standard_error"])
    gains = {(c["method"], c["shift"]): c["gain"] for c in cells}
    assert gains["BCTS + true prior (oracle)", "dirichlet:0.5"] > 0
    assert gains["BCTS + Sinkhorn, source prior", "longtail:50"] < 0
    text = capsys.readouterr()
    assert "| method | none | dirichlet:0.5 | longtail:50 | worst cell |" in text.out
    assert "auto, by task" in text.out
    assert text.err.startswith("digits/forest: ")


def test_the_target_labels_reach_the_oracle_alone(run):
    from dataclasses import replace

    from benchmarks.gains.methods import Draw, predict
    from benchmarks.gains.protocol import members

    _, _, member, labels = next(members(run))
    rows = np.arange(100)
    honest, poisoned = Draw(rows, labels[rows]), Draw(rows, np.zeros(100, dtype=np.int64))
    for name in METHODS:
        same = (predict(name, member, honest) == predict(name, member, poisoned)).all()
        assert same == (name != "BCTS + true prior (oracle)"), name
    assert replace(honest, rows=rows[:1]).rows.shape == (1,)


def test_some_methods_and_faults(run, capsys):
    main([str(run), "--draws", "1", "--methods", "BCTS", "--shifts", "none"])
    assert "BCTS + EM" not in capsys.readouterr().out
    for words in ([str(run / "no")], [str(run), "--models", "none"]):
        with pytest.raises(SystemExit):
            main([*words, "--draws", "1"])
    assert "no such folder" in capsys.readouterr().err
