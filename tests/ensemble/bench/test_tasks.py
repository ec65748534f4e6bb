import shutil

import numpy as np
import pytest

from ensemble.bench.tasks import find_tasks, load_task


def spoil(folder, how):
    y = np.load(folder / "labels.test.npy")
    scores = np.load(folder / "good.test.npy")
    if how == "split":
        (folder / "good.test.npy").unlink()
    elif how == "labels":
        (folder / "labels.val.npy").unlink()
    elif how == "short":
        np.save(folder / "labels.test.npy", y[:-1])
    elif how == "classes":
        np.save(folder / "good.test.npy", scores[:, :2])
    elif how == "names":
        (folder / "classes.txt").write_text("a\nb\n")
    elif how == "rows":
        np.save(folder / "good.test.npy", scores[:-1])
    elif how == "nan":
        scores[3, 1] = np.nan
        np.save(folder / "good.test.npy", scores)
    elif how == "empty":
        for path in folder.glob("*.npy"):
            path.unlink()
    elif how == "range":
        y[5] = 7
        np.save(folder / "labels.test.npy", y)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("split", "the model 'good' has no predictions for the split test"),
        ("labels", "must hold labels.val.npy, got none"),
        ("short", "labels.test.npy.*40"),
        ("classes", "shape"),
        ("names", "2|3"),
        ("rows", "shape"),
        ("nan", "row 3"),
        ("empty", "must hold <model>.val.npy"),
        ("range", "7"),
    ],
)
def test_bad_run_directories_are_told(make, tmp_path, how, reason):
    import re

    good, bad = make(tmp_path / "a", n_fit=40, n_test=40), make(tmp_path / "b", n_test=40)
    spoil(bad, how)
    tasks, skipped = find_tasks([bad, good])
    assert [task.name for task in tasks] == ["a"]
    assert [found.path for found in skipped] == [str(bad)]
    assert re.search(reason, skipped[0].reason)
    assert "\n" not in skipped[0].reason


def test_no_folder_and_a_name_that_is_taken(make, tmp_path):
    first, second = make(tmp_path / "one/task"), make(tmp_path / "two/task")
    tasks, skipped = find_tasks([first, second, tmp_path / "nowhere", first])
    assert [task.path for task in tasks] == [str(first)]
    assert "'task' twice" in skipped[0].reason
    assert "no such folder" in skipped[1].reason
    assert "'task' twice" in skipped[2].reason


def test_fingerprint_is_that_of_the_files_that_take_part(make, tmp_path):
    folder = make(tmp_path / "task")

    def fingerprint(models=None):
        (task,), _ = find_tasks([folder], models)
        return task.fingerprint

    before = fingerprint()
    shutil.copy(folder / "good.val.npy", folder / "good.train.npy")
    (folder / "notes.txt").write_text("no part of it")
    assert fingerprint() == before
    assert fingerprint(["good"]) != before
    scores = np.load(folder / "sharp.test.npy")
    np.save(folder / "sharp.test.npy", scores + 1)
    assert fingerprint() != before
    one = fingerprint(["good"])
    np.save(folder / "sharp.test.npy", scores)
    assert fingerprint(["good"]) == one


def test_columns_are_matched_by_name(make, tmp_path):
    folder = make(tmp_path / "task", n_fit=40, n_test=40)
    (folder / "classes.txt").write_text("a\nb\nc\n")
    for split in ("val", "test"):
        path = folder / f"sharp.{split}.npy"
        scores = np.load(path)
        np.savez(path.with_suffix(".npz"), logits=scores[:, ::-1], classes=["c", "b", "a"])
        path.unlink()
    (task,), _ = find_tasks([folder])
    data = load_task(task)
    np.testing.assert_array_equal(
        np.asarray(data.test[0].scores).argmax(axis=1),
        np.asarray(data.test[1].scores).argmax(axis=1),
    )


def test_models_that_a_task_has_not(make, tmp_path):
    tasks, skipped = find_tasks([make(tmp_path / "task")], ["other"])
    assert tasks == []
    assert skipped[0].reason == "`models` must be one of its models (good, sharp), got other"
