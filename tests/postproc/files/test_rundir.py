"""Run directories: what is found in them, and what is wrong with them."""

import numpy as np
import pytest

from postproc.files import RunDirectory


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("val", 6), ("test", 8)):
        np.save(tmp_path / f"a.{split}.npy", rng.normal(size=(n, 3)))
        np.savez(tmp_path / f"b.{split}.npz", probs=rng.dirichlet(np.ones(3), n))
        np.save(tmp_path / f"labels.{split}.npy", rng.integers(0, 3, n))
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    (tmp_path / "meta.json").write_text("{}")
    np.save(tmp_path / "test_index.npy", np.arange(8))
    return tmp_path


def test_finds_models_labels_and_classes(run):
    opened = RunDirectory.open(run)
    assert opened.models == ("a", "b")
    assert opened.classes == ("x", "y", "z")
    members = opened.predictions("test")
    assert [(m.name, m.kind, m.scores.shape, m.classes) for m in members] == [
        ("a", "logits", (8, 3), ("x", "y", "z")),
        ("b", "probs", (8, 3), ("x", "y", "z")),
    ]
    assert opened.labels("val").shape == (6,)
    assert opened.labels("train") is None
    assert [m.name for m in opened.predictions("val", ["b"])] == ["b"]


def test_the_kind_of_a_model_is_that_of_its_val_split(run):
    np.save(run / "a.test.npy", np.random.default_rng(0).random((8, 3)))
    assert RunDirectory.open(run).predictions("test")[0].kind == "logits"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        RunDirectory.open(tmp_path / "nowhere")
    assert str(error.value) == f"{tmp_path / 'nowhere'}: no such folder"


def test_a_folder_without_predictions_is_named(tmp_path):
    with pytest.raises(ValueError) as error:
        RunDirectory.open(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: must hold <model>.val.npy and <model>.test.npy, got neither; name other "
        "files one by one; postproc pool puts files of folds together"
    )


def test_a_model_without_a_split_is_named(run):
    (run / "a.val.npy").unlink()
    with pytest.raises(ValueError) as error:
        RunDirectory.open(run)
    assert str(error.value) == f"{run}: the model 'a' has no predictions for the split val"


def test_models_of_unlike_rows_are_named(run):
    np.savez(run / "b.test.npz", probs=np.full((7, 3), 1 / 3))
    with pytest.raises(ValueError) as error:
        RunDirectory.open(run).predictions("test")
    path = run / "b.test.npz"
    assert str(error.value) == f"`{path}` must be of shape (8, 3) like a.test, got shape (7, 3)"


def test_too_few_labels_are_named(run):
    np.save(run / "labels.test.npy", np.zeros(7, int))
    with pytest.raises(ValueError) as error:
        RunDirectory.open(run).labels("test")
    path = run / "labels.test.npy"
    assert str(error.value) == (
        f"`{path}` must be as long as the predictions (8 rows), got 7 labels"
    )


def test_labels_of_a_split_without_predictions(run):
    np.save(run / "labels.train.npy", np.arange(30) % 3)
    opened = RunDirectory.open(run)
    assert opened.labels("train").shape == (30,)
    with pytest.raises(FileNotFoundError, match="'a' has no predictions for the split train"):
        opened.predictions("train")
