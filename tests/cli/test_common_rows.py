"""`--common-rows`: only the rows that all files have, matched by id."""

import json
from pathlib import Path

import numpy as np
import pytest

from postproc import load_predictions, save_predictions, softmax

NAMES = ("a", "b", "c")
N_ROWS = 60


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two files that lack rows of each other, in other orders, and labels of all rows."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N_ROWS)
    ids = np.array([f"r{row}" for row in range(N_ROWS)])
    kept = {"one": np.arange(50), "two": rng.permutation(np.arange(5, N_ROWS))}
    for name, rows in kept.items():
        scores = 2 * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3))
        for end in (".csv", ".npz"):
            save_predictions(name + end, softmax(scores[rows]), classes=NAMES, ids=ids[rows])
    save_predictions("same.csv", softmax(scores)[:45], classes=NAMES, ids=ids[:45])
    lines = [f"{name},{NAMES[label]}\n" for name, label in zip(ids, y, strict=True)]
    (tmp_path / "y.csv").write_text("id,label\n" + "".join(lines))
    (tmp_path / "first.txt").write_text("".join(f"{NAMES[label]}\n" for label in y[:50]))
    np.save("weights.npy", np.arange(1.0, 51.0))
    return y


def by_hand():
    """The 45 rows that both files have, in the order of the first."""
    one, two = load_predictions("one.csv"), load_predictions("two.csv")
    at = {name: row for row, name in enumerate(two.ids)}
    rows = [at[name] for name in one.ids[5:]]
    return one.ids[5:], one.scores[5:], two.scores[rows]


@pytest.mark.parametrize("end", [".csv", ".npz"])
def test_votes_are_those_of_the_shared_rows(here, run_cli, end):
    words = ("ensemble", "soft", f"one{end}", f"two{end}", "-o", "out.csv")
    refused = run_cli(*words, code=1)
    assert "--common-rows (in Python" in refused.stderr
    result = run_cli(*words, "--common-rows")
    assert (
        f"45 rows are in all files; left out are 5 of 50 rows of one{end}, 10 of 55 rows of "
        f"two{end}"
    ) in result.stderr
    ids, one, two = by_hand()
    found = load_predictions("out.csv")
    assert found.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(found.scores, (one + two) / 2)


@pytest.mark.parametrize("labels", ["y.csv", "first.txt"])
@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_labels_and_weights_go_with_the_rows(here, run_cli, labels, order):
    """Labels without ids are those of the rows of the first file, left-out ones too."""
    if labels == "first.txt" and order[0] == "two":
        return
    files = [f"{name}.csv" for name in order]
    weights = ("--row-weights", "weights.npy") if labels == "first.txt" else ()
    words = ("report", *files, "--labels", labels, "--common-rows", "--json", *weights)
    found = json.loads(run_cli(*words).stdout)
    _, *scores = by_hand()
    share = np.arange(6.0, 51.0) if weights else np.ones(45)
    wanted = [np.average(each.argmax(axis=1) == here[5:50], weights=share) for each in scores]
    if order[0] == "two":
        wanted = wanted[::-1]
    assert found["rows"] == 45
    assert [model["accuracy"] for model in found["models"]] == pytest.approx(wanted)


def test_files_of_fit_are_matched_among_themselves(here, run_cli):
    words = ("auto", "same.csv", "--fit", "one.csv", "--fit-labels", "y.csv", "-o", "auto.csv")
    assert "left out are" not in run_cli(*words, "--common-rows").stderr
    members = ("same.csv", "same.csv.gz")
    scores, classes, ids = _scores("same.csv")
    save_predictions(members[1], scores, classes=classes, ids=ids)
    words = ("ensemble", "weights", *members, "--fit", "one.csv", "--fit", "two.csv")
    result = run_cli(*words, "--fit-labels", "y.csv", "--common-rows", "-o", "weights.csv")
    assert "45 rows are in all files" in result.stderr
    words = ("tune", "greedy", "one.csv", "two.csv", "--labels", "y.csv", "--common-rows")
    assert "45 rows are in all files" in run_cli(*words, "-o", "greedy.json").stderr
    words = ("apply", "greedy.json", "two.csv", "one.csv", "--common-rows", "--labels", "y.csv")
    applied = run_cli(*words, "-o", "applied.csv")
    assert "45 rows are in all files" in applied.stderr


def _scores(path):
    loaded = load_predictions(path)
    return loaded.scores, loaded.classes, loaded.ids


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("report", "one.csv", "none.npy", "--labels", "y.csv"), 1, "row ids, to find the rows"),
        (("report", "one.csv", "far.csv", "--labels", "y.csv"), 1, "none that all have"),
        (("tune", "can", "one.csv", "--labels", "y.csv"), 2, "--common-rows is for greedy"),
        (("report", "run"), 2, "--common-rows is for files"),
        (("apply", "t.json", "one.csv"), 2, "--common-rows is for ensembles"),
    ],
)
def test_refusals(here, run_cli, words, code, said):
    scores, classes, ids = _scores("one.csv")
    np.save("none.npy", scores)
    save_predictions("far.csv", scores, classes=classes, ids=[f"x{name}" for name in ids])
    if "run" in words:
        Path("run").mkdir()
        for split in ("val", "test"):
            save_predictions(f"run/one.{split}.npy", scores)
            np.save(f"run/labels.{split}.npy", here[:50])
    if "apply" in words:
        fit = ("--fit", "one.csv", "--fit-labels", "y.csv", "-o", "c.csv", "--save", "t.json")
        run_cli("calibrate", "same.csv", *fit)
    assert said in run_cli(*words, "--common-rows", code=code).stderr
