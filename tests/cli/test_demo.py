"""`postproc demo`: the whole story, once, and what it leaves behind."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from postproc import load_labels, load_predictions


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Output and folder of one run."""
    folder = tmp_path_factory.mktemp("demo") / "new folder"
    result = CliRunner().invoke(main, ["demo", "--folder", str(folder)])
    assert result.exit_code == 0, result.output
    return result, folder


def test_run_directories_are_complete(story):
    _, folder = story
    for run in ("digits", "digits_longtail"):
        names = sorted(path.name for path in (folder / run).iterdir())
        models = ("forest", "naive_bayes", "neighbours")
        expected = [f"{model}.{split}.npy" for model in models for split in ("test", "val")]
        expected += [f"{model}.test.can.npy" for model in models]
        expected += [f"labels.{split}.npy" for split in ("train", "val", "test")]
        assert names == sorted([*expected, "classes.txt", "meta.json"])
        assert json.loads((folder / run / "meta.json").read_text())["name"] == run
        for split in ("val", "test"):
            loaded = load_predictions(folder / run / f"forest.{split}.npy")
            assert (loaded.kind, loaded.n_classes, loaded.classes[0]) == ("probs", 10, "zero")
            load_labels(folder / run / f"labels.{split}", n_classes=10, n_rows=loaded.n_rows)
    counts = np.bincount(np.load(folder / "digits" / "labels.train.npy"))
    assert counts.tolist() == [5] * 10
    tail = np.bincount(np.load(folder / "digits_longtail" / "labels.test.npy"), minlength=10)
    assert tail.max() >= 10 * max(tail.min(), 1)


def _gains(output):
    rows = [line.split() for line in output.splitlines() if line.strip().startswith("digits")]
    return {row[0]: (float(row[3]), row[-1]) for row in rows}


def test_can_helps_in_one_case_and_harms_in_the_other(story):
    gains = _gains(story[0].output)
    assert len(gains) == 6
    assert gains["digits/neighbours"][0] > 0
    assert gains["digits/neighbours"][1] == "no"
    assert gains["digits_longtail/neighbours"][0] < 0
    assert gains["digits_longtail/neighbours"][1] == "yes"


def test_the_warning_is_seen(story):
    result, _ = story
    assert "Warning: the target's mean prediction lies far from the prior" in result.stderr
    assert "Traceback" not in result.output


def test_commands_shown_can_be_run_again(story, run_cli):
    import shlex

    shown = [line for line in story[0].output.splitlines() if line.startswith("$ postproc")]
    assert len(shown) == 5
    for line in shown:
        run_cli(*shlex.split(line)[2:])


def test_a_file_in_place_of_the_folder(tmp_path, run_cli):
    (tmp_path / "f").touch()
    assert "is a file" in run_cli("demo", "--folder", tmp_path / "f", code=2).stderr
