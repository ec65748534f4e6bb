"""Every command on each of the three tasks, from tables with ids to tables with ids."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cli.commands.ensemble import FITTED, VOTES
from cli.main import COMMANDS
from postproc import load_predictions, save_predictions

N = 90
NAMES = {
    "multiclass": ("cat", "dog", "owl"),
    "binary": ("spam",),
    "multilabel": ("toxic", "threat", "spam"),
}
TASKS = list(NAMES)


@pytest.fixture(params=TASKS)
def task(request, tmp_path, monkeypatch):
    """Two members of val and test rows, labels in another order, a run directory."""
    monkeypatch.chdir(tmp_path)
    rng, name = np.random.default_rng(3), request.param
    names = NAMES[name]
    Path("run").mkdir()
    for split in ("val", "test"):
        if name == "multilabel":
            y = (rng.random((N, 3)) < [0.6, 0.4, 0.3]).astype(int)
            told = ["|".join(np.array(names)[row == 1]) for row in y]
            truth = 2 * y - 1
        else:
            y = rng.integers(0, max(2, len(names)), N)
            told = [("ham", "spam")[each] if name == "binary" else names[each] for each in y]
            truth = (2 * y - 1)[:, None] if name == "binary" else 2 * np.eye(3)[y]
        for member, strength in (("a", 1.0), ("b", 0.7)):
            z = strength * truth + rng.normal(size=truth.shape)
            p = 1 / (1 + np.exp(-z))
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True) if name == "multiclass" else p
            ids = [f"{split}{row}" for row in range(N)]
            save_predictions(f"{member}.{split}.csv", p, classes=names, ids=ids)
            np.save(f"run/{member}.{split}.npy", p)
        np.save(f"run/labels.{split}.npy", y)
        order = rng.permutation(N)
        lines = [f"{split}{row},{told[row]}" for row in order]
        Path(f"y.{split}.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    return name


FIT = ["--fit", "a.val.csv", "--fit-labels", "y.val.csv"]
ALL = ["--fit", "a.val.csv", "--fit", "b.val.csv", "--fit-labels", "y.val.csv"]
TEST = ["a.test.csv", "b.test.csv"]
JUDGED = ["--labels", "y.test.csv"]
DRAWS = ["--shift", "none", "--draws", "2", "--jobs", "1"]
#: Words of each command, and whether it writes predictions.
MATRIX = {
    "adapt": (["adapt", TEST[0], *FIT, *JUDGED], True),
    "apply": (["apply", "saved.json", *TEST, *JUDGED], True),
    "auto": (["auto", *TEST, *ALL, *JUDGED], True),
    "bench": (["bench", "run", "--methods", "soft,weights", *DRAWS], False),
    "calibrate": (["calibrate", TEST[0], *FIT, *JUDGED], True),
    "can": (["can", TEST[0], "--prior", "uniform", *JUDGED], True),
    "convert": (["convert", TEST[0]], True),
    "decide": (["decide", TEST[0], "--metric", "macro_f1", *FIT, *JUDGED], False),
    **{f"ensemble {m}": (["ensemble", m, *TEST, *JUDGED], True) for m in VOTES},
    **{f"ensemble {m}": (["ensemble", m, *TEST, *ALL, *JUDGED], True) for m in FITTED},
    "inspect": (["inspect", *TEST], False),
    "pool": (["pool", *TEST], True),
    "report": (["report", *TEST, *JUDGED, "--per-class"], False),
    "tune can": (["tune", "can", "a.val.csv", "--labels", "y.val.csv", "--alpha", "1"], False),
    "tune greedy": (
        ["tune", "greedy", "a.val.csv", "b.val.csv", "--labels", "y.val.csv", "--bags", "1"],
        False,
    ),
}
#: What knows nothing of predictions.
OF_NO_TASK = {"augment", "demo", "examples"}
SLOW = {"ensemble devil"}


def test_every_command_is_in_the_matrix():
    assert {name.split()[0] for name in MATRIX} | OF_NO_TASK == set(COMMANDS)


CELLS = [pytest.param(m, marks=pytest.mark.slow if m in SLOW else ()) for m in MATRIX]


@pytest.mark.parametrize("name", CELLS)
def test_it_takes_and_gives_tables_with_ids(task, run_cli, name):
    words, writes = MATRIX[name]
    flags = ["--multilabel"] if task == "multilabel" and name != "bench" else []
    if name == "apply":
        saving = [*ALL, *flags, "--save", "saved.json", "-o", "first.csv", "--quiet"]
        run_cli("ensemble", "weights", *TEST, *saving)
    if writes:
        flags += ["-o", "out.csv"]
    elif name == "decide":
        flags += ["-o", "labels.csv"]
    elif name.startswith("tune"):
        flags += ["-o", "tuned.json", "--folds", "3"]
    elif name == "bench":
        flags += ["-o", "bench.jsonl"]
    if (name, task) == ("ensemble devil", "multilabel"):
        said = run_cli(*words, *flags, code=1).stderr
        assert "exclude each other for the Devil's Advocate" in said
        return
    said = json.loads(run_cli(*words, *flags, "--json").stdout)
    ids = [f"test{row}" for row in range(N)]
    if writes:
        found = load_predictions("out.csv", multilabel=task == "multilabel")
        given = load_predictions(TEST[0], multilabel=task == "multilabel")
        assert (found.task, found.classes, found.heading) == (task, given.classes, given.heading)
        assert list(found.ids) == ids
    if name == "decide":
        with Path("labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == ids
        known = {"ham", "spam"} if task == "binary" else set(NAMES[task])
        for row in rows:
            value = next(row[key] for key in ("label", "labels") if key in row)
            parts = value.split("|") if task == "multilabel" else [value]
            assert {*parts} - {""} <= known
    if name.startswith("tune"):
        assert said["task"] == task
    if name == "inspect":
        assert said["predictions"][0]["rows"] == N
    if name == "bench":
        assert not said["errors"]
        assert {each["method"] for each in said["results"]} == {"soft", "weights"}
