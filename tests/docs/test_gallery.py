"""The notebooks of the gallery run as the Python files that they are."""

import runpy
import warnings

import matplotlib as mpl
import pytest

from tests.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "gallery").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(notebook)


def test_there_are_four():
    assert len(NOTEBOOKS) == 4
