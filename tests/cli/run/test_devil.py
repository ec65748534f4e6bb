"""`postproc ensemble devil` and its saved models."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.ensemble.conftest import make_members

QUICK = ("--epochs", 3, "--seeds", 1)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for split, seed in (("val", 1), ("test", 2)):
        members, y = make_members(seed=seed, n_rows=90, n_members=3)
        for m, z in enumerate(members):
            np.save(folder / f"m{m}.{split}.npy", z.astype(np.float32))
        np.save(folder / f"labels.{split}.npy", y)
    return folder


def test_run_directory_with_controls_and_plot(run_folder, tmp_path, run_cli):
    out, plot, saved = tmp_path / "devil.npy", tmp_path / "curves.svg", tmp_path / "devil.json"
    head = ("--head", "affine", "--discussion-weight", 1, "--controls")
    options = (*QUICK, *head, "--plot", plot, "--save", saved, "-o", out, "--json")
    result = json.loads(run_cli("ensemble", "devil", run_folder, *options).stdout)
    names = [model["name"] for model in result["report"]["models"]]
    assert set(names) == {
        *("m0", "m1", "m2", "soft vote", "log pool", "plain fine-tuning"),
        *("discussion without devil", "norm models alone", "devil"),
    }
    assert result["devil"]["head"] == "affine"
    assert result["devil"]["discussion_weight"] == 1
    by_name = {model["name"]: model["accuracy"] for model in result["report"]["models"]}
    gain = by_name["devil"] - by_name["discussion without devil"]
    assert result["devil"]["share"]["gain"] == pytest.approx(gain)
    assert plot.read_text(encoding="utf-8").count("<path") > 5
    again = tmp_path / "again.npy"
    run_cli("apply", saved, run_folder, "-o", again)
    np.testing.assert_array_equal(np.load(again), np.load(out))


def test_files_and_table(run_folder, tmp_path, run_cli):
    files = [run_folder / f"m{m}.test.npy" for m in range(3)]
    fit = [word for m in range(3) for word in ("--fit", run_folder / f"m{m}.val.npy")]
    labels = ("--fit-labels", run_folder / "labels.val.npy")
    rest = ("--devil-weight", 1, "--controls", "--labels", run_folder / "labels.test.npy")
    command = ("ensemble", "devil", *files, *fit, *labels, *rest, *QUICK)
    text = run_cli(*command, "-o", tmp_path / "out.npy").stdout
    assert "devil's weight: 0.250" in text
    assert "devil's share (compared with the discussion without it): " in text


def test_apply_loads_no_torch(run_folder, tmp_path, run_cli):
    saved = tmp_path / "devil.json"
    options = (*QUICK, "--head", "bias", "--save", saved, "-o", tmp_path / "a.npy")
    run_cli("ensemble", "devil", run_folder, *options)
    words = ["apply", str(saved), str(run_folder), "-o", str(tmp_path / "b.npy")]
    code = (
        "import sys\n"
        "from cli.main import main\n"
        f"main({words!r}, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_options_of_the_devil_belong_to_it(run_folder, tmp_path, run_cli):
    command = ("ensemble", "soft", run_folder, "-o", tmp_path / "a.npy")
    text = run_cli(*command, "--devil-weight", 1, code=2).output
    assert "soft has no devil; omit --devil-weight" in text
    text = run_cli(*command, "--controls", code=2).output
    assert "soft has no devil; omit --controls" in text


def test_plot_of_an_unknown_format(run_folder, tmp_path, run_cli):
    options = ("--plot", tmp_path / "a.txt", "-o", tmp_path / "a.npy")
    text = run_cli("ensemble", "devil", run_folder, *options, code=1).output
    assert "the suffix of an output must be one of .svg, .png, .pdf, got" in text
    assert not (tmp_path / "a.npy").exists()
