"""The demo's files, made once for all pages."""

import shutil

import pytest

from tests.conftest import invoke


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "postproc-demo"
    invoke("demo", "--folder", folder)
    return folder


@pytest.fixture
def beside_demo(demo, tmp_path, monkeypatch):
    """A folder of one's own that holds the demo's files, as after `make demo`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo, tmp_path / "postproc-demo")
    return tmp_path
