"""Labels as other tools write them."""

import json

import numpy as np
import pytest

from tests.cases.conftest import N_ROWS, NAMES, table


def test_ground_truth_with_a_column_a_class(task, run_cli, accuracy):
    table("p.csv", {"image": [f"i{row}" for row in range(N_ROWS)], NAMES: task.a})
    np.save("p.npy", task.a)
    order = np.random.default_rng(0).permutation(N_ROWS)
    one_hot = np.eye(3, dtype=int)[task.y]
    shuffled = one_hot[order][:, [2, 0, 1]]
    table("t.csv", {"image": [f"i{row}" for row in order], ("tulip", "daisy", "roses"): shuffled})
    np.save("t.npy", one_hot)
    assert accuracy("p.csv", labels="t.csv") == task.accuracy
    assert accuracy("p.npy", labels="t.npy") == task.accuracy
    said = run_cli("report", "p.npy", "--labels", "t.npy").stderr
    assert "each row holds one 1" in said


@pytest.mark.parametrize("name", ["t.npy", "t.txt"])
def test_classes_that_are_counted_from_one_are_refused(task, run_cli, name):
    np.save("p.npy", task.a)
    if name == "t.npy":
        np.save(name, task.y + 1)
    else:
        np.savetxt(name, task.y + 1, fmt="%d")
    assert (
        "got integers in 1..3; subtract 1"
        in run_cli("report", "p.npy", "--labels", name, code=1).stderr
    )


def test_labels_that_no_model_knows_are_wrong(task, run_cli):
    table("p.csv", {NAMES: task.a})
    truth = task.truth.astype(object)
    truth[-1] = "orchid"
    table("t.csv", {"label": truth})
    done = run_cli("report", "p.csv", "--labels", "t.csv", "--json")
    right = (task.a.argmax(axis=1) == task.y)[:-1].sum()
    assert json.loads(done.stdout)["models"][0]["accuracy"] == right / N_ROWS
    assert "orchid" in done.stderr


def test_tables_in_which_rows_repeat_or_lie_in_other_files(task, run_cli):
    ids = np.repeat(np.arange(20), 3)
    table("tta.csv", {"id": ids, NAMES: task.a})
    table("t.csv", {"id": range(20), "label": task.truth[::3]})
    assert "postproc pool" in run_cli("report", "tta.csv", "--labels", "t.csv", code=1).stderr
    run_cli("pool", "tta.csv", "-o", "pooled.csv")
    done = json.loads(run_cli("report", "pooled.csv", "--labels", "t.csv", "--json").stdout)
    mean = task.a.reshape(20, 3, 3).mean(axis=1)
    assert done["models"][0]["accuracy"] == np.mean(mean.argmax(axis=1) == task.y[::3])
    paths = [f"fold{fold}.csv" for fold in range(5)]
    for fold, path in enumerate(paths):
        rows = np.arange(fold, N_ROWS, 5)
        table(path, {"id": rows, NAMES: task.a[rows]})
    assert "postproc pool" in run_cli("report", *paths, "--labels", "ids.csv", code=1).stderr
    run_cli("pool", *paths, "-o", "folds.csv")
    done = json.loads(run_cli("report", "folds.csv", "--labels", "ids.csv", "--json").stdout)
    assert done["models"][0]["accuracy"] == task.accuracy


def test_predicted_labels_of_kaggle(task, run_cli):
    models = {"s1": task.a, "s2": task.b, "s3": task.a + task.b}
    for name, scores in models.items():
        table(f"{name}.csv", {"id": range(N_ROWS), "label": scores.argmax(axis=1)})
    done = run_cli("report", "s1.csv", "s2.csv", "--labels", "y.npy", "--json")
    first, second = json.loads(done.stdout)["models"]
    right = [scores.argmax(axis=1) == task.y for scores in (task.a, task.b)]
    assert (first["accuracy"], second["accuracy"]) == (right[0].mean(), right[1].mean())
    assert second["fixed"] == (right[1] & ~right[0]).sum()
    assert second["broken"] == (right[0] & ~right[1]).sum()
    run_cli("ensemble", "hard", *(f"{name}.csv" for name in models), "-o", "v.npy", "--quiet")
    votes = sum(np.eye(3)[scores.argmax(axis=1)] for scores in models.values())
    np.testing.assert_array_equal(np.load("v.npy").argmax(axis=1), votes.argmax(axis=1))
