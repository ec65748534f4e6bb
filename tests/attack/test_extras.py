"""Without an extra, every path that needs it says how to install it, before any work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import postproc
from cli.main import main
from tests.ensemble.bench.conftest import make_run

FIT = ("--fit", "a.npy", "--fit", "b.npy", "--fit-labels", "y.npy")
PATHS = {
    "pyarrow": [
        ("inspect", "p.parquet"),
        ("can", "p.parquet", "--prior", "uniform", "-o", "o.npy"),
        ("can", "a.npy", "--prior", "uniform", "-o", "o.parquet"),
        ("can", "a.npy", "--prior", "y.parquet", "-o", "o.npy"),
        ("can", "a.npy", "--prior", "uniform", "-o", "o.npy", "--labels-out", "l.parquet"),
        ("decide", "a.npy", "-o", "o.parquet"),
        ("convert", "a.npy", "-o", "o.parquet"),
        ("report", "a.npy", "--labels", "y.parquet"),
        ("ensemble", "soft", "a.npy", "p.parquet", "-o", "o.npy"),
    ],
    "jinja2": [
        ("report", "a.npy", "--labels", "y.npy", "--html", "page.html"),
        ("bench", "task", "-o", "b.jsonl", "--methods", "soft", "--html", "page.html"),
    ],
    "zarr": [
        ("can", "p.zarr", "--prior", "uniform", "-o", "o.npy"),
        ("can", "a.npy", "--prior", "uniform", "-o", "o.zarr"),
        ("inspect", "p.zarr"),
    ],
    "distributed": [("can", "a.npy", "--prior", "uniform", "--engine", "dask", "-o", "o.npy")],
    "matplotlib": [("ensemble", "devil", "a.npy", "b.npy", *FIT, "--plot", "p.png", "-o", "o.npy")],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probs = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    np.save("a.npy", probs)
    np.save("b.npy", probs[:, ::-1])
    np.save("y.npy", np.arange(30) % 3)
    for name in ("p.parquet", "y.parquet"):
        postproc.save_predictions(name, probs)
    (tmp_path / "p.zarr").mkdir()
    (tmp_path / "p.zarr" / "zarr.json").write_text('{"node_type": "array"}')
    make_run(tmp_path / "task", n_fit=30, n_test=30)


@pytest.mark.parametrize(
    ("package", "words"), [(package, words) for package, all_ in PATHS.items() for words in all_]
)
def test_a_missing_extra_is_named(package, words, folder, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    before = set(Path().rglob("*"))
    found = CliRunner().invoke(main, list(words))
    assert found.exit_code == 1, found.output
    assert isinstance(found.exception, SystemExit)
    said = found.stderr.splitlines()
    (line,) = [line for line in said if not line.startswith("Warning: ")]
    assert {"distributed": "dask"}.get(package, package) in line.lower()
    assert "pip install" in line
    assert set(Path().rglob("*")) == before
